"""Make one plate of known truth, laid out as in the Cell Painting Gallery.

A field is drawn (`cells.py`, `stains.py`) with the phenotype of its well (`phenotypes.py`), seen through a
microscope (`optics.py`) and written as 16-bit TIFFs under a CV8000's file names, with load_data.csv,
platemap and compound metadata. Every byte follows from the seed and stable names.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates.simulator import optics, phenotypes, stains
from brightpaint.plates.simulator import population as cells
from brightpaint.plates.simulator.phenotypes import seed_of

# Mean counts of one unit of stain, and of empty medium: dye in solution and stray light.
STAIN_COUNTS = {"DNA": 2600.0, "RNA": 1500.0, "ER": 1900.0, "AGP": 1500.0, "Mito": 1700.0}
BACKGROUND_COUNTS = {"DNA": 90.0, "RNA": 130.0, "ER": 150.0, "AGP": 120.0, "Mito": 140.0}
BRIGHTFIELD_COUNTS = 20000.0
FOCUS_SPREAD_UM = 0.35  # s.d. of the autofocus
GRID_STEP_UM = 0.5  # grid pixels are about this large, whatever the camera's
COMPOUND_FILE = "simulated_compound_metadata.tsv"
LAYOUT_KEYS = ("dmso_share", "inactive_share", "invisible_share", "strength")


def generators(*names: object) -> dict[str, np.random.Generator]:
    """Return independent generators for each thing that is drawn, so that none disturbs another."""
    streams = ("population", "shape", "visible", "golgi", "debris", "focus")
    return {stream: np.random.default_rng([seed_of(*names), seed_of(stream)]) for stream in streams}


def brightfield_planes(channels: list[str]) -> dict[str, float]:
    """Return the focal position in um of every channel that is not a stain: names in _L lowest, in _H highest."""
    planes = [name for name in channels if name not in stains.STAINS]
    order = sorted(planes, key=lambda name: (name.endswith("_H") - name.endswith("_L"), planes.index(name)))
    return dict(zip(order, optics.focal_positions(len(order))))


def add_debris(maps: dict, canvas: cells.Canvas, rng: np.random.Generator) -> None:
    """Add specks that absorb and refract, and a few that take up stain, to the maps in place."""
    axis, side = canvas.axis(), canvas.size * canvas.step_um
    for _ in range(rng.poisson(side**2 / 4000)):
        at, radius = rng.uniform(-cells.MARGIN_UM, side - cells.MARGIN_UM, 2), float(rng.uniform(0.4, 1.2))
        stained, density = rng.uniform() < 0.25, float(rng.uniform(0.2, 1.2))
        stains.stamp(maps["absorbance"], canvas, axis, at, radius, density)
        stains.stamp(maps["path"], canvas, axis, at, radius, 0.08)
        for name in ("DNA", "AGP") if stained else ():
            stains.stamp(maps[name], canvas, axis, at, radius, 0.6 * density)


def draw_sample(
    state: dict[str, float], *, size_px: int, pixel_size_um: float, density: float, names: tuple
) -> tuple[dict[str, np.ndarray], cells.Canvas]:
    """Draw what lies under the microscope: the maps of `stains.draw_field` with debris, on a grid with a margin.

    Parameters
    ----------
    state : the well's mean phenotype scores
    density : cells per square um of an untreated field
    names : what seeds this field: seed, plate, well, site
    """
    rngs = generators(*names)
    factor = max(1, round(pixel_size_um / GRID_STEP_UM))
    margin = factor * int(np.ceil(cells.MARGIN_UM / pixel_size_um))
    step = pixel_size_um / factor
    canvas = cells.Canvas(step, size_px * factor + 2 * margin, margin * step)
    population = cells.draw_population(rngs["population"], state, side_um=size_px * pixel_size_um, density=density)
    maps = stains.draw_field(population, canvas, rngs)
    add_debris(maps, canvas, rngs["debris"])
    return maps, canvas


def image_sample(
    maps: dict[str, np.ndarray], canvas: cells.Canvas, *, channels: list[str], pixel_size_um: float,
    lighting: dict[str, optics.Lighting], names: tuple,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Image a sample in `channels`: {channel: (H, W) uint16 raw counts}."""
    factor, step = round(pixel_size_um / canvas.step_um), canvas.step_um
    margin = round(canvas.margin_um / step)
    planes = brightfield_planes(channels)
    focus = generators(*names)["focus"].normal(0, FOCUS_SPREAD_UM)
    positions = [z + focus for z in planes.values()]
    bright = optics.brightfield(maps["path"], maps["absorbance"], step_um=step, z_um=positions) if planes else []
    seen = dict(zip(planes, bright))
    images = {}
    for name in channels:
        image = seen[name] if name in seen else optics.widefield(maps[name], step_um=step)
        image = optics.bin_pixels(image[margin:-margin, margin:-margin], factor)
        scale = BRIGHTFIELD_COUNTS if name in seen else STAIN_COUNTS[name]
        counts = (image * scale + BACKGROUND_COUNTS.get(name, 0)) * lighting[name].field(len(image))
        images[name] = optics.camera(counts, np.random.default_rng([seed_of(*names), seed_of("camera", name)]))
    return images


def plate_lighting(channels: list[str], *, seed: int, barcode: str) -> dict[str, optics.Lighting]:
    """Draw the lighting of each channel of one plate: stains vary by batch, the lamp less."""
    drawn = {}
    for name in channels:
        rng = np.random.default_rng([seed, seed_of("lighting", barcode, name)])
        stain = name in stains.STAINS
        drawn[name] = optics.draw_lighting(rng, spread=0.15, fall=0.2) if stain else optics.draw_lighting(
            rng, spread=0.04, fall=0.06, dust=12)  # fmt: skip
    return drawn


# --- the gallery's layout --------------------------------------------------------------------------


def file_name(barcode: str, well: str, site: int, channel: str, channels: list[str]) -> str:
    """Return a CV8000's name for one image: stains are actions 1 to n, brightfield one action of several planes."""
    painted = [name for name in channels if name in stains.STAINS]
    if channel in painted:
        action, plane = painted.index(channel) + 1, 1
    else:
        action, plane = len(painted) + 1, list(brightfield_planes(channels)).index(channel) + 1
    return f"{barcode}_{well}_T0001F{site:03d}L01A{action:02d}Z{plane:02d}C{action:02d}.tif"


def load_data(plate: dict, wells: list[str], sites: int, written: list[str]) -> pd.DataFrame:
    """Return load_data.csv: one row a field, columns as in the gallery's own."""
    barcode = plate["barcode"]
    folder = f"/home/ubuntu/bucket/{plate['project']}/{plate['source']}/images/{plate['batch']}/images/{barcode}/"
    rows = []
    for well in wells:
        for site in range(1, sites + 1):
            row = {"Metadata_Source": plate["source"], "Metadata_Batch": plate["batch"], "Metadata_Plate": barcode,
                   "Metadata_Well": well, "Metadata_Site": site}  # fmt: skip
            row |= {f"FileName_Orig{name}": file_name(barcode, well, site, name, plate["channels"]) for name in written}
            row |= {f"PathName_Orig{name}": folder for name in written}
            rows.append(row)
    return pd.DataFrame(rows)


def platemap(layout: pd.DataFrame) -> pd.DataFrame:
    """Return a platemap; as in JUMP-Target's, a DMSO well has no broad_sample."""
    samples = layout["Metadata_perturbation"].where(layout["Metadata_control_type"] != "negcon", "")
    return pd.DataFrame({"well_position": layout["Metadata_Well"], "broad_sample": samples, "solvent": "DMSO"})


def platemap_name(table: pd.DataFrame, layout: str) -> str:
    """Return a name for a platemap that changes with its content, so that no two platemaps share a file."""
    return f"simulated_{layout}_{seed_of(table.to_csv(index=False)):08x}"


def write_metadata(workspace: Path, plate: dict, layout: pd.DataFrame) -> None:
    """Write the platemap, the compound table and this plate's row of the batch's barcode table."""
    table = platemap(layout)
    name = platemap_name(table, plate["layout"])
    maps = workspace / "metadata" / "platemaps" / plate["batch"]
    store.write_table(table, maps / "platemap" / f"{name}.txt")
    store.write_table(phenotypes.compound_library(), workspace / "metadata" / "external_metadata" / COMPOUND_FILE)
    with open(maps / ".barcode_platemap.lock", "a") as lock:  # plates of a batch run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        path, rows = maps / "barcode_platemap.csv", {}
        if path.exists():
            known = store.read_table(path)
            rows = dict(zip(known["Assay_Plate_Barcode"], known["Plate_Map_Name"]))
        rows = sorted({**rows, plate["barcode"]: name}.items())
        store.write_table(pd.DataFrame(rows, columns=["Assay_Plate_Barcode", "Plate_Map_Name"]), path)


def truth_table(plate: dict, layout: pd.DataFrame, states: list[dict[str, float]]) -> pd.DataFrame:
    """Return the truth: one row a well, what its compound does, and the mean scores that its cells were drawn with."""
    truth = layout.copy()
    truth.insert(0, "Metadata_Plate", plate["plate"])
    for column, key in (("Metadata_Source", "source"), ("Metadata_Batch", "batch")):
        truth.insert(2, column, plate[key])
    scores = pd.DataFrame(states).round(6).add_prefix("score_")
    return pd.concat([truth, scores], axis=1)


def checked(settings: dict) -> dict:
    """Return the plate row with barcode and layout filled in; a row without project, source or batch is an error."""
    plate = {"layout": "standard", **settings["plate"]}
    for key in ("project", "source", "batch"):
        if not plate.get(key):
            raise ValueError(
                f"plate {plate['plate']}: the plate table has no {key} for it; expected e.g. simulated, source_0, "
                "20260101_Batch_1 in columns project, source, batch. Add it to the plate table and rerun."
            )
    if settings["size_px"] * settings["pixel_size_um"] < 48:
        raise ValueError(
            f"plate {plate['plate']}: a field of {settings['size_px']} px at {settings['pixel_size_um']} um a pixel is "
            "smaller than a cell; set simulate.size_px so that the field is at least 48 um wide"
        )
    return {"barcode": plate["plate"], **plate}


def simulate_plate(settings: dict, mirror: Path) -> pd.DataFrame:
    """Write one plate into `mirror` and return its truth table."""
    plate, seed, sites = checked(settings), settings["seed"], settings["sites"]
    channels, barcode = plate["channels"], plate["barcode"]
    written = list(brightfield_planes(channels)) if plate["role"] == "predict" else channels
    layout = phenotypes.draw_layout(
        settings["rows"], settings["columns"], seed=seed, layout=plate["layout"],
        **{key: settings[key] for key in LAYOUT_KEYS},
    )  # fmt: skip
    layout = phenotypes.fail_wells(layout, seed=seed, barcode=barcode, failed_share=settings["failed_share"])
    states = [phenotypes.well_state(well, seed=seed, barcode=barcode) for _, well in layout.iterrows()]
    lighting = plate_lighting(channels, seed=seed, barcode=barcode)
    density = settings["cells_per_field"] / (settings["size_px"] * settings["pixel_size_um"]) ** 2
    root = mirror / plate["project"] / plate["source"]
    folder = root / "images" / plate["batch"] / "images" / barcode
    progress = tqdm(total=len(layout) * sites, disable=None, unit="field", desc=plate["plate"])
    with store.atomic_folder(folder) as temporary, progress:
        for (well, state), site in itertools.product(zip(layout["Metadata_Well"], states), range(1, sites + 1)):
            names, pixel = (seed, barcode, well, site), settings["pixel_size_um"]
            sample = draw_sample(state, size_px=settings["size_px"], pixel_size_um=pixel, density=density, names=names)
            images = image_sample(*sample, channels=written, pixel_size_um=pixel, lighting=lighting, names=names)
            for name, image in images.items():
                store.write_raw(temporary / file_name(barcode, well, site, name, channels), image)
            progress.update()
    write_metadata(root / "workspace", plate, layout)
    table = load_data(plate, list(layout["Metadata_Well"]), sites, written)
    store.write_table(table, root / "workspace" / "load_data_csv" / plate["batch"] / barcode / "load_data.csv")
    return truth_table(plate, layout, states)


def main(argv: list[str] | None = None) -> None:
    """Make one plate; the truth table is written last, and says that the plate is whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, type=json.loads, help="JSON of the rule's settings")
    parser.add_argument("--mirror", required=True, type=Path, help="folder laid out as the gallery's bucket")
    parser.add_argument("--truth", required=True, type=Path, help="TSV to write")
    arguments = parser.parse_args(argv)
    truth = simulate_plate(arguments.settings, arguments.mirror)
    store.write_table(truth, arguments.truth)
    counts = truth["Metadata_target"].replace("", np.nan).nunique(), int(truth["active"].sum())
    logging.info("%s: %d wells, %d targets, %d active wells", truth["Metadata_Plate"][0], len(truth), *counts)


if __name__ == "__main__":
    run(main)
