"""What a plate should have and has not, as the rule index finds it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pandas as pd

from brightpaint import store
from brightpaint.plates.files import Files
from brightpaint.study import choice

MISSING = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Channel", "expected", "reason"]
EXCLUDED = "left out by source.exclude"
LISTED = 100  # missing images in a log
log = logging.getLogger(__name__)


def expected_fields(files: Files, wells: pd.DataFrame, plate: dict, *, every_well: bool) -> list[tuple]:
    """Return the (well, site) pairs that a plate should have: what is listed, and the gaps between.

    Parameters
    ----------
    wells : the platemap's wells that are wanted; with `every_well`, each that holds something should have images, and
        otherwise only those that the plate row names. Where the row has a list of fields, each of these should have images
    """
    if (fields := choice.chosen_fields(plate)) is not None:
        wanted = set(wells["Metadata_Well"])
        return sorted({field for field in fields if field[0] in wanted}.union(files.fields()))
    sites = choice.chosen_sites(plate) or files.sites()
    named = choice.chosen_wells(plate) or []
    filled = wells.loc[wells["Metadata_perturbation"] != "", "Metadata_Well"]
    due = {(well, site) for well in (filled if every_well else named) for site in sites}
    return sorted(due.union(files.fields()))


def find_missing(files: Files, fields: Sequence[tuple], plate: str) -> pd.DataFrame:
    """Return one row per image that one of `fields` should have and that is not there (columns `MISSING`)."""
    rows = []
    for well, site in fields:
        listed = files.of_field(well, site)
        for channel in files.channels:
            key, size = listed.get(channel, ("", None))
            if not key:
                reason = "no file is named for it" if listed else "the field is not listed"
                rows.append([plate, well, site, channel, "", reason])
            elif size is None:
                rows.append([plate, well, site, channel, key, "the file is not there"])
            elif size == 0:
                rows.append([plate, well, site, channel, key, "the file is empty"])
    return pd.DataFrame(rows, columns=MISSING)


def list_excluded(files: Files, fields: set[tuple], plate: str) -> pd.DataFrame:
    """Return one row per image of the excluded `fields` that are there (columns `MISSING`)."""
    rows = []
    for well, site in sorted(fields.intersection(files.fields())):
        listed = files.of_field(well, site)
        rows += [[plate, well, site, name, listed.get(name, ("",))[0], EXCLUDED] for name in files.channels]
    return pd.DataFrame(rows, columns=MISSING)


def refuse_missing(missing: pd.DataFrame, expected: int, source) -> None:
    """List what is missing and raise ValueError."""
    for row in missing[:LISTED].to_dict("records"):
        log.error("missing: %s: %s %s", store.describe_field(row, row["Channel"]), row["reason"], row["expected"])
    row = missing.iloc[0]
    wanted = source.describe(row["expected"]) if row["expected"] else "a file"
    raise ValueError(
        f"{store.describe_field(row, row['Channel'])}: expected {wanted}, but {row['reason']} "
        f"({len(missing)} of {expected} images are missing); mend the source, or set source.missing: skip to leave "
        "such fields out and list them"
    )
