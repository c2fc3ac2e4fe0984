"""Gather the single cells of a plate from its measured parts, one row group a well, and their label images."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from brightpaint import store
from brightpaint.base import cli
from brightpaint.features import label_images
from brightpaint.features.cells_part import COMPARTMENTS

log = logging.getLogger(__name__)


def gather(parts: list[Path], path: Path) -> None:
    """Join the parts of a plate, in their order, a well at a time: a plate never lies whole in memory."""
    store.one_engine(parts)
    schemas = {part: store.read_schema(part) for part in parts}
    measured = [part for part in parts if any(name.startswith(COMPARTMENTS) for name in schemas[part].names)]
    schema = schemas[(measured or parts)[0]]
    for part in measured:
        if not schemas[part].equals(schema):
            odd = sorted(set(schemas[part].names) ^ set(schema.names))[:5]
            raise ValueError(f"{part}: columns differ from those of {measured[0]}: {odd}; delete both and rerun")
    tables = (table for part in parts if part in measured for table in store.read_groups(part))
    log.info("%d cells", store.write_groups(tables, path, schema))


def main(argv: list[str] | None = None) -> None:
    """Gather the parts of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--parts", type=Path, nargs="+", required=True)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--part-masks", type=Path, nargs="*", default=[], help="label images of the parts")
    parser.add_argument("--masks", type=Path, help="where the plate's label images go")
    args = parser.parse_args(argv)
    gather(args.parts, args.cells)
    if args.masks:
        label_images.gather(args.part_masks, args.masks)


if __name__ == "__main__":
    cli.run(main)
