"""From a drawn sample to raw images: planes, lighting, nuisance and camera of each channel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from brightpaint.base.seeds import seed_of
from brightpaint.plates.simulator import confounder, optics, stains
from brightpaint.plates.simulator import population as cells
from brightpaint.study import simulation

# Mean counts of one unit of stain, and of empty medium: dye in solution and stray light.
STAIN_COUNTS = {"DNA": 2600.0, "RNA": 1500.0, "ER": 1900.0, "AGP": 1500.0, "Mito": 1700.0}
BACKGROUND_COUNTS = {"DNA": 90.0, "RNA": 130.0, "ER": 150.0, "AGP": 120.0, "Mito": 140.0}
BRIGHTFIELD_COUNTS = 20000.0
FOCUS_SPREAD_UM = 0.35  # s.d. of the autofocus
STACK_SPAN_UM = (-6.0, 6.0)  # of a stain's z-stack
# Height of each stain's sharpest plane above the cell's middle: nuclei lie high, the fibres of actin on the glass.
HEIGHT_UM = {"DNA": 1.0, "RNA": 0.5, "ER": 0.0, "AGP": -1.0, "Mito": 0.0}


@dataclass(frozen=True)
class View:
    """What is seen of a sample, and how.

    Attributes
    ----------
    channels : those to image
    stacks : {stain: channels of its planes, lowest first} of the stains that are z-stacks
    stripes : the treatment's nuisance, if there is one
    shown_in : where it shows: brightfield, stains or all
    strength : of the nuisance
    """

    channels: list[str]
    stacks: dict[str, list[str]] = field(default_factory=dict)
    stripes: confounder.Stripes | None = None
    shown_in: str = "all"
    strength: float = 1.0

    def stain_of(self, channel: str) -> str:
        """Return the stain that a channel shows, "" for brightfield."""
        planes = {name: stain for stain, names in self.stacks.items() for name in names}
        return planes.get(channel, channel if channel in stains.STAINS else "")

    def brightfield_planes(self) -> dict[str, float]:
        """Return the focal position in um of every channel that is not a stain: names in _L lowest, in _H highest."""
        planes = [name for name in self.channels if not self.stain_of(name)]
        order = sorted(planes, key=lambda name: (name.endswith("_H") - name.endswith("_L"), planes.index(name)))
        return dict(zip(order, optics.focal_positions(len(order))))

    def defocus_um(self, channel: str, focus_um: float) -> float:
        """Return how far from its sharpest plane a stain is seen; a stain that is no stack is in focus."""
        stain = self.stain_of(channel)
        if stain not in self.stacks:
            return 0.0
        positions = np.linspace(*STACK_SPAN_UM, len(self.stacks[stain]))
        return float(positions[self.stacks[stain].index(channel)] + focus_um - HEIGHT_UM[stain])

    def amplitude(self, stain: str) -> float:
        """Return the counts by which the stripes rise and fall in a stain, or in brightfield (""); 0 where they don't show."""
        if self.stripes is None or self.shown_in not in ("all", "stains" if stain else "brightfield"):
            return 0.0
        share, counts = (
            (confounder.STAIN_SHARE, BACKGROUND_COUNTS[stain]) if stain
            else (confounder.BRIGHTFIELD_SHARE, BRIGHTFIELD_COUNTS)
        )  # fmt: skip
        return share * counts * self.strength


def view_of(settings: dict, channels: list[str], stripes: confounder.Stripes | None = None) -> View:
    """Return what the settings of a plate say of how `channels` are seen."""
    shown = settings.get("confounder") or {}
    return View(channels, simulation.stain_planes(settings.get("planes")), stripes, **shown)


def plate_lighting(
    channels: list[str], *, seed: int, barcode: str, view: View | None = None
) -> dict[str, optics.Lighting]:
    """Draw the lighting of each channel of one plate: stains vary by batch, the lamp less; planes of a stain share it."""
    drawn, view = {}, view or View(channels)
    for name in channels:
        stain = view.stain_of(name)
        rng = np.random.default_rng([seed, seed_of("lighting", barcode, stain or name)])
        drawn[name] = optics.draw_lighting(rng, spread=0.15, fall=0.2) if stain else optics.draw_lighting(
            rng, spread=0.04, fall=0.06, dust=12)  # fmt: skip
    return drawn


def inside_cells(owner: np.ndarray, margin: int, factor: int) -> np.ndarray:
    """Return (H, W) bool: camera pixels that any part of a cell lies in. `owner` is on the grid with its margin."""
    held = owner[margin:-margin, margin:-margin] >= 0
    return optics.bin_pixels(held.astype(np.float32), factor) > 0


def image_sample(
    maps: dict[str, np.ndarray], canvas: cells.Canvas, *, channels: list[str], pixel_size_um: float,
    lighting: dict[str, optics.Lighting], names: tuple, view: View | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Image a sample in `channels`: {channel: (H, W) uint16 raw counts}."""
    view = view or View(channels)
    factor, step = round(pixel_size_um / canvas.step_um), canvas.step_um
    margin = round(canvas.margin_um / step)
    planes = view.brightfield_planes()
    focus = np.random.default_rng([seed_of(*names), seed_of("focus")]).normal(0, FOCUS_SPREAD_UM)
    positions = [z + focus for z in planes.values()]
    bright = optics.brightfield(maps["path"], maps["absorbance"], step_um=step, z_um=positions) if planes else []
    seen = dict(zip(planes, bright))
    inside, images = inside_cells(maps["owner"], margin, factor), {}
    for name in channels:
        stain = view.stain_of(name)
        defocus = view.defocus_um(name, focus)
        image = optics.widefield(maps[stain], step_um=step, defocus_um=defocus) if stain else seen[name]
        image = optics.bin_pixels(image[margin:-margin, margin:-margin], factor)
        scale = STAIN_COUNTS[stain] if stain else BRIGHTFIELD_COUNTS
        counts, light = image * scale + BACKGROUND_COUNTS.get(stain, 0), lighting[name].field(len(image))
        images[name] = optics.camera(counts * light, np.random.default_rng([seed_of(*names), seed_of("camera", name)]))
        if amplitude := view.amplitude(stain):
            striped = confounder.behind(
                view.stripes.field(len(image), pixel_size_um), inside, pixel_size_um=pixel_size_um
            )
            rng = np.random.default_rng([seed_of(*names), seed_of("confounder", name)])
            outside = optics.camera((counts + amplitude * striped) * light, rng)
            images[name] = np.where(inside, images[name], outside)  # cells keep their noise too, to the last count
    return images
