"""Make one plate of known truth, laid out as in the Cell Painting Gallery.

A field is drawn (`population.py`, `stains.py`) with the phenotype of its well (`phenotypes.py`) and the shapes of its
cell line (`cell_lines.py`), seen through a microscope (`optics.py`, `imaging.py`) and written as 16-bit TIFFs under a
CV8000's file names, with load_data.csv, platemap and compound metadata (`plate_files.py`). Dose series
(`dosing.py`), real molecules (`molecules.py`), z-stacks and a confounder (`confounder.py`) are off by default.
Every byte follows from the seed and stable names.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates.simulator import confounder, phenotypes, stains
from brightpaint.plates.simulator import population as cells
from brightpaint.plates.simulator.cell_lines import LINES, CellLine
from brightpaint.plates.simulator.imaging import image_sample, plate_lighting, view_of
from brightpaint.plates.simulator.phenotypes import seed_of
from brightpaint.plates.simulator.plate_files import file_name, load_data, write_metadata

GRID_STEP_UM = 0.5  # grid pixels are about this large, whatever the camera's


def generators(*names: object) -> dict[str, np.random.Generator]:
    """Return independent generators for each thing that is drawn, so that none disturbs another."""
    streams = ("population", "shape", "visible", "golgi", "debris", "focus")
    return {stream: np.random.default_rng([seed_of(*names), seed_of(stream)]) for stream in streams}


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
    state: dict[str, float], *, size_px: int, pixel_size_um: float, density: float, names: tuple,
    line: CellLine = LINES["U2OS"],
) -> tuple[dict[str, np.ndarray], cells.Canvas]:  # fmt: skip
    """Draw what lies under the microscope: the maps of `stains.draw_field` with debris, on a grid with a margin.

    Parameters
    ----------
    state : the well's mean phenotype scores
    density : cells per square um of an untreated field of U2OS
    line : the cells' line
    names : what seeds this field: seed, plate, well, site
    """
    rngs = generators(*names)
    factor = max(1, round(pixel_size_um / GRID_STEP_UM))
    margin = factor * int(np.ceil(cells.MARGIN_UM / pixel_size_um))
    step = pixel_size_um / factor
    canvas = cells.Canvas(step, size_px * factor + 2 * margin, margin * step)
    side_um = size_px * pixel_size_um
    population = cells.draw_population(rngs["population"], state, side_um=side_um, density=density, line=line)
    maps = stains.draw_field(population, canvas, rngs)
    add_debris(maps, canvas, rngs["debris"])
    return maps, canvas


def truth_table(plate: dict, layout: pd.DataFrame, states: list[dict[str, float]]) -> pd.DataFrame:
    """Return the truth: one row a well, what its compound does, and the mean scores that its cells were drawn with."""
    truth = layout.copy()
    truth.insert(0, "Metadata_Plate", plate["plate"])
    for column, key in (("Metadata_Source", "source"), ("Metadata_Batch", "batch")):
        truth.insert(2, column, plate[key])
    scores = pd.DataFrame(states).round(6).add_prefix("score_")
    return pd.concat([truth, scores], axis=1)


def with_gaps(truth: pd.DataFrame) -> pd.DataFrame:
    """Return the truth with `nan` where there is no number, as text tables have it."""
    gaps = [name for name in truth.select_dtypes("float") if truth[name].hasnans]
    return truth.assign(**{name: truth[name].astype(object).fillna("nan") for name in gaps})


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


def stripes_of_wells(settings: dict, layout: pd.DataFrame) -> list[confounder.Stripes | None]:
    """Return each well's nuisance: that of its treatment, or None where there is no confounder."""
    if not settings.get("confounder"):
        return [None] * len(layout)
    treatments = layout["Metadata_treatment" if "Metadata_treatment" in layout else "Metadata_perturbation"]
    return [confounder.stripes_of(name, seed=settings["seed"]) for name in treatments]


def draw_wells(settings: dict, plate: dict) -> tuple[pd.DataFrame, list[dict], list[confounder.Stripes | None]]:
    """Return what each well holds, the mean scores of its cells, and its nuisance."""
    seed, barcode = settings["seed"], plate["barcode"]
    layout = phenotypes.draw_layout(settings, layout=plate["layout"])
    layout = phenotypes.fail_wells(layout, seed=seed, barcode=barcode, failed_share=settings["failed_share"])
    states = [phenotypes.well_state(well, seed=seed, barcode=barcode) for _, well in layout.iterrows()]
    stripes = stripes_of_wells(settings, layout)
    if settings.get("confounder"):
        layout = layout.assign(confounder=settings["confounder"]["shown_in"])
        layout = layout.join(pd.DataFrame([vars(drawn) for drawn in stripes]).add_prefix("confounder_"))
    if "cell_line" in plate:
        layout.insert(4, "Metadata_cell_line", plate["cell_line"])
    return layout, states, stripes


def simulate_plate(settings: dict, mirror: Path) -> pd.DataFrame:
    """Write one plate into `mirror` and return its truth table."""
    plate, seed, sites, pixel = checked(settings), settings["seed"], settings["sites"], settings["pixel_size_um"]
    barcode, whole = plate["barcode"], view_of(settings, plate["channels"])
    written = list(whole.brightfield_planes()) if plate["role"] == "predict" else plate["channels"]
    layout, states, stripes = draw_wells(settings, plate)
    lighting = plate_lighting(plate["channels"], seed=seed, barcode=barcode, view=whole)
    drawn = {"density": settings["cells_per_field"] / (settings["size_px"] * pixel) ** 2,
             "line": LINES[plate.get("cell_line", "U2OS")], "size_px": settings["size_px"]}  # fmt: skip
    root = mirror / plate["project"] / plate["source"]
    folder = root / "images" / plate["batch"] / "images" / barcode
    progress = tqdm(total=len(layout) * sites, disable=None, unit="field", desc=plate["plate"])
    with store.atomic_folder(folder) as temporary, progress:
        for (well, state, own), site in itertools.product(
            zip(layout["Metadata_Well"], states, stripes), range(1, sites + 1)
        ):
            names = (seed, barcode, well, site)
            sample = draw_sample(state, **drawn, pixel_size_um=pixel, names=names)
            view = view_of(settings, plate["channels"], own)
            images = image_sample(
                *sample, channels=written, pixel_size_um=pixel, lighting=lighting, names=names, view=view
            )
            for name, image in images.items():
                store.write_raw(temporary / file_name(barcode, well, site, name, whole), image)
            progress.update()
    write_metadata(root / "workspace", plate, layout)
    table = load_data(plate, list(layout["Metadata_Well"]), sites, written, whole)
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
    store.write_table(with_gaps(truth), arguments.truth)
    counts = truth["Metadata_target"].replace("", np.nan).nunique(), int(truth["active"].sum())
    logging.info("%s: %d wells, %d targets, %d active wells", truth["Metadata_Plate"][0], len(truth), *counts)


if __name__ == "__main__":
    run(main)
