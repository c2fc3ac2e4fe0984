"""Join the sampled parts of a plate into one stack, with a table that names its rows."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.conditions.shown import painted_as
from brightpaint.models.paint.parts import fields_of_part, rows_digest
from brightpaint.models.paint.sample import selected_fields
from brightpaint.study.annotations import ANNOTATIONS

log = logging.getLogger(__name__)


def check_part(part: store.Stack, first: store.Stack, rows: pd.DataFrame) -> None:
    """Raise ValueError unless a part holds exactly these fields, with the channels and size of the first part."""
    again = "delete it and rerun `sample` (of a translation `translate`)"
    if len(part) != len(rows):
        raise ValueError(f"{part.path} holds {len(part)} fields where {len(rows)} are expected; {again}")
    if part.channels != first.channels or part.images.shape[1:] != first.images.shape[1:]:
        raise ValueError(
            f"{part.path} holds {list(part.channels)} at {part.images.shape[-2:]} px but {first.path} "
            f"{list(first.channels)} at {first.images.shape[-2:]} px; {again}"
        )
    if part.meta.get("rows") != rows_digest(rows):
        wanted = " to ".join(store.describe_field(rows.iloc[place]) for place in (0, -1)) if len(rows) else "no field"
        raise ValueError(f"{part.path} was painted for other fields than the expected {wanted}; {again}")


def gather(parts: list[Path], rows: pd.DataFrame, path: Path) -> None:
    """Write the parts, one after the other, as the stack `path`."""
    opened = [store.open_stack(part) for part in parts]
    pieces = [rows.iloc[fields_of_part(rows, number, len(parts))] for number in range(1, len(parts) + 1)]
    for part, piece in zip(opened, pieces):
        check_part(part, opened[0], piece)
    shape = (len(rows), *opened[0].images.shape[1:])
    key = store.digest(rows_digest(rows), [store.fingerprint(part) for part in parts])
    with store.StackWriter(path, shape, opened[0].channels, key=key) as writer:
        images = (image for part in opened for image in part.images)
        for number, image in enumerate(images):
            writer.write(number, image)


def described_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table that lies beside an arm's stack: keys and annotations of its rows."""
    described = ["Metadata_Source", "Metadata_Batch", *ANNOTATIONS]
    columns = store.row_keys(rows) + [name for name in described if name in rows.columns]
    return rows[columns].reset_index(drop=True)


def with_shown(rows: pd.DataFrame, shown: dict) -> pd.DataFrame:
    """Return the rows of an arm that sets conditions, with the treatment that each is painted as in place of its own."""
    painted = painted_as(rows, shown) if shown else []
    return (
        rows.assign(Metadata_painted_as=painted, Metadata_draw=rows.get("Metadata_draw", 0)) if any(painted) else rows
    )


def parsed(parser: argparse.ArgumentParser, argv=None) -> tuple[argparse.Namespace, pd.DataFrame]:
    """Return the arguments of a command that writes an arm's plate, its own among them, and the rows that the arm paints."""
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    for name in ("stack", "rows", "seconds"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    fields = store.read_fields(args.fields)
    return args, fields.iloc[selected_fields(fields, args.active, "active" if args.active else "all")]


def main(argv=None) -> None:
    """Join the parts of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--parts", type=Path, nargs="+", required=True)
    parser.add_argument("--part-seconds", type=Path, nargs="+", required=True, help="what each part's painting took")
    args, rows = parsed(parser, argv)
    gather(args.parts, rows, args.stack)
    rows = with_shown(rows, store.open_stack(args.parts[0]).meta.get("shown", {}))
    store.write_table(described_rows(rows), args.rows)
    store.write_table(pd.concat([store.read_table(path) for path in args.part_seconds]), args.seconds)
    log.info("%d fields from %d parts", len(rows), len(args.parts))


if __name__ == "__main__":
    run(main)
