"""Corrections against CellProfiler, stack reads, and how each stage grows with the number of fields (see plates.py).

CPU seconds are those of child processes; figures a field are differences between a small and a large run, so that
what every start costs falls out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from correction_pipelines import applying, estimating
from scipy import ndimage

from brightpaint import store
from brightpaint.base.intensity import denormalise

ROOT = Path(__file__).parent.parent
CHANNELS = ["Brightfield_L", "Brightfield", "Brightfield_H", "DNA", "RNA", "ER", "AGP", "Mito"]
PREPARE = {"grid": [1, 1], "cutoff": 15, "region": None, "pixel_size_um": None, "normalise": "image"}
OURS_TIMES = 16  # ours are run on as many more fields, or their starts would drown them
ANNOTATIONS = ["Metadata_Source", "Metadata_Batch", "Metadata_perturbation", "Metadata_target", "Metadata_control_type"]


def report(**figures) -> None:
    """Print one JSON line."""
    print(json.dumps(figures), flush=True)


def raw_image(number: int, side: int) -> np.ndarray:
    """Return a vignetted image of blurred grains on a background, (side, side) uint16."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:side, :side] / side - 0.5
    grains = np.clip(ndimage.gaussian_filter(rng.standard_normal((side, side)), 2.5), 0, None)
    counts = (1 - 0.6 * (y**2 + x**2)) * (400 + 30000 * grains**2) + rng.normal(0, 8, (side, side))
    return counts.clip(0, 65535).astype(np.uint16)


def make_plate(folder: Path, *, fields: int, channels: list[str], side: int, distinct: int) -> Path:
    """Write `distinct` images a channel and an index of `fields` fields that use them in turn; return the index."""
    for number in range(distinct):
        for offset, channel in enumerate(channels):
            path = folder / "raw" / f"{number:04d}_{channel}.tif"
            if not path.exists():
                store.write_raw(path, raw_image(number * len(channels) + offset, side))
    rows = []
    for number in range(fields):
        well, site = divmod(number, 6)
        row, column = divmod(well, 24)
        for channel in channels:
            name = f"{number % distinct:04d}_{channel}.tif"
            rows.append({"Metadata_Plate": "P1", "Metadata_Well": f"{chr(65 + row)}{column + 1:02d}",
                         "Metadata_Site": site + 1, **dict.fromkeys(ANNOTATIONS, ""), "Channel": channel,
                         "key": name, "file": name})  # fmt: skip
    path = folder / f"index_{fields}.parquet"
    store.write_table(pd.DataFrame(rows), path)
    return path


def timed(command: list) -> tuple[float, float]:
    """Run a command and return its (CPU seconds, peak anonymous memory in MB)."""
    before, peak = resource.getrusage(resource.RUSAGE_CHILDREN), 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(list(map(str, command)), env=environment, stdout=said, stderr=said)
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
                lines = (line for line in status.splitlines() if line.startswith("RssAnon"))
                peak = max([peak, *(int(line.split()[1]) for line in lines)])
            except (FileNotFoundError, ProcessLookupError):
                pass
            time.sleep(0.02)
        said.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}\n{said.read()[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak / 1024


def stage(name: str, settings: dict, **paths) -> list:
    """Return the command of a stage of the plates wing."""
    command = [sys.executable, "-m", f"brightpaint.plates.{name}", "--settings", json.dumps(settings)]
    return command + [word for key, value in paths.items() for word in (f"--{key}", value)]


# --- against CellProfiler ---


def by_cellprofiler(program: str, folder: Path, index: pd.DataFrame, channels: list[str], sizes: tuple) -> list[float]:
    """Run both pipelines on the fields of `index` and return the CPU seconds of each."""
    spent = []
    for name, text in (("estimate", estimating(channels, sizes[0])), ("apply", applying(channels, sizes[1]))):
        out = folder / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        (out / "pipeline.cppipe").write_text(text)
        wide = index.pivot(index=["Metadata_Well", "Metadata_Site"], columns="Channel", values="file").reset_index()
        table = wide[["Metadata_Well", "Metadata_Site"]].copy()
        for channel in channels:
            table[f"FileName_Orig{channel}"], table[f"PathName_Orig{channel}"] = wide[channel], folder.parent / "raw"
            if name == "apply":
                table[f"FileName_Illum{channel}"] = f"Illum{channel}.npy"
                table[f"PathName_Illum{channel}"] = folder / "estimate"
        table.to_csv(out / "load_data.csv", index=False)
        command = [program, "-c", "-r", "-p", out / "pipeline.cppipe", "--data-file", out / "load_data.csv", "-o", out]
        spent.append(timed(command)[0])
        wanted = len(index) if name == "apply" else len(channels)
        if (found := len(list(out.glob("*.npy")))) != wanted:
            raise SystemExit(f"CellProfiler wrote {found} images where {wanted} are expected, in {out}")
    return spent


def by_brightpaint(folder: Path, index: Path, raw: Path, channels: list[str], sizes: tuple) -> list[float]:
    """Run illumination and prepare on the fields of `index` and return the CPU seconds of each."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chosen = {"method": "median", "size_px": sizes[0], "channels": channels}
    light = timed(stage("illumination", chosen, index=index, raw=raw, illumination=folder / "light.tif"))[0]
    chosen = {**PREPARE, "size_px": sizes[1], "channels": channels}
    return [light, timed(stage("prepare", chosen, index=index, raw=raw, illumination=folder / "light.tif",
                               stack=folder / "stack.tif", fields=folder / "fields.parquet"))[0]]  # fmt: skip


def agreement(folder: Path, channels: list[str]) -> dict:
    """Compare our prepared images, in counts, with CellProfiler's."""
    stack, fields = (
        store.open_stack(folder / "ours" / "stack.tif"),
        store.read_fields(folder / "ours" / "fields.parquet"),
    )
    light = store.open_stack(folder / "ours" / "light.tif").images[0]
    functions = [np.load(folder / "theirs" / "estimate" / f"Illum{channel}.npy") for channel in channels]
    worst, lowest = 0.0, 1.0
    for n, row in fields.iterrows():
        for c, channel in enumerate(channels):
            theirs = 65535.0 * np.load(folder / "theirs" / "apply" / f"{n:04d}_{channel}_small.npy")
            ours = denormalise(stack.images[n, c].astype(np.float64), row[f"mean_{channel}"], row[f"sd_{channel}"])
            kept = np.abs(stack.images[n, c]) < PREPARE["cutoff"]
            worst = max(worst, float(np.abs(ours - theirs)[kept].max() / row[f"sd_{channel}"]))
            lowest = min(lowest, float(np.corrcoef(ours[kept], theirs[kept])[0, 1]))
    return {
        "largest_difference_of_functions": round(float(max(np.abs(a - b).max() for a, b in zip(light, functions))), 5),
        "largest_difference_of_images_sd": round(worst, 4), "least_correlation": round(lowest, 8),
    }  # fmt: skip


def corrections(args: argparse.Namespace) -> None:
    """Illumination and prepare against CellProfiler's pipelines doing the same on the same fields."""
    channels, sizes, few = CHANNELS[-args.channels :], (args.filter_px, args.size_px), max(1, args.fields // 4)
    raw, spent = args.folder / "raw", {"theirs": [], "ours": []}
    counts = {"theirs": (few, args.fields), "ours": (OURS_TIMES * args.fields, args.fields)}  # the last are compared
    for fields in counts["ours"]:
        index = make_plate(args.folder, fields=fields, channels=channels, side=args.side_px, distinct=args.fields)
        spent["ours"].append(by_brightpaint(args.folder / "ours", index, raw, channels, sizes))
    for fields in counts["theirs"]:
        index = make_plate(args.folder, fields=fields, channels=channels, side=args.side_px, distinct=args.fields)
        table = store.read_table(index)
        spent["theirs"].append(by_cellprofiler(args.cellprofiler, args.folder / "theirs", table, channels, sizes))
    figures = {}
    for name, (one, last) in spent.items():
        figures[f"{name}_cpu_s"] = [round(value, 2) for value in last]
        difference = (sum(last) - sum(one)) / (counts[name][1] - counts[name][0])
        figures[f"{name}_cpu_s_a_field"] = round(difference, 4)
    figures["times_fewer_a_field"] = round(figures["theirs_cpu_s_a_field"] / figures["ours_cpu_s_a_field"], 1)
    figures["times_fewer_in_all"] = round(sum(spent["theirs"][1]) / sum(spent["ours"][1]), 1)
    report(bench="corrections", fields=args.fields, channels=len(channels), side_px=args.side_px,
           **figures, target=10, **agreement(args.folder, channels))  # fmt: skip


# --- reading ---


def stacks(args: argparse.Namespace) -> None:
    """Reads of whole fields and of crops from a plate stack, against a copy of the same bytes in memory."""
    path, shape = args.folder / "stack.tif", (args.fields, len(CHANNELS), 512, 512)
    path.unlink(missing_ok=True)
    block = np.random.default_rng(0).standard_normal(shape[1:]).astype(np.float16)
    with store.StackWriter(path, shape, CHANNELS, key="bench") as writer:
        for n in range(args.fields):
            writer.write(n, block)
    stack, rng = store.open_stack(path), np.random.default_rng(1)
    chosen = rng.permutation(args.fields)
    target = np.empty(shape[1:], np.float16)
    plain = np.empty(shape, np.float16)
    for n in chosen:  # into the page cache
        plain[n] = stack.images[n]
    seconds = {}
    for name, source in (("memory", plain), ("stack", stack.images)):
        tries = []
        for _ in range(5):
            began = time.perf_counter()
            for n in chosen:
                target[:] = source[n]
            tries.append(time.perf_counter() - began)
        seconds[name] = min(tries)
    places = rng.integers(0, 512 - 128, (4000, 2))
    began = time.perf_counter()
    for n, (y, x) in zip(rng.integers(0, args.fields, 4000), places):
        np.array(stack.images[n, :, y : y + 128, x : x + 128])
    rates = {f"{name}_gb_s": round(plain.nbytes / 1e9 / value, 2) for name, value in seconds.items()}
    report(bench="stacks", gb=round(plain.nbytes / 1e9, 2), **rates, share_of_memory=round(seconds["memory"] / seconds["stack"], 2),
           crops_a_second=round(4000 / (time.perf_counter() - began)))  # fmt: skip
    path.unlink()


# --- files of several planes ---


def unpack(args: argparse.Namespace) -> None:
    """Files of several planes to single ones, against a plain copy of their bytes; peak memory at few files and at all."""
    raw, out, copy = args.folder / "hyperstacks", args.folder / "single", args.folder / "copy"
    images = np.stack([raw_image(number, args.side_px) for number in range(args.planes)])
    if args.bits == 8:
        images = (images >> 8).astype(np.uint8)
    figures = {}
    for files in (args.files // 8, args.files):
        for folder in (raw, out, copy):
            shutil.rmtree(folder, ignore_errors=True)
        raw.mkdir()
        for number in range(files):
            row, column = divmod(number, 24)
            path = raw / f"P_{chr(65 + row % 16)}{column + 1:02d}_s{row // 16 + 1}.tif"
            tifffile.imwrite(path, images, imagej=True, metadata={"axes": "CYX"})
        os.sync()
        names = [f"C{number}" for number in range(args.planes)]
        command = [sys.executable, "-m", "brightpaint.plates.tabulate", raw, "--unpack", out, "--table", f"{out}.csv",
                   "--channels", *names, "--pattern", "{plate}_{well}_s{site}.tif"]  # fmt: skip
        began = time.perf_counter()
        cpu, peak = timed(command)
        figures[files] = {"wall_s": time.perf_counter() - began, "cpu_s": cpu, "peak": peak}
    began = time.perf_counter()
    shutil.copytree(raw, copy)
    os.sync()
    copied, written = time.perf_counter() - began, 2 * args.files * images.size / 1e6
    few, many = figures.values()
    rate = written * 7 / 8 / (many["wall_s"] - few["wall_s"])  # a further file: the start and the imports fall out
    report(bench="unpack", files=args.files, planes=args.planes, side_px=args.side_px, bits=args.bits, mb_written=round(written),
           mb_a_s=round(rate), in_all_mb_a_s=round(written / many["wall_s"]), copy_mb_a_s=round(written * args.bits / 16 / copied),
           cpu_ms_a_plane=round(1000 * (many["cpu_s"] - few["cpu_s"]) / (args.files * args.planes * 7 / 8), 2),
           peak_anonymous_mb=[round(few["peak"], 1), round(many["peak"], 1)])  # fmt: skip
    for folder in (raw, out, copy):
        shutil.rmtree(folder)


# --- growth ---


def gallery_stages(folder: Path, fields: int) -> dict[str, list]:
    """Write a plate of 64-px images laid out as in the gallery; return the commands that list and fetch it."""
    sys.path.insert(0, str(ROOT / "tests"))
    import disturbed

    mirror, sites = folder / f"mirror_{fields}", 6 if fields % 6 == 0 else 1
    if not mirror.exists():
        wells = fields // sites
        columns = next(columns for columns in range(min(24, wells), 0, -1) if wells % columns == 0)
        disturbed.write_mirror(mirror, rows=wells // columns, columns=columns, sites=sites)
    source = {"layout": "gallery", "url": str(mirror), "endpoint_url": None, "region": "us-east-1", "profile": None,
              "table": None, "compounds": None, "exclude": None, "missing": "error", "hash": ["md5"]}  # fmt: skip
    index, raw = folder / f"listed_{fields}.parquet", folder / f"raw_{fields}"
    shutil.rmtree(raw, ignore_errors=True)
    settings = {"source": source, "plate": disturbed.PLATE, "channels": CHANNELS}
    return {
        "index": stage("index", settings, index=index, missing=folder / "missing.tsv"),
        "fetch": stage("fetch", {"source": source}, index=index, raw=raw, manifest=folder / "manifest.tsv"),
    }


def growth(args: argparse.Namespace) -> None:
    """Peak anonymous memory and CPU a field of each stage at few and at many fields."""
    few, many = args.fields
    commands = {fields: growing(args, fields) for fields in (few, many)}
    for name in commands[few]:  # in the order of the rules: each stage reads what those before it made
        if args.stages and name not in args.stages:
            continue
        (cpu_few, mb_few), (cpu_many, mb_many) = (timed(commands[fields][name]) for fields in (few, many))
        report(bench="growth", stage=name, fields=[few, many], side_px=args.side_px,
               peak_anonymous_mb=[round(mb_few, 1), round(mb_many, 1)],
               cpu_ms_a_field=round(1000 * (cpu_many - cpu_few) / (many - few), 2))  # fmt: skip


def growing(args: argparse.Namespace, fields: int) -> dict[str, list]:
    """Return the command of each stage on a plate of `fields` fields."""
    index = make_plate(args.folder, fields=fields, channels=CHANNELS, side=args.side_px, distinct=48)
    common = {"index": index, "raw": args.folder / "raw"}
    light = {"method": "median", "size_px": 16, "channels": CHANNELS}
    size = {**PREPARE, "size_px": args.side_px // 16 * 8, "channels": CHANNELS}
    made = {"stack": args.folder / "stack.tif", "fields": args.folder / "fields.parquet"}
    return gallery_stages(args.folder, fields) | {
        "illumination": stage("illumination", light, **common, illumination=args.folder / "light.tif", workers=2),
        "prepare": stage("prepare", size, **common, illumination=args.folder / "light.tif", **made, workers=2),
        "prepare by plate": stage("prepare", {**size, "normalise": "plate"}, **common,
                                  illumination=args.folder / "light.tif", **made, workers=2),
        "quality": stage("quality", {"channels": CHANNELS}, **common, quality=args.folder / "q.parquet", workers=2),
    }  # fmt: skip


def in_folder(run):
    """Return `run` with its folder made."""

    def made(args: argparse.Namespace) -> None:
        args.folder = args.folder.resolve()
        args.folder.mkdir(parents=True, exist_ok=True)
        run(args)

    return made


def add_commands(commands) -> None:
    """Add this module's subcommands."""
    one = commands.add_parser("corrections", help=corrections.__doc__)
    one.add_argument("--cellprofiler", default="cellprofiler")
    one.add_argument("--channels", type=int, default=8)
    one.add_argument("--fields", type=int, default=16)
    one.add_argument("--side-px", type=int, default=998)
    one.add_argument("--size-px", type=int, default=512)
    one.add_argument("--filter-px", type=int, default=249)
    commands.add_parser("stacks", help=stacks.__doc__).add_argument("--fields", type=int, default=96)
    one = commands.add_parser("growth", help=growth.__doc__)
    one.add_argument("--fields", type=int, nargs=2, default=[192, 2304])
    one.add_argument("--side-px", type=int, default=96)
    one.add_argument("--stages", nargs="*", help="only these; each needs what those before it made")
    one = commands.add_parser("unpack", help=unpack.__doc__)
    one.add_argument("--files", type=int, default=192)
    one.add_argument("--planes", type=int, default=5)
    one.add_argument("--side-px", type=int, default=1080)
    one.add_argument("--bits", type=int, choices=(8, 16), default=16)
    for name, run in (("corrections", corrections), ("stacks", stacks), ("growth", growth), ("unpack", unpack)):
        commands.choices[name].add_argument("--folder", type=Path, required=True)
        commands.choices[name].set_defaults(run=in_folder(run))
