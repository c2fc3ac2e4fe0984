"""Which fields of a plate are shown, chosen by rule and not by eye; what is read of them, and how they are named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.profiles.treatments import well_places
from brightpaint.report.style import as_text


def choose_fields(fields: pd.DataFrame, count: int) -> list[int]:
    """Choose fields far from one another on the plate, of different perturbations where there are enough.

    The first is a DMSO field if there is one; each further one lies farthest from those chosen.

    Returns
    -------
    row numbers in `fields`, `count` at most, in the order chosen
    """
    places = well_places(fields["Metadata_Well"])
    places = np.where(np.isfinite(places), places, 0.0)
    order = fields.sort_values(store.FIELD_KEYS).index.to_numpy()
    dmso = [row for row in order if fields.at[row, "Metadata_control_type"] == "negcon"]
    chosen: list[int] = list((dmso or list(order))[:1])
    while len(chosen) < min(count, len(fields)):
        seen = set(fields.loc[chosen, "Metadata_perturbation"])
        left = [row for row in order if row not in chosen]
        fresh = [row for row in left if fields.at[row, "Metadata_perturbation"] not in seen] or left
        gaps = [np.linalg.norm(places[chosen] - places[row], axis=1).min() for row in fresh]
        chosen.append(fresh[int(np.argmax(gaps))])
    return [int(row) for row in chosen]


def shown_fields(fields: pd.DataFrame, tables: dict[str, pd.DataFrame], count: int, where: str) -> pd.DataFrame:
    """Return the rows of `fields` to show: chosen among those that every arm predicts."""
    keys = store.FIELD_KEYS
    common = fields.reset_index(names="real_row")
    for rows in tables.values():
        common = common.merge(rows[keys], on=keys)
    if common.empty:
        raise ValueError(f"{where}: no field is predicted by every arm of {', '.join(tables)}; rerun the arms")
    return common.loc[choose_fields(common, count)]


def standardised_stains(
    stack: store.Stack, rows: pd.DataFrame, field: pd.Series, channels: Sequence[str]
) -> np.ndarray:
    """Read the stains of one field, found by its keys: (C, H, W) z-scores."""
    return standardise(stack.images[store.place_of(field, rows)][stack.channel_indices(channels)])


def middle_input(channels: dict) -> str | None:
    """Return the brightfield plane that is shown, the middle one; None in a study without brightfield."""
    return channels["input"][len(channels["input"]) // 2] if channels["input"] else None


def standardised_middle(real: store.Stack, row: int, channels: dict) -> dict[str, np.ndarray]:
    """Read the brightfield plane that is shown of one field, `{"brightfield": (H, W) z-scores}`; {} without brightfield."""
    middle = middle_input(channels)
    return {"brightfield": standardise(real.images[row][real.channel_indices([middle])[0]])} if middle else {}


def heading_of(field: pd.Series) -> str:
    """Name a field above its rows: well, site, and what was in the well."""
    words = [f"{as_text(field['Metadata_Well'], 12)}, site {field['Metadata_Site']}"]
    if field["Metadata_Tile"] != 1:
        words[0] += f", tile {field['Metadata_Tile']}"
    if field["Metadata_perturbation"]:
        held, target = field.get("Metadata_treatment", field["Metadata_perturbation"]), field["Metadata_target"]
        words.append(as_text(held) + (f" ({as_text(target)})" if target else ""))
    return ": ".join(words)
