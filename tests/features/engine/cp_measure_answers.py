"""What cp_measure says of one field: run by `test_second_opinion` beside its own packages. In: labels, two images."""

from __future__ import annotations

import sys

import numpy as np
from cp_measure.bulk import get_core_measurements, get_correlation_measurements

asked = np.load(sys.argv[1])
labels, images = asked["labels"], [asked["first"].astype(float), asked["second"].astype(float)]
said = {}
for measure in get_core_measurements(legacy=True).values():  # quartiles as CellProfiler takes them
    said |= measure(labels, images[0])
for name, measure in get_correlation_measurements().items():
    said |= measure(*images, labels, **({"scale_max": 65535} if name == "costes" else {}))
np.savez(sys.argv[2], **{name: np.asarray(values, float) for name, values in said.items()})
