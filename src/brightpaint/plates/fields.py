"""An index read field by field, one field's rows in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from brightpaint import store


def fields_of(rows: Iterable[dict], channels: Sequence[str]) -> Iterator[dict[str, dict]]:
    """Yield {channel: row of the index} of each field, in the order of `channels`.

    Parameters
    ----------
    rows : of an index, sorted by well and site: Metadata_Well, Metadata_Site, Channel and whatever is wanted besides

    Raises
    ------
    ValueError
        for a field that lacks a channel or has one twice, and where the rows are not sorted
    """
    last = ("", 0)
    for place, group in groupby(rows, lambda row: (row["Metadata_Well"], row["Metadata_Site"])):
        listed = list(group)
        where, by_channel = store.describe_field(listed[0]), {row["Channel"]: row for row in listed}
        if place <= last:
            raise ValueError(
                f"index: {where}: expected rows sorted by well and site, found it after well {last[0]}, site {last[1]}; "
                "run the rule index again"
            )
        missing = [channel for channel in channels if channel not in by_channel]
        if missing or len(listed) != len(by_channel):
            problem = f"channel {missing[0]} is missing" if missing else "a channel occurs twice"
            raise ValueError(f"index: {where}: {problem}; run the rule index again")
        yield {channel: by_channel[channel] for channel in channels}
        last = place
