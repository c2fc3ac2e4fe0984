"""Flag raw images by what `quality` measured, and leave out the fields that the config excludes.

Flags (limits: workflow/schemas/config/quality.yaml):

- blank: one constant value, which cannot be normalised
- noise: neighbouring pixels that go together no more than noise does. The shutter was closed, or nothing was stained,
  or the well is empty, which may be what a compound did to it
- saturated: a share of pixels at the largest value
- blurred: a power spectrum steeper than the channel's other images on the plate
- background: darkest pixels far above or below the channel's other images
- duplicate: pixels identical to those of another file
- planes: brightfield planes that are not in the order of their heights. Planes near each other are alike, so the
  outer two of three neighbours must be the least alike; and what one end shows as bright the other shows as dark, so a
  field whose ends are exchanged stands against its plate
- channels: a plate whose brightfield varies more than a stain (as a share of its mean), or with a stain that goes less
  with the other stains than DNA, which alone lies in nuclei

The table of fields that leaves here is the one that every later stage reads; `stack_row` says where each field lies in
the plate stack, which holds the left out ones too, so that another limit prepares nothing again.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run

FLAGS = ["blank", "noise", "saturated", "blurred", "background", "duplicate", "planes", "channels"]
KEYS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
COLUMNS = [*KEYS, "Channel", "flag", "value", "limit", "detail", "excluded"]
ROBUST = 1.4826  # median absolute deviation to s.d. of a normal distribution
ENDS_SD = 4  # robust s.d. between a field whose end planes are exchanged and its plate
LEAST_APART = 0.05  # by which a stain must go less with the others than DNA to be taken for it
log = logging.getLogger(__name__)


def excluded_flags(exclude: bool | Sequence[str]) -> list[str]:
    """Return the flags whose fields are left out: `true` all, `false` none, else the list."""
    return (FLAGS if exclude else []) if isinstance(exclude, bool) else list(exclude)


def image_flags(measures: pd.DataFrame, settings: dict) -> Iterator[tuple]:
    """Yield (row number, flag, value, limit, detail) of images that are wanting by themselves or beside their plate."""
    blank = measures["sd"] == 0
    noise = ~blank & (measures["neighbour"] < settings["least_neighbour"])
    for n in np.flatnonzero(blank):
        yield n, "blank", 0.0, 0.0, f"every pixel is {measures['lowest'].iat[n]:.6g}"
    for n in np.flatnonzero(noise):
        yield n, "noise", measures["neighbour"].iat[n], settings["least_neighbour"], "nothing but noise"
    for n in np.flatnonzero(~blank & (measures["maximal"] > settings["largest_maximal"])):
        detail = f"{measures['maximal'].iat[n]:.2%} of pixels at {measures['highest'].iat[n]:.0f}"
        yield n, "saturated", measures["maximal"].iat[n], settings["largest_maximal"], detail
    for _, group in measures[~blank & ~noise].groupby("Channel", sort=False):
        if len(group) >= settings["least_images"]:
            yield from plate_outliers(group, settings)
    named = measures[measures["sd"] > 0]
    for _, group in named.groupby("digest", sort=False):
        if group["key"].nunique() > 1:
            for n in group.index:
                other = group["key"][group["key"] != group.at[n, "key"]].iloc[0]
                yield n, "duplicate", float(len(group)), 1.0, f"the same pixels as {other}"


def plate_outliers(group: pd.DataFrame, settings: dict) -> Iterator[tuple]:
    """Yield the blurred images of one channel, and those of another background, against the channel's median."""
    slopes = group["slope"]
    spread = ROBUST * (slopes - slopes.median()).abs().median()
    steepest = slopes.median() - max(settings["blur"] * spread, settings["least_blur"])
    for n in group.index[slopes < steepest]:
        yield n, "blurred", slopes[n], steepest, f"the channel's median is {slopes.median():.2f}"
    ratios = (group["background"] + 1) / (group["background"].median() + 1)
    limit = settings["background"]
    for n in group.index[(ratios > limit) | (ratios < 1 / limit)]:
        detail = (
            f"{group.at[n, 'background']:.0f} counts where the channel's median is {group['background'].median():.0f}"
        )
        yield n, "background", ratios[n], limit, detail


def plane_flags(measures: pd.DataFrame, planes: Sequence[str], least_images: int) -> Iterator[tuple]:
    """Yield a flag for each field whose brightfield planes, listed by height, are not in that order."""
    if len(planes) < 3:
        return
    by_channel = measures.set_index([*KEYS, "Channel"])
    fields = by_channel["skew"].unstack()
    near = {}
    for low, middle, high in zip(planes, planes[1:], planes[2:]):
        sides = by_channel.xs(middle, level="Channel")[[f"r_{low}", f"r_{high}"]].min(axis=1)
        near[middle] = by_channel.xs(low, level="Channel")[f"r_{high}"] - sides
    apart = pd.DataFrame(near).reindex(fields.index)
    ends = fields[planes[-1]] - fields[planes[0]]
    usual = ends.median() if len(ends) >= least_images else np.nan
    spread = ROBUST * (ends - usual).abs().median()
    rows = measures.reset_index().set_index([*KEYS, "Channel"])["index"]
    for field in fields.index:
        worst = apart.loc[field].max()
        if worst > 0:
            detail = f"the planes about {apart.loc[field].idxmax()} are more alike than it is to them"
            yield rows[(*field, apart.loc[field].idxmax())], "planes", worst, 0.0, detail
        elif ends[field] * usual < 0 and abs(ends[field] - usual) > max(ENDS_SD * spread, 1.5 * abs(usual)):
            detail = f"{planes[0]} and {planes[-1]} the other way round than on the rest of the plate"
            yield rows[(*field, planes[0])], "planes", ends[field], -usual / 2, detail


def channel_order(measures: pd.DataFrame, inputs: Sequence[str], stains: Sequence[str]) -> tuple[str, str, str] | None:
    """Return (channel, channel that it seems to be, why) where a plate's channels look exchanged, else None."""
    seen = measures[measures["sd"] > 0]
    variation = (seen["sd"] / seen["mean"]).groupby(seen["Channel"]).median()
    planes = [name for name in inputs if name.startswith("Brightfield") and name in variation]
    stains = [name for name in stains if name in variation]
    if planes and stains:
        plane, stain = variation[planes].idxmax(), variation[stains].idxmin()
        if variation[plane] > variation[stain]:
            return plane, stain, f"s.d. {variation[plane]:.3g} of its mean, {stain} {variation[stain]:.3g}"
    if len(stains) < 3 or "DNA" not in stains:
        return None
    others = {name: [f"r_{other}" for other in stains if other != name] for name in stains}
    together = {
        name: seen.loc[seen["Channel"] == name, columns].mean(axis=1).median() for name, columns in others.items()
    }
    least = min(together, key=together.get)
    if together[least] < together["DNA"] - LEAST_APART:
        return (
            "DNA",
            least,
            f"DNA goes with the other stains at {together['DNA']:.2f}, {least} at {together[least]:.2f}",
        )
    return None


def flag_images(measures: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Return one row a flag.

    Parameters
    ----------
    measures : one row a field and channel, from `quality`
    settings : the config's `quality`, and channels: input, target, here (those of this plate)

    Returns
    -------
    columns `COLUMNS`, in the order of `measures`
    """
    measures = measures.reset_index(drop=True)
    channels, left_out = settings["channels"], excluded_flags(settings["exclude"])
    planes = [name for name in channels["input"] if name.startswith("Brightfield")]
    found = [*image_flags(measures, settings), *plane_flags(measures, planes, settings["least_images"])]
    stains = [name for name in channels["target"] if name in channels["here"]]
    if exchanged := channel_order(measures, channels["input"], stains):
        name, like, why = exchanged
        rows = np.flatnonzero(measures["Channel"] == name)
        found += [(n, "channels", np.nan, np.nan, f"looks like {like}: {why}") for n in rows]
    found.sort(key=lambda flag: (flag[0], FLAGS.index(flag[1])))
    rows = [
        [*measures.loc[n, [*KEYS, "Channel"]], flag, value, limit, detail, int(flag in left_out)]
        for n, flag, value, limit, detail in found
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def keep_fields(prepared: pd.DataFrame, flags: pd.DataFrame, channels: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `prepared` whose field has no flag that excludes it.

    Raises
    ------
    ValueError
        where a constant image would stay, and where nothing would
    """
    gone = set(map(tuple, flags.loc[flags["excluded"] == 1, KEYS].values))
    kept = prepared[[tuple(field) not in gone for field in prepared[KEYS].values]]
    for channel in channels:
        flat = kept[kept[f"sd_{channel}"] == 0]
        if len(flat):
            row = flat.iloc[0]
            raise ValueError(
                f"{store.describe_field(row, channel)}: expected an image, but every pixel is "
                f"{row[f'mean_{channel}']:.6g} ({len(flat)} such in this channel); set quality.exclude: [blank] to leave "
                "such fields out, or leave the channel out of the config"
            )
    if kept.empty:
        counts = flags.loc[flags["excluded"] == 1, "flag"].value_counts()
        why = ", ".join(f"{flag} {count}" for flag, count in counts.items())
        raise ValueError(
            f"plate {prepared['Metadata_Plate'].iloc[0]}: every field would be left out (images by flag: {why}; first: "
            f"{flags['detail'].iloc[0]}); take that flag out of quality.exclude, or the plate out of the plate table"
        )
    return kept.reset_index(drop=True)


def blank_tiles(prepared: pd.DataFrame, flags: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Return flags of images that are constant within a tile, though not as a whole."""
    known = set(map(tuple, flags.loc[flags["flag"] == "blank", [*KEYS, "Channel"]].values))
    left_out, rows = int("blank" in excluded_flags(settings["exclude"])), []
    for channel in settings["channels"]["here"]:
        for row in prepared[prepared[f"sd_{channel}"] == 0].to_dict("records"):
            key = (*(row[name] for name in KEYS), channel)
            if key not in known:
                known.add(key)
                detail = f"every pixel of tile {row['Metadata_Tile']} is {row[f'mean_{channel}']:.6g}"
                rows.append([*key, "blank", 0.0, 0.0, detail, left_out])
    return pd.DataFrame(rows, columns=COLUMNS)


def with_cells(fields: pd.DataFrame, cells: dict) -> pd.DataFrame:
    """Write what the plate table says of a plate's cells (`cell_line`, `time_h`) into the annotations of its fields.

    Raises
    ------
    ValueError
        for a field of which the table of images says otherwise
    """
    for name, value in cells.items():
        column, value = f"Metadata_{name}", float(value) if name == "time_h" else value
        known = fields[column] if column in fields else pd.Series(np.nan, index=fields.index)
        other = known.notna() & (known != "") & (known != value)
        if other.any():
            row = fields[other].iloc[0]
            raise ValueError(
                f"{store.describe_field(row)}: the plate table says {name} {value}, the table of images {row[column]}; "
                "correct one of them"
            )
        fields = fields.assign(**{column: value})
    return fields


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: the config's quality, channels and cells"
    )
    for name in ("quality", "prepared", "fields", "flags"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    measures, prepared = store.read_table(args.quality), store.read_fields(args.prepared)
    flags = flag_images(measures, args.settings)
    tiles = blank_tiles(prepared, flags, args.settings)
    flags = pd.concat([flags, tiles], ignore_index=True) if len(tiles) else flags
    fields = keep_fields(prepared, flags, args.settings["channels"]["here"])
    fields = with_cells(fields, args.settings.get("cells", {}))
    log.info("%d of %d fields kept, %d flags", len(fields), len(prepared), len(flags))
    store.write_table(flags, args.flags)
    store.write_table(fields, args.fields)


if __name__ == "__main__":
    run(main)
