"""Compare samplers and step counts on the same weights, the same fields and the same noise: one row a point and metric.

Beside PCC and SSIM stands `detail`, the power of the painted stains above 1/8 cycle a pixel over that of the real ones: few
steps blur, and a higher PCC alone is no gain. Of several samples of each field points are ranked by their distribution too
(`sweep_draws`): by the energy score of their cells, and by spread over error. Distances of features are those of
`distances`; seconds are those that sampling itself measured, without start-up. Wells are resampled for all points alike,
so that the difference of each point to the reference has an interval of its own, narrower than those of the two.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.base.intensity import standardise
from brightpaint.profiles.select import read_selection
from brightpaint.scores.calibration import drawn
from brightpaint.scores.images import pixels, sweep_draws
from brightpaint.scores.pairing import join_rows
from brightpaint.scores.profiles import discrepancy, feature_distance
from brightpaint.study.samplers import evaluations

DETAIL = 0.125  # cycles a pixel
IMAGES = ("pcc", "ssim", "detail")
SECONDS = ("wall_s", "cpu_s")
INTERVALS = ["value", "low", "high", "difference", "difference_low", "difference_high"]
log = logging.getLogger(__name__)


def detail_power(images: np.ndarray) -> np.ndarray:
    """Return the power above DETAIL of images: (C, H, W) -> (C,) float64."""
    power = np.abs(np.fft.fft2(images)) ** 2
    fy, fx = np.fft.fftfreq(images.shape[-2]), np.fft.fftfreq(images.shape[-1])
    return (power * (np.hypot(fy[:, None], fx[None]) > DETAIL)).sum(axis=(-2, -1))


def field_values(real: np.ndarray, painted: np.ndarray, cutoff: float) -> dict[str, float]:
    """Score one field, means over channels: two (C, H, W), both standardised first; NaN where a real stain is constant."""
    truth, image = standardise(real, cutoff), standardise(painted, cutoff)
    power = detail_power(truth)
    return {
        "pcc": pixels.pcc(truth, image).mean(),
        "ssim": np.mean([pixels.ssim(*pair, data_range=cutoff) for pair in zip(truth, image)]),
        "detail": np.mean(np.where(power > 0, detail_power(image) / np.where(power > 0, power, 1), np.nan)),
    }


def point_images(real: store.Stack, fields: pd.DataFrame, path: Path, settings: dict) -> dict[str, np.ndarray]:
    """Score every field of one point: {metric: (n,)} in the order of `fields`."""
    painted, rows = store.open_gathered(path)
    places = drawn.draws_of(rows, fields, settings["samples"], str(path)) if settings.get("samples", 1) > 1 else None
    if places is None:
        joined = join_rows(fields, rows, str(path))
        if len(joined) != len(fields):
            raise ValueError(
                f"{path}: {len(rows)} fields, but {len(fields)} were drawn for the sweep; delete it and rerun"
            )
        places = joined.sort_values("real_row")["predicted_row"].to_numpy()[:, None]
    targets, cutoff = settings["channels"]["target"], settings["cutoff"]
    planes = [stack.channel_indices(targets) for stack in (real, painted)]
    values = []
    for row, others in tqdm(enumerate(places), total=len(places), unit="field", disable=None):
        truth = real.images[row][planes[0]]
        each = [field_values(truth, painted.images[other][planes[1]], cutoff) for other in others]
        values.append({name: np.mean([one[name] for one in each]) for name in IMAGES})
    found = {name: np.array([value[name] for value in values]) for name in IMAGES}
    if places.shape[1] > 1:
        found |= sweep_draws.field_values(drawn.image_table(real, painted, places, fields, targets, cutoff), targets)
    return found


def with_resamples(values: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean over fields and that of each resample: (n,), (B, n) -> value, (B,); NaN takes no part."""
    said = np.isfinite(values)
    if not said.any():
        return np.nan, np.full(len(weights), np.nan)
    total = weights[:, said].sum(axis=1)
    drawn = np.where(total > 0, weights[:, said] @ values[said] / np.where(total > 0, total, 1), np.nan)
    return float(values[said].mean()), drawn


def read_medians(real_path: Path, paths: Sequence[Path], fields: pd.DataFrame) -> list[pd.DataFrame]:
    """Read the field medians of the real plate and of every point, in the order of `fields`, joined by key."""
    frames = []
    for path in (real_path, *paths):
        medians = store.with_row_keys(store.read_fields(path))
        first = medians[medians["Metadata_draw"] == 0]  # of several samples what the arm itself paints
        frame = fields[store.FIELD_KEYS].merge(first, on=store.FIELD_KEYS, how="left", validate="one_to_one")
        lost = frame["Metadata_cells"].isna()
        if lost.any():
            raise ValueError(f"{path}: {store.describe_field(frame[lost].iloc[0])} has no medians; delete it and rerun")
        frames.append(frame)
    return frames


def feature_values(args: argparse.Namespace, fields: pd.DataFrame, weights: np.ndarray) -> list[dict]:
    """Measure the cells of every point against the real ones of the same fields, by the features that all of them have.

    Returns
    -------
    for each point {metric: (value, its (B,) resamples)}; empty where cells are not measured
    """
    if not args.medians:
        return [{}] * len(args.predicted)
    store.one_engine([*args.real_medians, *args.medians, *args.training])
    real, *painted = read_medians(args.real_medians[0], args.medians, fields)
    kept = read_selection(args.selection[0])
    features = feature_distance.features_of_all([real, *painted], kept)
    log.info("%d of %d selected features are measured in every field with cells", len(features), len(kept))
    found = [feature_distance.paired(real, frame, features, weights) for frame in painted]
    if args.settings.get("samples", 1) > 1:
        training = [store.read_fields(path) for path in args.training]
        for own, path in zip(found, args.medians):
            scores = sweep_draws.cell_values(real, path, fields, kept, training, args.settings)
            own |= {name: with_resamples(values, weights) for name, values in scores.items()}
    return found


def seconds_of(path: Path) -> dict[str, float]:
    """Return what painting one field took, from the table that `gather` writes: {wall_s, cpu_s}; NaN if nothing was painted."""
    table = store.read_table(path, ["fields", *SECONDS])
    painted = table["fields"].sum()
    return {name: table[name].sum() / painted if painted else np.nan for name in SECONDS}


def relative(value: float, other: float) -> float:
    """Return sqrt(value / other) - 1 of two MMD^2, the relative increase in MMD; NaN unless both are above 0."""
    return float(np.sqrt(value / other) - 1) if value > 0 and other > 0 else float("nan")


def point_rows(found: dict, base: dict) -> list[dict]:
    """Turn one point's values and resamples into rows, each with its difference to the reference's.

    `mmd_increase` is relative, of MMD (not squared); a resample in which either MMD^2 is below 0 takes no part.
    """
    rows = []
    for name, (value, resampled) in found.items():
        low, high = resampling.interval(resampled)
        apart = resampling.interval(resampled - base[name][1])
        rows.append({"metric": name, "value": value, "low": low, "high": high, "difference": value - base[name][0],
                     "difference_low": apart[0], "difference_high": apart[1]})  # fmt: skip
    if "mmd2" in found:
        pairs = zip(found["mmd2"][1], base["mmd2"][1])
        low, high = resampling.interval(np.array([relative(*pair) for pair in pairs]))
        rows.append(
            {"metric": "mmd_increase", "value": relative(found["mmd2"][0], base["mmd2"][0]), "low": low, "high": high}
        )
    return rows


def sweep_table(
    points: Sequence[dict], measured: dict[str, dict], seconds: dict[str, dict], reference: str
) -> pd.DataFrame:
    """Lay every point's numbers out, one row a point and metric.

    Parameters
    ----------
    points : name, sampler, steps, spacing, eta, label_scale
    measured : {point: {metric: (value, (B,) resamples)}}
    seconds : {point: {wall_s, cpu_s}} a field
    reference : the point that the others are compared with
    """
    rows = []
    for point in points:
        name = point["name"]
        own = point_rows(measured[name], measured[reference])
        own += [{"metric": key, "value": value} for key, value in seconds[name].items()]
        faster = seconds[reference]["wall_s"] / seconds[name]["wall_s"]
        own.append({"metric": "times_faster", "value": faster})
        described = {**point, "evaluations": evaluations(point), "reference": name == reference}
        rows += [{**described, **row} for row in own + sweep_draws.rank_rows(measured, name)]
    return pd.DataFrame(rows).reindex(columns=[*described, "metric", *INTERVALS])


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: channels, cutoff, points, reference, and of several samples samples, components",
    )
    parser.add_argument("--real", type=Path, required=True, help="the plate's real stack")
    parser.add_argument("--fields", type=Path, required=True, help="the fields drawn")
    parser.add_argument("--predicted", type=Path, nargs="+", required=True, help="stacks, one a point")
    parser.add_argument("--seconds", type=Path, nargs="+", required=True, help="what their sampling took")
    parser.add_argument("--medians", type=Path, nargs="*", default=[], help="their field medians, or none")
    parser.add_argument("--real-medians", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--training", type=Path, nargs="*", default=[], help="real medians of training plates, of samples"
    )
    parser.add_argument("--selection", type=Path, nargs="*", default=[])
    parser.add_argument("--metrics", type=Path, required=True, help="the table to write")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = parser().parse_args(argv)
    points, rows = args.settings["points"], store.with_row_keys(store.read_fields(args.fields))
    fields = (
        rows[rows["Metadata_draw"] == 0].drop(columns=["Metadata_painted_as", "Metadata_draw"]).reset_index(drop=True)
    )
    if not len(points) == len(args.predicted) == len(args.seconds) or len(args.medians) not in (0, len(points)):
        raise ValueError("sweep: --predicted, --seconds and --medians must name every point of the settings")
    real = store.open_stack(args.real).select(fields)
    weights = discrepancy.field_weights(
        fields["Metadata_Well"], resampling.seeded("sweep", fields["Metadata_Plate"].iloc[0])
    )
    measured, seconds = {}, {}
    for place, (point, features) in enumerate(zip(points, feature_values(args, fields, weights))):
        images = point_images(real, fields, args.predicted[place], args.settings)
        found = {name: with_resamples(values, weights) for name, values in images.items() if values.ndim == 1}
        found |= sweep_draws.spreads(images, args.settings.get("samples", 1), weights)
        measured[point["name"]], seconds[point["name"]] = {**found, **features}, seconds_of(args.seconds[place])
    table = sweep_table(points, measured, seconds, args.settings["reference"])
    store.write_table(table.assign(plate=fields["Metadata_Plate"].iloc[0], n=len(fields)), args.metrics)


if __name__ == "__main__":
    run(main)
