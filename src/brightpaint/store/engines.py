"""Which engine measured the cells that a table or label images come from, and that what is compared comes from one.

What CellProfiler measured bears no record, as tables did before there was another engine; what the fast engine measured
bears its name: the folder of a part in a file, parquet and label images in their metadata. So old tables count as
CellProfiler's, and a study whose key `cellprofiler.engine` was changed halfway cannot mix the two in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from brightpaint.base.atomic import atomic
from brightpaint.store.masks import open_masks
from brightpaint.store.tables import read_schema, write_table
from brightpaint.study.cell_engines import ENGINES, UNRECORDED

RECORD = b"brightpaint.engine"  # among the metadata of a parquet file
PART_FILE = "engine.json"  # in the folder of a measured part


def engine_record(engine: str) -> dict[bytes, bytes] | None:
    """Return the metadata that say of a parquet file who measured its cells; None of what bears no record."""
    return None if engine == UNRECORDED else {RECORD: engine.encode()}


def write_part_engine(folder: Path, engine: str) -> None:
    """Write down in the folder of a measured part who measured it."""
    (folder / PART_FILE).write_text(json.dumps({"engine": engine}) + "\n")


def engine_of(path: str | Path) -> str:
    """Return the engine that measured what a parquet file, label images or the folder of a part hold.

    Raises
    ------
    ValueError
        where it is one that this version does not know
    """
    path = Path(path)
    engine = _recorded(path)
    if engine not in ENGINES:
        raise ValueError(
            f"{path}: measured by the engine {engine!r}, expected {' or '.join(ENGINES)}; delete it and rerun"
        )
    return engine


def _recorded(path: Path) -> str:
    if path.is_dir():
        record = path / PART_FILE
        try:
            return json.loads(record.read_text())["engine"] if record.exists() else UNRECORDED
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{record}: not the name of an engine ({error!r}); delete {path} and rerun") from None
    if path.suffix == ".tif":
        with open_masks(path) as masks:
            return masks.engine
    return (read_schema(path).metadata or {}).get(RECORD, UNRECORDED.encode()).decode()


def one_engine(paths: Iterable[str | Path]) -> str:
    """Return the engine that measured all of these; CellProfiler where there are none.

    Raises
    ------
    ValueError
        where two of them were measured by different engines
    """
    found = {}
    for path in paths:
        found.setdefault(engine_of(path), path)
    if len(found) > 1:
        said = ", ".join(f"{path} was measured by {ENGINES[engine]}" for engine, path in found.items())
        raise ValueError(
            f"{said}: cells that are compared must be measured by one engine. Set cellprofiler.engine to the one you mean "
            "and measure all of them anew: snakemake --forcerun cells"
        )
    return next(iter(found), UNRECORDED)


def write_measured(frame: pd.DataFrame, path: str | Path, engine: str) -> None:
    """Write a table of what was measured, with the record of who did where there is one."""
    if engine == UNRECORDED:
        write_table(frame, path)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **engine_record(engine)}), temporary)
