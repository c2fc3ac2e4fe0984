"""How fast fields are simulated, against a limit: 1.5 s of CPU for a field of 256 px and eight channels.

Prints one JSON line: CPU seconds a field, the limit, and the peak of resident memory.
    python bench/simulate.py [--fields 8] [--size-px 256]
"""

from __future__ import annotations

import argparse
import json
import resource
import time

from brightpaint.plates import simulate
from brightpaint.plates.simulator import phenotypes, stains

LIMIT_S = 1.5
CHANNELS = ["Brightfield_L", "Brightfield", "Brightfield_H", *stains.STAINS]


def time_fields(count: int, size_px: int) -> float:
    """Return CPU seconds a field of untreated cells at 1 um a pixel, as dense as the demo's."""
    lighting = simulate.plate_lighting(CHANNELS, seed=1, barcode="bench")
    state = dict.fromkeys(phenotypes.PARAMETERS, 0.0)
    started = time.process_time()
    for number in range(count):
        names = ("bench", number)
        sample = simulate.draw_sample(state, size_px=size_px, pixel_size_um=1.0, density=25 / 256**2, names=names)
        simulate.image_sample(*sample, channels=CHANNELS, pixel_size_um=1.0, lighting=lighting, names=names)
    return (time.process_time() - started) / count


def main(argv: list[str] | None = None) -> None:
    """Time the simulator and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--size-px", type=int, default=256)
    arguments = parser.parse_args(argv)
    seconds = time_fields(arguments.fields, arguments.size_px)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    limit = LIMIT_S * (arguments.size_px / 256) ** 2
    print(
        json.dumps(
            {"bench": "simulate", "cpu_s_per_field": round(seconds, 3), "limit_s": limit, "peak_mb": round(peak)}
        )
    )


if __name__ == "__main__":
    main()
