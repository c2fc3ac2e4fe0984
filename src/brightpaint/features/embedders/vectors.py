"""Run a network over every field of a plate, channel by channel, resumably: one vector a channel.

Networks trained on photographs see each stain, or each brightfield plane, as a grey picture. What they say is
kept in an unfinished stack beside the table, so that a job that was killed goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.intensity import rescaled
from brightpaint.features.export import check_rows
from brightpaint.study.planes import group_places, plane_groups

BRIGHTFIELD = "brightfield"
log = logging.getLogger(__name__)


def parser(description: str) -> argparse.ArgumentParser:
    """Return the command line that every such stage shares."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: weights, windows, channels, cutoff, ..."
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arm", required=True, help="real, brightfield or a predicted arm")
    parser.add_argument("--stack", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="the table that names the rows of the stack")
    parser.add_argument("--table", type=Path, required=True, help="the table to write")
    return parser


def shown_channels(arm: str, channels: dict) -> list[str]:
    """Return what of an arm is looked at: the brightfield planes of `brightfield`, else the stains."""
    return channels["input"] if arm == BRIGHTFIELD else channels["target"]


def window_of(arm: str, settings: dict) -> list[float]:
    """Return the z-scores that become black and white: brightfield's, whose background is grey, or the stains'."""
    return settings["brightfield_window" if arm == BRIGHTFIELD else "window"]


def open_rows(stack_path: Path, rows_path: Path) -> tuple[store.Stack, pd.DataFrame]:
    """Open a stack with the table of its rows."""
    rows = store.read_fields(rows_path)
    stack = store.open_stack(stack_path).select(rows)
    check_rows(stack, rows, rows_path)
    return stack, rows


def z_scores(
    stack: store.Stack, row: int, channels: list[str], settings: dict, field: pd.Series | None = None
) -> np.ndarray:
    """Read one field as it is scored: (C, H, W) float32 z-scores, standardised anew where the real images are.

    Planes of one stain, or of brightfield, are standardised together. An image that is not finite is an error that names the
    stack, the `field` (else its row) and the channel.
    """
    images = np.asarray(stack.images[row][stack.channel_indices(channels)], dtype=np.float32)
    if not (finite := np.isfinite(images).all((1, 2))).all():
        where, name = f"row {row}" if field is None else store.describe_field(field), channels[int(finite.argmin())]
        raise ValueError(f"{stack.path}: {where}, channel {name}: not finite; delete the stack and rerun what makes it")
    groups = group_places(plane_groups(settings["channels"], channels), channels)
    return rescaled(images, cutoff=settings["cutoff"], renormalise=settings["renormalise"], groups=groups)


def plate_vectors(
    stack: store.Stack, rows: pd.DataFrame, see: Callable[[np.ndarray], np.ndarray], width: int, path: Path, *,
    arm: str, settings: dict, made_from: list, of: Sequence[str] | None = None,
) -> np.ndarray:  # fmt: skip
    """Return what the network says of each field and channel.

    Parameters
    ----------
    see : (C, H, W) float32 z-scores of one field -> (C, width) float32
    path : the table in the making; unfinished work lies beside it, and is removed here only when it is whole
    made_from : JSON-serialisable, what the vectors depend on beside the settings
    of : what `see` gives a vector of, where it is not each channel: names

    Returns
    -------
    (N, C, width) float32; as many as `of` names in place of C
    """
    channels = shown_channels(arm, settings["channels"])
    named = channels if of is None else of
    shape = (len(rows), len(named), 1, width)
    key = store.digest(settings, made_from, rows[store.row_keys(rows)].astype(str).to_numpy().tolist())
    unfinished = path.with_suffix(".tif")
    with store.StackWriter(unfinished, shape, named, key=key, dtype="float32") as writer:
        if writer.done.any():
            log.info("%d of %d fields were done before", writer.done.sum(), len(rows))
        for row in tqdm(np.flatnonzero(~writer.done), unit="field", disable=None):
            vectors = see(z_scores(stack, row, channels, settings, rows.iloc[row]))
            if not np.isfinite(vectors).all():
                raise ValueError(f"{store.describe_field(rows.iloc[row])}: the network answers with values that are "
                                 "not finite; check its weights")  # fmt: skip
            writer.write(row, vectors[:, None])
        found = np.stack([writer.read(row)[:, 0] for row in range(len(rows))]) if len(rows) else np.zeros(
            (0, len(named), width), np.float32
        )  # fmt: skip
    unfinished.unlink()
    return found


def metadata_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the keys and annotations of a table of rows."""
    return rows[[name for name in rows.columns if name.startswith("Metadata_")]].reset_index(drop=True)


def vector_names(columns: Sequence[str], prefixes: tuple[str, ...]) -> list[str]:
    """Return the columns that are numbers of an embedding."""
    return [name for name in columns if name.startswith(prefixes)]


def read_vectors(path: Path, prefixes: tuple[str, ...], rule: str) -> pd.DataFrame:
    """Read the embeddings of a plate's fields; what is no number, or not finite, is an error that names the rule to run."""
    frame = store.read_fields(path)
    names = vector_names(frame.columns, prefixes)
    if not names:
        named = ", ".join(f"{prefix}*" for prefix in prefixes)
        raise ValueError(f"{path}: no column {named}; expected embeddings, one row a field; delete it and rerun {rule}")
    for name in names:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise ValueError(f"{path}: {name} holds words, expected numbers; delete it and rerun {rule}")
    bad = ~np.isfinite(frame[names].to_numpy(np.float64))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        place = store.describe_field(frame.iloc[row])
        raise ValueError(f"{path}: {names[column]} is not finite ({place}); delete it and rerun {rule}")
    return frame
