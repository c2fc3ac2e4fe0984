"""Five kinds of numbers by which Mol2Image correlates painted with real treatments, where cells are measured.

Their published CellProfiler project measures the area that cells cover, nuclei and cells with their sizes, shapes and Zernike
features, and each stain's mean intensity (uhlerlab/mol2image; Yang et al., CVPR 2021). Here they are: `count`, cells of a field;
`coverage`, the count times the median area of a cell, in place of the area that all of them cover; `cell_size`, the median area;
`zernike`, of nuclei and cells; `expression`, each stain's mean intensity within cells, in place of the whole image's. A correlation
is over treatments, of effects (less DMSO's of the same plate), and the mean over the numbers of a kind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from brightpaint.scores.generation import gains
from brightpaint.scores.generation.gains import BY_FEATURE, Scored
from brightpaint.scores.generation.plate_answers import Said

COUNT, COVERAGE, SIZE, ZERNIKE, EXPRESSION = KINDS = ("count", "coverage", "cell_size", "zernike", "expression")
METRICS = tuple(f"{kind}_correlation" for kind in KINDS)
CELLS, AREA = "Metadata_cells", "Cells_AreaShape_Area"
NAMES = {
    SIZE: re.compile(AREA),
    ZERNIKE: re.compile(r"(Nuclei|Cells)_AreaShape_Zernike_\d+_\d+"),
    EXPRESSION: re.compile(r"Cells_Intensity_MeanIntensity_.+"),
}


def numbers_of(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return {kind: columns} of a table as `with_field_numbers` returns it; only kinds that it has."""
    found = {kind: [kind] for kind in (COUNT, COVERAGE) if kind in frame}
    found |= {kind: [name for name in frame if pattern.fullmatch(str(name))] for kind, pattern in NAMES.items()}
    return {kind: names for kind, names in found.items() if names}


def with_field_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of fields' medians with `count` and `coverage`, 0 of a field without cells, where it has their columns."""
    if CELLS not in frame:
        return frame
    cells = frame[CELLS].to_numpy(np.float64)
    own = {COUNT: cells}
    if AREA in frame:
        own[COVERAGE] = np.where(cells > 0, cells * np.nan_to_num(frame[AREA].to_numpy(np.float64)), 0.0)
    return frame.assign(**own)


def kinds_apart(frame: pd.DataFrame) -> list[dict[str, list[str]]]:
    """Return the kinds of a table in two parts, of fields and of cells: a field without cells has numbers of the first alone."""
    found = numbers_of(frame)
    sides = ([COUNT, COVERAGE], [SIZE, ZERNIKE, EXPRESSION])
    return [part for part in ({kind: found[kind] for kind in side if kind in found} for side in sides) if part]


def correlations(plates: Sequence[Said], kinds: dict[str, list[str]], columns: Sequence[str]) -> pd.DataFrame:
    """Return rows as of `gains.summary`, the metric `{kind}_correlation`.

    Parameters
    ----------
    plates : what was said of each plate's treatments, in the numbers `columns`
    kinds : {kind: its numbers}, of which those that do not vary are not among `columns`
    """
    tested = pd.concat([plate.tested for plate in plates], ignore_index=True)
    truth = np.concatenate([plate.truth for plate in plates])
    answers = {name: np.concatenate([plate.answers[name] for plate in plates]) for name in plates[0].answers}
    whole = Scored(tested, {}, truth, answers, [], {}, np.empty((0, 0)))
    tables = []
    for kind, names in kinds.items():
        own = np.isin(list(columns), names)
        if own.any():
            part = replace(whole, truth=truth[:, own], answers={name: each[:, own] for name, each in answers.items()})
            found = gains.summary(part)
            tables.append(found[found["metric"] == BY_FEATURE].assign(metric=f"{kind}_correlation"))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=gains.COLUMNS)
