"""What a model's conditions mean: learnt from its training fields, kept in its weights, applied to the fields that it paints.

A vocabulary is JSON: {condition: what is kept of it}. Categories are numbered from 1 in their own order; a number's range is
scaled to 0..1000; of molecules see `molecule_vectors`. What a field lacks is missing, and nothing is put in its place. Loads no
torch, so that a plan can ask it.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from brightpaint.models.conditions import molecule_vectors as molecules
from brightpaint.models.paint.class_choice import listed
from brightpaint.study.annotations import DMSO, NOTHING
from brightpaint.study.choice import WELL, row_number
from brightpaint.study.conditions import CATEGORY, CONDITIONS, MOLECULE, NUMBER, REFUSED, Part, Told, ordered

log = logging.getLogger(__name__)
SCALE = 1000.0  # as DiffusionSat's numbers and the time step run
BEYOND = 0.01 * SCALE  # platemaps write one dose with different last digits


def categories(fields: pd.DataFrame, told: Told) -> np.ndarray:
    """Return each field's category, "" for none, (N,) object."""
    if told.column not in fields:
        return np.full(len(fields), "", dtype=object)
    values = fields[told.column].astype(object).where(fields[told.column].notna(), "").astype(str).to_numpy(object)
    if told.given and told.name != "perturbation" and "Metadata_perturbation" in fields:
        values = np.where((fields["Metadata_perturbation"] == DMSO).to_numpy(), DMSO, values)
    return np.array(["" if value.casefold() in NOTHING else value for value in values], dtype=object)


def numbers(fields: pd.DataFrame, told: Told) -> np.ndarray:
    """Return each field's numbers before scaling, not a number for none: (N, K) float64.

    Raises
    ------
    ValueError
        naming plate and well of a dose that has no logarithm, and of a well whose name has no place
    """
    if told.column not in fields:
        return np.full((len(fields), 1), np.nan)
    if told.column == "Metadata_Well":
        first = fields.reset_index(drop=True).drop_duplicates(told.column)
        places = {name: _place(fields, row) for row, name in zip(first.index, first[told.column])}
        return np.array([places[name] for name in fields[told.column]], dtype=np.float64).reshape(-1, 2)
    values = fields[told.column].to_numpy(np.float64, copy=True)
    if told.given:
        values[fields["Metadata_perturbation"].isin([DMSO, ""]).to_numpy()] = np.nan
    values[~np.isfinite(values)] = np.nan
    if told.logarithmic:
        if (bad := np.flatnonzero(values <= 0)).size:
            row = fields.iloc[bad[0]]
            raise ValueError(
                f"plate {row['Metadata_Plate']}, well {row['Metadata_Well']}: {told.name} {values[bad[0]]:g}{told.unit} has no "
                "logarithm; expected one above 0, or none"
            )
        values = np.log10(values)
    return values[:, None]


def _place(fields: pd.DataFrame, row: int) -> tuple[float, float]:
    name = fields["Metadata_Well"].iloc[row]
    if not (found := re.fullmatch(WELL, str(name))):
        raise ValueError(f"plate {fields['Metadata_Plate'].iloc[row]}: well {name} has no row and column, which the condition "
                         "well_position is; leave the condition out")  # fmt: skip
    return row_number(found[1]), int(found[2])


def learn(fields: pd.DataFrame, chosen: Mapping[str, Mapping]) -> dict[str, dict]:
    """Return the vocabulary of a model's conditions, in their order.

    Parameters
    ----------
    fields : those that are trained on
    chosen : `conditions` of the model

    Raises
    ------
    ValueError
        for a condition that no training field has
    """
    return {name: _learn(fields, CONDITIONS[name], chosen[name]) for name in ordered(chosen)}


def _learn(fields: pd.DataFrame, told: Told, chosen: Mapping) -> dict:
    if told.form == MOLECULE:
        return molecules.learn(molecules.canonical_of(fields), chosen)
    if told.form == CATEGORY:
        values = sorted(set(categories(fields, told)) - {""})
        empty = not values
    else:
        known = numbers(fields, told)
        empty = not np.isfinite(known).all(axis=1).any()
    if empty:
        raise ValueError(
            f"condition {told.name}: no training field has one ({told.column}); leave the condition out, or check the plate table, "
            "the platemap, or your own CSV"
        )
    if told.form == CATEGORY:
        return {"values": values}
    return {"low": np.nanmin(known, axis=0).tolist(), "high": np.nanmax(known, axis=0).tolist()}


def parts(vocabulary: Mapping[str, Mapping]) -> dict[str, Part]:
    """Return how each condition is embedded, for `ConditionEncoder`."""
    counts = {CATEGORY: lambda kept: len(kept["values"]), NUMBER: lambda kept: len(kept["low"]),
              MOLECULE: lambda kept: kept["entries"] + 1}  # fmt: skip
    forms = {name: CONDITIONS[name].form for name in ordered(vocabulary)}
    return {name: Part(form, counts[form](vocabulary[name])) for name, form in forms.items()}


def tell(
    fields: pd.DataFrame,
    vocabulary: Mapping[str, Mapping],
    *,
    shown: Mapping[str, object] | None = None,
    vectors: str | None = None,
) -> dict[str, np.ndarray]:
    """Return the parts of a condition that fields are told, as `Condition` holds them: (N,) int64 or (N, K) float32.

    Parameters
    ----------
    fields : field table
    shown : {condition: value for all fields, None to leave it out} in place of the fields' own; what a well was given is not
        changed for wells of DMSO
    vectors : path of the table of molecules' vectors

    Raises
    ------
    ValueError
        naming plate and well of a value that the model does not know and that can't be missing (`study.conditions`)
    """
    shown = shown or {}
    if foreign := [name for name in shown if name not in vocabulary]:
        raise ValueError(
            f"conditions: the model is not told {', '.join(foreign)}; it is told {listed(ordered(vocabulary))}"
        )
    found = {}
    for name in ordered(vocabulary):
        told, kept = CONDITIONS[name], vocabulary[name]
        if name in shown and shown[name] is None:
            found[name] = _nothing(told, kept, len(fields))
            continue
        seen = with_shown(fields, told, shown[name]) if name in shown else fields
        found[name] = _tell(seen, told, kept, vectors, chosen=name in shown)
    return found


def with_shown(fields: pd.DataFrame, told: Told, value: object) -> pd.DataFrame:
    """Return the fields as they would be with this value of a condition; wells of DMSO, and of nothing, keep their treatment."""
    column = told.column
    if not told.given:
        return fields.assign(**{column: value})
    treated = ~fields["Metadata_perturbation"].isin([DMSO, ""])
    own = fields[column] if column in fields else pd.Series(math.nan if told.form == NUMBER else "", index=fields.index)
    return fields.assign(**{column: own.where(~treated, value)})


def learn_and_tell(
    fields: pd.DataFrame, chosen: Mapping[str, Mapping]
) -> tuple[dict[str, dict], dict[str, np.ndarray]]:
    """Return the vocabulary of training fields, and what they are told."""
    kept = learn(fields, chosen)
    return kept, tell(fields, kept, vectors=chosen.get("molecule", {}).get("vectors"))


def spread(told: Mapping[str, np.ndarray], rows: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Return the parts of `count` rows of which these are the parts of `rows`; the others are told nothing."""
    whole = {}
    for name, part in told.items():
        whole[name] = np.full((count, *part.shape[1:]), np.nan if part.dtype.kind == "f" else 0, dtype=part.dtype)
        whole[name][rows] = part
    return whole


def _nothing(told: Told, kept: Mapping, count: int) -> np.ndarray:
    if told.form == CATEGORY:
        return np.zeros(count, dtype=np.int64)
    width = len(kept["low"]) if told.form == NUMBER else kept["entries"] + 1
    return np.full((count, width), np.nan, dtype=np.float32)


def _tell(fields: pd.DataFrame, told: Told, kept: Mapping, vectors: str | None, *, chosen: bool) -> np.ndarray:
    if told.form == MOLECULE:
        names = molecules.canonical_of(fields)
        if new := molecules.unseen(names, kept):
            log.info("%d molecules were not trained on and are told by their structure alone", len(new))
        return molecules.encode(names, kept, vectors)
    if told.form == NUMBER:
        return _scaled(fields, told, kept)
    values = categories(fields, told)
    places = {value: number for number, value in enumerate(kept["values"], start=1)}
    unknown = np.array([value != "" and value not in places for value in values], dtype=bool)
    if unknown.any() and (chosen or told.unseen == REFUSED):
        row = fields.iloc[int(np.argmax(unknown))]
        raise ValueError(
            f"plate {row['Metadata_Plate']}, well {row['Metadata_Well']}: {told.name} {values[unknown][0]} was not trained on; the "
            f"model knows {listed(kept['values'])}; paint with conditions: {{{told.name}: null}}, or as one of these"
        )
    if unknown.any():
        log.info("%d of %d fields have a %s that was not trained on: missing", unknown.sum(), len(fields), told.name)
    return np.array([places.get(value, 0) for value in values], dtype=np.int64)


def _scaled(fields: pd.DataFrame, told: Told, kept: Mapping) -> np.ndarray:
    """Return numbers scaled to 0..SCALE over their training range: (N, K) float32."""
    raw, low, high = numbers(fields, told), np.array(kept["low"]), np.array(kept["high"])
    span = np.where(high > low, high - low, 1.0)
    scaled = (raw - low) / span * SCALE
    outside = ((scaled < -BEYOND) | (scaled > SCALE + BEYOND)).any(axis=1)
    if outside.any():
        row = fields.iloc[int(np.argmax(outside))]
        ends = [" to ".join(_written(told, each) for each in pair) for pair in zip(kept["low"], kept["high"])]
        raise ValueError(
            f"plate {row['Metadata_Plate']}, well {row['Metadata_Well']}: {told.name} {row[told.column]}{told.unit} lies "
            f"outside what was trained on, {' and '.join(ends)}{told.unit}; paint with conditions: {{{told.name}: null}}, or "
            "with a value in it"
        )
    return scaled.clip(0.0, SCALE).astype(np.float32)


def _written(told: Told, value: float) -> str:
    return f"{10**value if told.logarithmic else value:.4g}"


def problems(vocabulary: object, chosen: object):
    """Yield what is wrong with the vocabulary of a weights file, which may be somebody else's."""
    if not isinstance(vocabulary, dict) or not isinstance(chosen, dict) or set(vocabulary) != set(chosen):
        yield f"its conditions are {chosen!r} and what it keeps of them is of {vocabulary!r:.200}; expected the same names"
        return
    for name, kept in vocabulary.items():
        if name not in CONDITIONS or not isinstance(kept, dict) or not _whole(CONDITIONS[name], kept):
            yield f"its condition {name} keeps {kept!r:.200}, which is not what brightpaint writes"


def _whole(told: Told, kept: dict) -> bool:
    def texts(values) -> bool:
        return isinstance(values, list) and all(isinstance(value, str) and value for value in values)

    def finite(values, count: int | None = None) -> bool:
        right = isinstance(values, list) and all(
            type(value) in (int, float) and math.isfinite(value) for value in values
        )
        return right and bool(values) and count in (None, len(values))

    if told.form == CATEGORY:
        return texts(kept.get("values")) and bool(kept["values"]) and len(set(kept["values"])) == len(kept["values"])
    if told.form == NUMBER:
        count = 2 if told.column == "Metadata_Well" else 1
        return finite(kept.get("low"), count) and finite(kept.get("high"), count)
    entries = kept.get("entries")
    scaled = kept.get("encoder") == "morgan" or all(finite(kept.get(key), entries) for key in ("mean", "sd"))
    return (
        kept.get("encoder") in ("morgan", "descriptors", "vectors")
        and type(entries) is int and 0 < entries <= 65536 and scaled
        and isinstance(kept.get("probe"), str)
        and isinstance(kept.get("molecules"), dict)
    )  # fmt: skip
