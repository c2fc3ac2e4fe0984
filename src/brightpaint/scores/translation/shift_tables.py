"""The tables of a translation in one space, on one plate: classes, changes, correlations, wells; and its rows of metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.models.conditions.labels import TWIN
from brightpaint.scores.translation import class_distance, dose_correlation, what_changes
from brightpaint.scores.translation.class_distance import FRESH, HALF, IDENTITY, RECONSTRUCTION, TRAINING, TRANSLATION
from brightpaint.scores.translation.translated_classes import aligned, classes_of
from brightpaint.scores.translation.well_shift import ALPHA, CLASS, WellNoise, well_means, well_noise

REAL = "real"


@dataclass(frozen=True)
class PlateShifts:
    """What is known of a translation on one plate in one space.

    Attributes
    ----------
    plate, source : the plate, and the class that was translated
    numbers : columns of the space
    real : real fields of the plate; training : of the plates its model was trained on; both with CLASS, where a twin's
        wells are the twin's
    translated, fresh : rows with CLASS, the class shown; `fresh` is None where the arm has no companion
    trained : WELL_KEYS and CLASS of the wells trained on
    inert : classes known to do nothing
    """

    plate: str
    source: str
    numbers: list[str]
    real: pd.DataFrame
    training: pd.DataFrame
    translated: pd.DataFrame
    fresh: pd.DataFrame | None
    trained: pd.DataFrame
    inert: Sequence[str] = ()

    @property
    def targets(self) -> list[str]:
        return [name for name in dict.fromkeys(self.translated[CLASS]) if name != self.source]

    @cached_property
    def noise(self) -> WellNoise:
        """How much real wells vary, those of the training plates among them."""
        every = pd.concat([self.training, self.real], ignore_index=True)
        return well_noise(well_means(every, self.numbers), self.numbers, self.source)

    def whole(self, fields: pd.DataFrame) -> pd.DataFrame:
        """Return real fields with a twin's wells among the source's again: all classes but the twin meet both halves."""
        return fields.assign(**{CLASS: fields[CLASS].replace(TWIN, self.source)})

    def of_class(self, fields: pd.DataFrame, name: str) -> pd.DataFrame:
        return fields[fields[CLASS] == name]

    def fields(self, frame: pd.DataFrame) -> class_distance.Fields:
        wells = (frame["Metadata_Plate"] + "/" + frame["Metadata_Well"]).to_numpy(str)
        return class_distance.Fields(frame[self.numbers].to_numpy(np.float64), wells)


def changes_table(known: PlateShifts) -> pd.DataFrame:
    """Return the table "what changes" of every target class, with `plate` and `control`; see `what_changes.changes`."""
    split = known.real, known.whole(known.real)
    parts = []
    for twin, real in zip((True, False), split):
        shown = [known.source, *(name for name in known.targets if (name == TWIN) == twin)]
        rows = known.translated[known.translated[CLASS].isin(shown)]
        wells = well_means(real, known.numbers)
        parts.append(what_changes.changes(rows, wells, known.trained, known.numbers, known.source, known.noise))
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    control = [what_changes.control_of(name, TWIN, known.inert) for name in table[CLASS]]
    table = table.assign(plate=known.plate, control=control)
    place = {name: n for n, name in enumerate(known.targets)}
    return table.sort_values(CLASS, key=lambda names: names.map(place), kind="stable", ignore_index=True)


def class_table(known: PlateShifts, changes: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each target class and reference: `class_distance.class_rows`, what is known of the class, how much is
    found in it and whether its shifts have the real direction."""
    base = aligned(known.real, known.of_class(known.translated, known.source), f"real fields of plate {known.plate}")
    scale = class_distance.field_scale(known.fields(base), f"plate {known.plate}")
    scaled = lambda frame: scale.of(known.fields(frame))  # noqa: E731
    whole, trained = known.whole(known.real), known.whole(known.training)
    every = pd.concat([known.training, known.real], ignore_index=True)
    said, rows = classes_of(pd.concat([every, known.whole(every)])).set_index(CLASS), []
    for name in known.targets:
        real, training = (known.real, known.training) if name == TWIN else (whole, trained)
        held = scaled(known.of_class(real, name))
        images = {TRANSLATION: known.of_class(known.translated, name),
                  RECONSTRUCTION: known.of_class(known.translated, known.source)}  # fmt: skip
        if known.fresh is not None:
            images[FRESH] = known.of_class(known.fresh, name)
        sides = {kind: scaled(aligned(frame, base, f"{kind} of plate {known.plate}")) for kind, frame in images.items()}
        sigma = class_distance.bandwidth_of(scaled(known.of_class(whole, known.source)), held)
        own = changes[changes[CLASS] == name]
        ordered = own.set_index("number").loc[known.numbers].reset_index()
        signs = what_changes.sign_agreement(ordered, known.noise, f"{known.plate}/{name}")
        about = {"plate": known.plate, CLASS: name, "control": what_changes.control_of(name, TWIN, known.inert),
                 "perturbation": "", "dose": np.nan, "real_fields": len(held), "real_wells": len(set(held.wells)),
                 **what_changes.found_rate(own), **{f"direction_{key}": value for key, value in signs.items()}}  # fmt: skip
        if name in said.index:
            about |= {"perturbation": said.at[name, "Metadata_perturbation"], "dose": said.at[name, "Metadata_dose"]}
        found = class_distance.class_rows(scaled(base), sides, scaled(known.of_class(training, name)), held, sigma,
                                          (known.plate, name))  # fmt: skip
        rows += [{**about, **row} for row in found]
    return pd.DataFrame(rows)


def wells_table(known: PlateShifts) -> pd.DataFrame:
    """Return wells of every class, for curves: `kind` (real, translation, fresh noise), WELL_KEYS, class and the numbers."""
    sides = {REAL: known.whole(known.real), TRANSLATION: known.translated, FRESH: known.fresh}
    shown = [known.source, *known.targets]
    parts = [well_means(frame[frame[CLASS].isin(shown)], known.numbers).assign(kind=kind)
             for kind, frame in sides.items() if frame is not None]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def series_of(classes: pd.DataFrame) -> dict[str, list[tuple[float, str]]]:
    """Return {compound: [(dose, class), ...]}, lowest first, of the compounds with doses enough that are no controls."""
    asked = np.isfinite(classes["dose"]) & (classes["real_wells"] > 0) & (classes["control"] == "")
    known = classes[asked].drop_duplicates(CLASS)
    found = {name: sorted(zip(own["dose"], own[CLASS])) for name, own in known.groupby("perturbation", sort=True)}
    return {name: steps for name, steps in found.items() if name and len(steps) >= dose_correlation.FEWEST_DOSES}


def dose_wells(wells: pd.DataFrame, kind: str, steps: list[tuple[float, str]], numbers: list[str]) -> list[np.ndarray]:
    """Return the (n, F) wells of one kind at each dose of a compound."""
    own = wells[wells["kind"] == kind]
    return [own[own[CLASS] == name][numbers].to_numpy(np.float64) for _, name in steps]


def correlation_table(
    wells: pd.DataFrame, classes: pd.DataFrame, changes: pd.DataFrame, numbers: list[str]
) -> tuple[pd.DataFrame, list[dict]]:
    """Correlate condition means over the doses of each compound.

    Returns
    -------
    one row a kind (translation, fresh noise), compound and number: `r`, and `real` (0/1: found in real cells at some dose)
    rows of metrics: `dose_r` of all numbers, `dose_r_real` of those with a real change
    """
    series = series_of(classes)
    plate = str(classes["plate"].iloc[0])
    means = lambda sides: np.stack([np.nanmean(side, axis=0) for side in sides])  # noqa: E731
    tables, rows = [], []
    for kind in [kind for kind in (TRANSLATION, FRESH) if (wells["kind"] == kind).any()]:
        pairs, changed, drawn = [], [], []
        for name, steps in series.items():
            real, other = (dose_wells(wells, side, steps, numbers) for side in (REAL, kind))
            there = changes[changes[CLASS].isin([step for _, step in steps]) & (changes["real_q"] <= ALPHA)]
            changed.append(np.isin(numbers, there["number"]))
            pairs.append((means(real), means(other)))
            drawn.append((real, other))
            r = dose_correlation.dose_correlations(*pairs[-1])
            tables.append(pd.DataFrame({"plate": plate, "kind": kind, "perturbation": name, "doses": len(steps),
                                        "number": numbers, "r": r, "real": changed[-1].astype(int)}))  # fmt: skip
        every = [np.ones(len(numbers), bool)] * len(pairs)
        for metric, chosen in (("dose_r", every), ("dose_r_real", changed)):
            cut = [tuple(side[:, columns] for side in pair) for pair, columns in zip(pairs, chosen)]
            row = {"metric": metric, "kind": kind, **dose_correlation.dose_row(cut, f"{plate}/{metric}")}
            some = [(tuple([w[:, c] for w in side] for side in sides)) for sides, c in zip(drawn, chosen)]
            if row["n"]:
                resampled = dose_correlation.resampled_medians(some, tied=True, seed=f"{plate}/{metric}/{kind}")
                row["low"], row["high"] = resampling.interval(resampled)
            rows.append(row)
    columns = ["plate", "kind", "perturbation", "doses", "number", "r", "real"]
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)), rows


def metric_rows(classes: pd.DataFrame, correlations: list[dict]) -> Iterator[dict]:
    """Sum the classes of one plate up: rows of the metrics table, without its place.

    Means are over target classes that are no controls, their intervals over classes; `n` counts these.
    """
    own = classes[classes["control"] == ""]
    mean = lambda reference, column: own.loc[own["reference"] == reference, column].mean()  # noqa: E731
    # metric, column, of, null (what chance gives), floor (what is reached without translating)
    summed = [
        ("class_distance", "distance", TRANSLATION, HALF, IDENTITY),
        ("class_mmd2", "mmd2", TRANSLATION, HALF, IDENTITY),
        ("source_kept", "kept", TRANSLATION, TRAINING, FRESH),
        ("source_moved", "moved", RECONSTRUCTION, TRAINING, FRESH),
    ]
    for metric, column, reference, null, floor in summed:
        values = own[(own["reference"] == reference) & own[column].notna()]
        if not len(values):
            continue
        rng = resampling.seeded(metric, *values["plate"].unique())
        low, high = resampling.bootstrap_ratio(values[column].to_numpy(), np.ones(len(values)), values[CLASS], rng)
        if reference == RECONSTRUCTION:  # the same rows for every class
            low, high = values["moved_low"].iloc[0], values["moved_high"].iloc[0]
        yield {"metric": metric, "value": values[column].mean(), "low": low, "high": high, "null": mean(null, column),
               "floor": mean(floor, column), "n": len(values)}  # fmt: skip
    once = classes.drop_duplicates(CLASS)
    told = once[(once["control"] == "") & once["direction_value"].notna()]
    if len(told):
        rng = resampling.seeded("direction", *told["plate"].unique())
        low, high = resampling.bootstrap_ratio(told["direction_value"].to_numpy(), np.ones(len(told)), told[CLASS], rng)
        yield {"metric": "direction", "value": told["direction_value"].mean(), "low": low, "high": high,
               "null": told["direction_null"].mean(), "null_bound": told["direction_null_bound"].mean(),
               "n": len(told)}  # fmt: skip
    fresh = {row["metric"]: row["value"] for row in correlations if row["kind"] == FRESH}
    for row in [row for row in correlations if row["kind"] == TRANSLATION and row["n"]]:
        yield {**{key: value for key, value in row.items() if key != "kind"}, "floor": fresh.get(row["metric"], np.nan)}
    yield from what_changes.control_rows(once)
