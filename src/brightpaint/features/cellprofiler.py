"""Run CellProfiler headless on one exported part, and believe nothing that it says of itself.

CellProfiler ends with exit code 0 and "Complete" on a truncated TIFF and on a pipeline that loads only
part-way (both tried with 4.2.8), so every TIFF is checked whole beforehand and every table afterwards.

Standard library only, and Python 3.9: under `--sdm conda` this module runs in CellProfiler's own environment.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

from brightpaint.base import atomic, cli
from brightpaint.features import loaded_objects, own_pipeline, pipeline, tiff

TABLES = ("Image", "Nuclei", "Cells", "Cytoplasm")
ENVIRONMENT = Path(__file__).parents[3] / ".envs" / "cellprofiler" / "bin" / "cellprofiler"
KEPT_VARIABLES = ("PATH", "JAVA_HOME", "CP_JAVA_HOME", "LD_LIBRARY_PATH", "CONDA_PREFIX", "LANG")
LAST_LINES = 15
COMMAND = "cellprofiler"  # as a shell finds it; the one that make built goes by this name too


def find_command(command: str) -> str:
    """Return CellProfiler's program: $BRIGHTPAINT_CELLPROFILER, else the given path or name, else the one make built."""
    wanted = os.environ.get("BRIGHTPAINT_CELLPROFILER") or command
    found = shutil.which(wanted)
    if found:
        return str(Path(found).absolute())
    if wanted == COMMAND and ENVIRONMENT.exists():
        return str(ENVIRONMENT)
    raise ValueError(
        f"CellProfiler was not found as {wanted!r}, nor at {ENVIRONMENT}; run `make environments`, "
        "or set cellprofiler.command in the config or BRIGHTPAINT_CELLPROFILER to its path"
    )


def private_environment(folder: Path) -> dict[str, str]:
    """Return CellProfiler's environment: one thread, no PYTHONPATH, no proxies, nothing written outside `folder`."""
    kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    private = dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), str(folder))
    return {**kept, **dict.fromkeys(threads, "1"), **private, "PYTHONNOUSERSITE": "1", "MPLBACKEND": "Agg"}


# --- before ------------------------------------------------------------------------------------------


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV as dicts of strings."""
    if not path.exists():
        raise ValueError(f"{path} is missing; delete {path.parent} and rerun")
    header, rows = read_lines(path)
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {len(row)} cells, expected {len(header)}; delete it and rerun")
    return [dict(zip(header, row)) for row in rows]


def read_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV, whole or not; what is no CSV is an error."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            lines = [line for line in csv.reader(handle, strict=True) if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable CSV ({error}); delete {path.parent} and rerun") from None
    return (lines[0], lines[1:]) if lines else ([], [])


def describe(row: dict[str, str], channel: str = "") -> str:
    """Name a field as every error message does."""
    words = [
        f"{key.lower()} {row['Metadata_' + key]}"
        for key in ("Plate", "Well", "Site", "Tile")
        if "Metadata_" + key in row
    ]
    return ", ".join(words + ([f"channel {channel}"] if channel else []))


def channels_of(load_data: Path) -> list[str]:
    """Return the channels of a load_data.csv, in its order: FileName_OrigDNA is DNA."""
    prefix = "FileName_Orig"
    found = [name[len(prefix) :] for name in read_lines(load_data)[0] if name.startswith(prefix)]
    if not found or f"PathName_Orig{found[0]}" not in read_lines(load_data)[0]:
        raise ValueError(f"{load_data}: expected columns FileName_Orig* and PathName_Orig*; rerun export")
    return found


def check_images(rows: list[dict[str, str]], channels: list[str]) -> None:
    """Open every TIFF whole: CellProfiler itself reads a truncated one silently."""
    for row in rows:
        shapes = {}
        for channel in channels:
            path = Path(row[f"PathName_Orig{channel}"]) / row[f"FileName_Orig{channel}"]
            try:
                pages = tiff.check(path)
                if not pages:
                    raise ValueError("expected an image, found a TIFF without pages")
                shapes[channel] = pages[0]
            except ValueError as error:
                raise ValueError(
                    f"{path} ({describe(row, channel)}): {error}; delete its folder and rerun export"
                ) from None
        if len(set(shapes.values())) > 1:
            raise ValueError(f"{describe(row)}: channels differ in size: {shapes}; delete the part and rerun export")


# --- the run -----------------------------------------------------------------------------------------


def run_cellprofiler(
    command: str, pipeline_path: Path, images: Path, folder: Path, load_data: Path | None = None
) -> list[str]:
    """Run CellProfiler in `folder`; its output goes to stderr line by line. Returns the last lines of it.

    `load_data` stands in the place of the images' own load_data.csv.

    Raises
    ------
    ValueError
        for an exit code, a missing or unhappy done file, or a pipeline that did not load
    """
    done, tables = folder / "done.txt", folder / "tables"
    arguments = ["-c", "-r", "-p", pipeline_path, "--data-file", load_data or images / "load_data.csv", "-i", images]
    arguments += ["-o", tables, "-d", done, "-t", folder]
    last, failed, image = deque(maxlen=LAST_LINES), "", 0
    with subprocess.Popen(
        [command, *map(str, arguments)], cwd=folder, env=private_environment(folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        try:
            for line in process.stdout:
                sys.stderr.write(line)
                last.append(line.rstrip())
                failed = failed or (line.strip() if "Failed to load pipeline" in line else "")
                image = int((re.search(r"Image # (\d+)", line) or [0, image])[1])
        except BaseException:
            process.kill()
            raise
    code = process.returncode
    said = done.read_text().strip() if done.exists() else "nothing"
    if failed:
        raise failure(f"the pipeline {pipeline_path.name} did not load whole: {failed}", images, image, last)
    if code != 0 or said != "Complete":
        raise failure(f"CellProfiler ended with exit code {code} and said {said!r}; expected 0 and 'Complete'",
                      images, image, last)  # fmt: skip
    return list(last)


def failure(what: str, images: Path, image: int, last: deque | list[str]) -> ValueError:
    """Return the error of a failed run: what, at which field, CellProfiler's last lines if it ran, and what to do."""
    rows = read_csv(images / "load_data.csv")
    place = (
        f" at or after {describe(rows[image - 1])}"
        if 0 < image <= len(rows)
        else f" before the first of {len(rows)} fields"
    )
    if not last:
        return ValueError(f"{what}{place}, in {images}; rerun this rule, and see that the disk is not full")
    lines = "\n".join(f"  | {line}" for line in last)
    return ValueError(
        f"{what}{place}, in {images}. CellProfiler's last lines:\n{lines}\n"
        "Open the pipeline in CellProfiler to see what it lacks (config: cellprofiler.pipeline), then rerun this rule"
    )


# --- after -------------------------------------------------------------------------------------------


def check_tables(tables: Path, rows: list[dict[str, str]], images: Path, last: list[str]) -> None:
    """Refuse tables that are missing, cut short, or made by a module that failed."""
    missing = [f"{name}.csv" for name in TABLES if not (tables / f"{name}.csv").exists()]
    if missing:
        found = sorted(path.name for path in tables.glob("*.*")) if tables.exists() else []
        raise failure(
            f"{', '.join(missing)} were not written, found {found}; the pipeline must name its objects Nuclei, Cells and "
            "Cytoplasm and end with ExportToSpreadsheet, without a file name prefix, in the Default Output Folder",
            images, len(rows), last,
        )  # fmt: skip
    measured = read_csv(tables / "Image.csv")
    if len(measured) != len(rows):
        raise failure(f"Image.csv has {len(measured)} rows, expected {len(rows)}", images, len(measured) + 1, last)
    first = "FileName_Orig" + channels_of(images / "load_data.csv")[0]
    files = {row[first]: row for row in rows}
    for row in measured:
        place = describe(files.get(row.get(first, ""), row))
        if row.get(first) not in files:
            raise failure(
                f"Image.csv names {row.get(first)!r} in {first}, which load_data.csv does not", images, 0, last
            )
        errors = {key: value for key, value in row.items() if key.startswith("ModuleError_")}
        bad = [key for key, value in errors.items() if value.strip() not in ("0", "0.0")]
        if bad or not errors:
            which = ", ".join(f"{key} is {errors[key]!r}" for key in bad) or "Image.csv has no ModuleError_ column"
            raise failure(
                f"{place}: a module failed: {which}, expected 0", images, whole_number(row, "ImageNumber"), last
            )
        for name in ("ImageNumber", *(f"Count_{table}" for table in TABLES[1:])):
            if whole_number(row, name) < 0:
                raise failure(f"{place}: {name} is {row.get(name)!r} in Image.csv, expected a count", images, 0, last)
    counted = [name[len("Count_") :] for name in measured[0] if name.startswith("Count_")]
    for name in counted:  # other objects than the three may be what joins them
        if (tables / f"{name}.csv").exists():
            check_objects(tables / f"{name}.csv", name, measured, images, last)
    for number, row in enumerate(rows, 1):
        check_labels(tables, row, first, images, number, last)


def whole_number(row: dict[str, str], name: str) -> int:
    """Return a count of Image.csv; -1 for what is none."""
    text = (row.get(name) or "").strip()
    return int(float(text)) if re.fullmatch(r"[0-9]{1,9}(\.0+)?", text) else -1


def check_objects(path: Path, name: str, measured: list[dict[str, str]], images: Path, last: list[str]) -> None:
    """Refuse an object table with another number of rows than Image.csv counted: a full disk cuts it short."""
    expected = sum(whole_number(row, f"Count_{name}") for row in measured)
    header, lines = read_lines(path)
    widths = [len(line) for line in lines]
    if not {"ImageNumber", "ObjectNumber"} <= set(header):
        raise failure(f"{path.name} has no columns ImageNumber and ObjectNumber: {header[:5]}", images, 0, last)
    if len(widths) != expected or any(width != len(header) for width in widths):
        raise failure(
            f"{path.name} has {len(widths)} whole or cut rows, expected {expected} whole ones", images, 0, last
        )


def check_labels(tables: Path, row: dict[str, str], first: str, images: Path, number: int, last: list[str]) -> None:
    """Refuse a field whose label images are missing, cut short, or of another size than its images."""
    (shape,) = tiff.check(Path(row[first.replace("File", "Path")]) / row[first])
    for objects in pipeline.LABELLED:
        name = pipeline.label_file(row[first], objects)
        try:
            found = tiff.check(tables / name)
        except ValueError as error:
            raise failure(f"{describe(row)}: {name}: {error}", images, number, last) from None
        if found != [shape]:
            raise failure(f"{describe(row)}: {name} is of {found} pixels, expected {[shape]}", images, number, last)


def measure(command: str, pipeline_path: Path, images: Path, tables: Path, labels: Path | None = None) -> None:
    """Measure one exported part; `tables` appears only when all is well. A part without fields runs nothing.

    `labels` is a folder of label images that are measured in place of what the pipeline would find.
    """
    load_data = images / "load_data.csv"
    rows, channels, described = read_csv(load_data), channels_of(load_data), exported(images)
    with atomic.scratch_folder(tables) as temporary:
        folder = temporary.resolve()
        (folder / "tables").mkdir()
        if rows:
            program = find_command(command)
            text = pipeline.adapt(pipeline_path, channels, described.get("pixel_size_um"), described)
            own_pipeline.check(text, channels, pipeline_path)
            check_images(rows, channels)
            given, first = None, f"FileName_Orig{channels[0]}"
            if labels:
                expected = loaded_objects.expected_counts(labels, [row[first] for row in rows])
                text = loaded_objects.adapt(text, pipeline_path)
                given = folder / "load_data.csv"
                given.write_text(loaded_objects.load_data(load_data, labels))
            (folder / pipeline_path.name).write_text(pipeline.save_labels(text, channels))
            last = run_cellprofiler(program, folder / pipeline_path.name, images.resolve(), folder, given)
            check_tables(folder / "tables", rows, images, last)
            if labels:
                loaded_objects.check_counts(read_csv(folder / "tables" / "Image.csv"), first, expected)
        shutil.copy(load_data, folder / "tables" / "load_data.csv")
        atomic.replace_folder(folder / "tables", tables)


def exported(images: Path) -> dict:
    """Return what export recorded: the prepared pixel's size, and the stains that objects are found in, where named."""
    path = images / "export.json"
    return json.loads(path.read_text()) if path.exists() else {}


def main(argv: list[str] | None = None) -> None:
    """Segment and measure one exported part with CellProfiler."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--command", required=True, help="CellProfiler's program")
    parser.add_argument("--pipeline", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder of the exported part")
    parser.add_argument("--labels", type=Path, nargs="?", help="folder of label images to measure; else the pipeline's")
    parser.add_argument("--tables", type=Path, required=True, help="folder that the CSVs go to")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a cancelled job ends CellProfiler too
    measure(args.command, args.pipeline, args.images, args.tables, args.labels)


if __name__ == "__main__":
    cli.run(main)
