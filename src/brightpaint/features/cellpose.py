"""Find nuclei and cells of one exported part with Cellpose, as label images that CellProfiler then measures.

Stringer et al. 2021, doi:10.1038/s41592-020-01018-x; Cellpose 3, doi:10.1038/s41592-025-02595-5. Nuclei are found in the
nuclear stain (DNA), cells in the mean of the cells' stains (AGP and RNA) with the nuclear one as the nuclear channel, and
matched one to one (label_pairs.py). Cellpose stretches each image by its own 1st and 99th percentile before it looks; what is
measured stays on the fixed scale.

Cellpose 3 wants numpy < 2.1, so this runs in an environment of its own with the standard library, numpy, tifffile and
cellpose alone; started in another, it starts itself again in the one that `make cellpose-environment` built.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import logging
import os
import shutil
import sys
import urllib.error
from pathlib import Path

from brightpaint.base import atomic, cli
from brightpaint.features import loaded_objects
from brightpaint.features.cellprofiler import channels_of, check_images, describe, exported, read_csv
from brightpaint.features.pipeline import found_in

ENVIRONMENT = Path(__file__).parents[3] / ".envs" / "cellpose" / "bin" / "python"
COUNTED = ("nuclei", "at_the_edge", "without_a_cell", "cells", "without_a_nucleus", "kept")
LEAST_DIAMETER_PX = 4
log = logging.getLogger(__name__)


def find_python() -> str:
    """Return the Python of cellpose's environment: $BRIGHTPAINT_CELLPOSE, else the one that make built."""
    wanted = os.environ.get("BRIGHTPAINT_CELLPOSE") or str(ENVIRONMENT)
    found = shutil.which(wanted)
    if not found:
        raise ValueError(
            f"cellpose's Python was not found at {wanted}; run `make cellpose-environment`, or set BRIGHTPAINT_CELLPOSE to "
            "the python of an environment with envs/cellpose.txt"
        )
    return str(Path(found).absolute())


def start_again(argv: list[str]) -> None:
    """Become the same command in cellpose's environment; returns only where this is it."""
    if importlib.util.find_spec("cellpose"):
        return
    if os.environ.get("BRIGHTPAINT_CELLPOSE_STARTED"):
        raise ValueError(f"{sys.executable} has no cellpose: run `make cellpose-environment`")
    threads = argv[argv.index("--threads") + 1] if "--threads" in argv[:-1] else "1"
    counted = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), threads
    )
    found = {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONNOUSERSITE": "1", "BRIGHTPAINT_CELLPOSE_STARTED": "1"}
    python = find_python()
    os.execve(python, [python, "-m", "brightpaint.features.cellpose", *argv], {**os.environ, **counted, **found})


def is_file(model: str) -> bool:
    """Tell whether a model is meant as a path; a name without a folder is one of cellpose's own."""
    return "/" in model or Path(model).exists()


def load_model(model: str, device: str):
    """Return a cellpose model, by path or by the name of one of cellpose's own.

    Cellpose itself takes its default model where a path is wrong, so that is looked at first. It reads weights with
    torch's weights_only: a file cannot run code.
    """
    if is_file(model) and not Path(model).is_file():
        raise ValueError(f"{model}: there is no such cellpose model; correct cellpose.nuclei or cellpose.cells")
    import torch
    from cellpose import models

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if not is_file(model) and model not in models.MODEL_NAMES:
        known = ", ".join(dict.fromkeys(models.MODEL_NAMES))
        raise ValueError(
            f"{model} is neither a file nor one of cellpose's models ({known}); correct the section cellpose"
        )
    chosen = {"pretrained_model": str(Path(model).absolute())} if is_file(model) else {"model_type": model}
    try:
        return models.CellposeModel(device=torch.device(device), **chosen)
    except (urllib.error.URLError, TimeoutError) as error:
        raise ValueError(
            f"cellpose's model {model} could not be fetched from {models._MODEL_URL} ({error}); fetch it on a machine with a "
            "network and write its path into the section cellpose, or set CELLPOSE_LOCAL_MODELS_PATH to a folder that has it"
        ) from None
    except Exception as error:  # noqa: BLE001 (torch raises many kinds for a file that holds no such weights)
        said = (str(error).splitlines() or [""])[0][:100]
        raise ValueError(f"{model}: not the weights of a cellpose 3 model ({type(error).__name__}: {said})") from None


def diameter_px(diameter_um: float | None, pixel: float | None, what: str) -> float | None:
    """Return a diameter in prepared pixels; None, the size the model was trained on, stays None."""
    if diameter_um is None:
        return None
    if not pixel or pixel <= 0:
        raise ValueError(f"cellpose.{what} needs the size of a prepared pixel; export.json lacks it: rerun export")
    found = diameter_um / pixel
    if found < LEAST_DIAMETER_PX:
        raise ValueError(
            f"cellpose.{what}: {diameter_um:g} um are {found:.1f} px of {pixel:.3g} um, expected at least "
            f"{LEAST_DIAMETER_PX}; raise prepare.size_px"
        )
    return found


def settle(threads: int) -> None:
    """Fix threads and seeds, so that the same images give the same masks."""
    import cv2
    import torch

    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def found(models: dict, nucleus, planes: list, settings: dict, pixel: float | None):
    """Find the nuclei and cells of one field.

    Parameters
    ----------
    models : {"nuclei", "cells"}
    nucleus : (H, W) uint16, the nuclear stain
    planes : the cells' stains, likewise; their mean is taken

    Returns
    -------
    nuclei, cells : (H, W) int label images, not yet matched
    """
    import numpy as np

    limits = {key: settings[key] for key in ("flow_threshold", "cellprob_threshold")}
    dna = nucleus.astype(np.float32)
    body = np.mean(planes, axis=0, dtype=np.float32)
    seen = {"nuclei": (dna, [0, 0]), "cells": (np.stack([body, dna, 0 * dna], axis=-1), [1, 2])}  # (H, W, 3): body, DNA
    labels = []
    for what, (image, channels) in seen.items():
        key = {"nuclei": "nucleus_diameter_um", "cells": "cell_diameter_um"}[what]
        size = diameter_px(settings[key], pixel, key)
        masks, *_ = models[what].eval(image, channels=channels, diameter=size, **limits)
        labels.append(masks.astype(np.int64))
    return labels


def segment(settings: dict, images: Path, labels: Path, counts: Path, *, device: str, threads: int) -> None:
    """Write label images of one exported part into the folder `labels`, and a table of what was found and left out."""
    import tifffile

    from brightpaint.features.label_pairs import paired

    rows, channels = read_csv(images / "load_data.csv"), channels_of(images / "load_data.csv")
    described = exported(images)
    nuclear, bodies = found_in(channels, described, f"{images}: cellpose")
    used = [name for name in channels if name in (nuclear, *bodies)]
    check_images(rows, used)
    settle(threads)
    models = {what: load_model(settings[what], device) for what in ("nuclei", "cells")} if rows else {}
    pixel, lines = described.get("pixel_size_um"), []
    with atomic.atomic_folder(labels) as folder:
        for row in rows:
            file = row[f"FileName_Orig{channels[0]}"]
            planes = {n: tifffile.imread(Path(row[f"PathName_Orig{n}"]) / row[f"FileName_Orig{n}"]) for n in used}
            try:
                nuclei, cells, left = paired(
                    *found(models, planes[nuclear], [planes[name] for name in bodies], settings, pixel)
                )
            except ValueError as error:
                raise ValueError(f"{describe(row)}: {error}") from None
            for objects, image in zip(("Nuclei", "Cells"), (nuclei, cells)):
                tifffile.imwrite(folder / loaded_objects.label_name(file, objects), image, photometric="minisblack")
            log.info("%s: %s", describe(row), ", ".join(f"{key} {left[key]}" for key in COUNTED))
            lines.append({"file": file, **{key: row[key] for key in row if key.startswith("Metadata_")}, **left})
        text = as_csv(lines)
        (folder / loaded_objects.OBJECTS_TABLE).write_text(text)
    with atomic.atomic(counts) as path:
        path.write_text(text)


def as_csv(lines: list[dict]) -> str:
    """Return a table as CSV."""
    text = io.StringIO()
    keys = list(lines[0]) if lines else ["file", *COUNTED]
    writer = csv.DictWriter(text, keys, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def main(argv: list[str] | None = None) -> None:
    """Find nuclei and cells of one exported part with Cellpose."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=Path, required=True, help="folder of the exported part")
    parser.add_argument("--labels", type=Path, required=True, help="folder that the label images go to")
    parser.add_argument("--counts", type=Path, required=True, help="CSV of what was found and left out")
    args = parser.parse_args(argv)
    start_again(argv)
    segment(args.settings, args.images, args.labels, args.counts, device=args.device, threads=args.threads)


if __name__ == "__main__":
    cli.run(main)
