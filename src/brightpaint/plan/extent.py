"""How large a study's plates are, from the best that is known before anything is fetched.

Best is the plate's index, where it has been made; else the simulator's settings, the user's own CSV, or the platemap
format (384 wells) and what is known of the source's microscope (resources/sources.tsv).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from brightpaint import store
from brightpaint.plates import index
from brightpaint.study.choice import chosen_fields, chosen_sites, chosen_wells
from brightpaint.study.study import Study

WELLS = 384  # of a plate in the gallery
UNKNOWN = {"sites": 9, "raw_px": 1080}  # the larger of what sources have: a plan should not be too small


@dataclass(frozen=True)
class Extent:
    """Size of one plate: raw `fields` of `raw_px` by `raw_px`, their `raw_bytes`, prepared `tiles`; `known` says how."""

    fields: int
    raw_px: int
    channels: int
    raw_bytes: int
    tiles: int
    known: str


def extents(study: Study, sources: Path, root: Path = Path(".")) -> dict[str, Extent]:
    """Return the extent of every plate that the study uses."""
    table = store.read_table(sources, ["source", "sites", "raw_px"]).set_index("source")
    return {plate: extent_of(study, plate, table, root) for plate in study.used_plates()}


def extent_of(study: Study, plate: str, sources, root: Path) -> Extent:
    """Return the extent of one plate."""
    row, channels = study.plates[plate], len(study.channels(plate))
    rows, columns = study.config["prepare"]["grid"]
    tiles = len(row["region"].split(",")) if row.get("region") else rows * columns
    fields, raw_px, size, known = _raw(study, row, channels, sources, root)
    return Extent(fields, raw_px, channels, size or 2 * channels * fields * raw_px**2, fields * tiles, known)


def _raw(study: Study, row: dict, channels: int, sources, root: Path) -> tuple[int, int, int | None, str]:
    """Return fields, raw_px, bytes (None where they follow from the rest) and how this is known."""
    config, plate = study.config, row["plate"]
    layout = config["source"]["layout"]
    source = dict(sources.loc[row["source"]]) if row.get("source") in sources.index else UNKNOWN
    raw_px = config["simulate"]["size_px"] if layout == "simulated" else int(source["raw_px"])
    made = root / config["pathvars"]["resources"] / "index" / f"{plate}.parquet"
    if made.exists():
        files = store.read_table(made, ["Metadata_Well", "Metadata_Site", "size"])
        fields = len(files[["Metadata_Well", "Metadata_Site"]].drop_duplicates())
        return fields, raw_px, int(files["size"].sum()), "its index"
    wells, sites = chosen_wells(row), chosen_sites(row)
    if layout != "table" and (fields := chosen_fields(row)) is not None:
        return len(fields), raw_px, None, "its list of fields"
    if layout == "simulated":
        simulate = config["simulate"]
        chosen = len(wells) if wells else simulate["rows"] * simulate["columns"]
        return chosen * (len(sites) if sites else simulate["sites"]), raw_px, None, "simulate"
    if layout == "table":
        return _listed(study, plate, root), raw_px, None, "its table"
    how = "source" if row.get("source") in sources.index else "a guess"
    count = (len(wells) if wells else WELLS) * (len(sites) if sites else int(source["sites"]))
    return count, raw_px, None, how


def _listed(study: Study, plate: str, root: Path) -> int:
    """Return how many fields of a plate the user's own CSV lists, read as the rule index reads it."""
    source = dict(study.config["source"])
    source |= {key: str(root / source[key]) for key in ("table", "compounds", "molecules", "exclude") if source[key]}
    settings = {"source": source, "plate": study.plates[plate], "channels": study.channels(plate)}
    files, _, gone = index.list_named(settings, None)
    return len(set(files.fields()) - gone)
