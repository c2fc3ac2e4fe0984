"""Select features on real images; every arm is profiled on the same list.

pycytominer's operations run one by one on medians that were standardised plate by plate, so that each dropped
feature has its reason. Today's `variance_threshold` is a plain variance; what that name meant in the paper's
time (few distinct values) is `frequency_threshold` now, hence both. The blocklist comes before the
correlations, lest a feature that is to go takes a good one with it. With `profile.recipe: standard` features are judged on
wells normalised against DMSO: those that do not vary among a plate's DMSO wells go first (`dmso_constant`), outliers
(beyond 500 MAD) last.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import pandas as pd
import pycytominer

from brightpaint import store
from brightpaint.base import cli
from brightpaint.features.median import features_of
from brightpaint.profiles.aggregate import median_of
from brightpaint.profiles.cell_profiles import normalise_plate, standard_wells
from brightpaint.profiles.recipes import without_spread
from brightpaint.study.spaces import SPACES

OPERATIONS = ("drop_na_columns", "variance_threshold", "frequency_threshold", "blocklist", "correlation_threshold")
WITHOUT_SPREAD, OUTLIERS = "dmso_constant", "drop_outliers"
log = logging.getLogger(__name__)


def common_features(plates: list[pd.DataFrame], numbers: Callable[[list[str]], list[str]]) -> list[str]:
    """Return the features of the plates; a plate without cells or with other features is an error."""
    names = [numbers(list(plate.columns)) for plate in plates]
    for plate, features in zip(plates, names):
        label = plate["Metadata_Plate"].iloc[0] if len(plate) else "without fields"
        if not (plate["Metadata_cells"] > 0).any():
            raise ValueError(
                f"plate {label}: CellProfiler found no cell in its real images, so no feature can be selected; look at the "
                "plate's montage, and leave the plate out or set cellprofiler.pipeline"
            )
        if features != names[0]:
            odd = sorted(set(features) ^ set(names[0]))[:5]
            raise ValueError(
                f"plate {label}: features differ from the first plate's: {odd}; delete its cells and rerun"
            )
    return names[0]


def select(
    plates: list[pd.DataFrame],
    correlation: float,
    recipe: str = "paper",
    numbers: Callable[[list[str]], list[str]] = features_of,
) -> pd.DataFrame:
    """Return which features are kept, and why the others are not.

    Parameters
    ----------
    plates : real field medians, one frame a plate. Fields without cells take no part.
    correlation : largest Pearson correlation that two kept features may have
    recipe : paper or standard, as the profiles are to be made
    numbers : which of the columns are features

    Returns
    -------
    feature, kept (0 or 1), reason (the operation that dropped it, or "")
    """
    features = common_features(plates, numbers)
    reasons = dict.fromkeys(features, "")
    frame = judged(plates, features, recipe, reasons)
    left = [name for name in features if not reasons[name]]
    for operation in OPERATIONS + ((OUTLIERS,) if recipe == "standard" else ()):
        if not left:
            break
        # A column that sklearn refuses to judge (every feature constant) is dropped by hand below.
        passed = _passed(frame[left], operation, correlation)
        for name in left:
            if name not in passed:
                reasons[name] = operation
        left = [name for name in left if name in passed]
        log.info("%s: %d features left", operation, len(left))
    if not left:
        raise ValueError(
            f"no feature is left of {len(features)} on {len(frame)} fields; expected differences between fields: "
            "give more plates to select.plates, or raise select.correlation"
        )
    kept = [int(not reasons[name]) for name in features]
    return pd.DataFrame({"feature": features, "kept": kept, "reason": [reasons[name] for name in features]})


def judged(plates: list[pd.DataFrame], features: list[str], recipe: str, reasons: dict[str, str]) -> pd.DataFrame:
    """Return the rows that features are judged on, of fields or wells with cells; mark in `reasons` what cannot be normalised."""
    if recipe != "standard":
        frame = pd.concat([normalise_plate(plate, features) for plate in plates], ignore_index=True)
        return frame.loc[frame["Metadata_cells"] > 0, features]
    for plate in plates:
        wells = median_of(plate, store.WELL_KEYS, features, ["Metadata_cells"])
        reasons.update(dict.fromkeys(without_spread(wells, features), WITHOUT_SPREAD))
    left = [name for name in features if not reasons[name]]
    log.info("%s: %d features left", WITHOUT_SPREAD, len(left))
    frame = pd.concat([standard_wells(plate, left) for plate in plates], ignore_index=True)
    return frame.loc[frame["Metadata_cells"] > 0, left]


def counted(plate: pd.DataFrame) -> pd.DataFrame:
    """Return a plate whose fields all count, where its space counts no cells."""
    return plate if "Metadata_cells" in plate else plate.assign(Metadata_cells=1)


def _passed(frame: pd.DataFrame, operation: str, correlation: float) -> set[str]:
    """Return the features that one of pycytominer's operations keeps."""
    if operation == "variance_threshold" and not (frame.var(ddof=0) > 1e-6).any():
        return set()  # sklearn's VarianceThreshold raises where nothing passes
    kept = pycytominer.feature_select(
        frame, features=list(frame.columns), samples="all", operation=operation, corr_threshold=correlation
    )
    return set(kept.columns)


def kept_features(selection: pd.DataFrame) -> list[str]:
    """Return the features that `select` kept, in its order."""
    return selection.loc[selection["kept"].astype(int) == 1, "feature"].tolist()


def read_selection(path: Path) -> list[str]:
    """Read which features `select` kept; a table that keeps none, or one twice, is an error."""
    selection = store.read_table(path, ["feature", "kept"])
    if not selection["kept"].isin([0, 1]).all():
        raise ValueError(f"{path}: the column kept holds more than 0 and 1; delete it and rerun select")
    kept = kept_features(selection)
    if not kept or len(set(kept)) < len(kept):
        raise ValueError(
            f"{path}: {len(kept)} features are kept, {len(set(kept))} of them different; delete it and rerun select"
        )
    return kept


def main(argv: list[str] | None = None) -> None:
    """Select features on real plates."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--tables", type=Path, nargs="*", required=True, help="the space's tables of real plates")
    parser.add_argument("--selection", type=Path, required=True)
    args = parser.parse_args(argv)
    if not args.tables:
        raise ValueError(
            "no real plate to select features on: every study plate is tested by a fold; set select.plates: all"
        )
    store.one_engine(args.tables)
    space = SPACES[args.space]
    profiler = import_module(space.profiler)
    plates = [counted(profiler.read(path, space)) for path in args.tables]
    numbers = partial(profiler.numbers_of, space=space)
    table = select(plates, args.settings["correlation"], args.settings.get("recipe", "paper"), numbers)
    store.write_table(table, args.selection)


if __name__ == "__main__":
    cli.run(main)
