"""One field, from images to a table of each set of objects: a pipeline's steps, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from brightpaint.features.engine import (
    colocalization,
    granularity,
    image_operations,
    intensity_zernike,
    neighbours,
    object_intensity,
    primary,
    radial,
    relations,
    secondary,
    shape,
    tertiary,
    texture,
)
from brightpaint.features.engine.objects import Objects
from brightpaint.features.engine.pipeline_steps import Step

THRESHOLD = ("threshold_smoothing_scale", "threshold_correction_factor", "threshold_bounds", "log_transform")


@dataclass
class Field:
    """What the steps have made of a field so far.

    Attributes
    ----------
    images : {name: (H, W) float32}
    objects : {name: Objects}
    uncut : {name: (H, W) int32}, what was found before objects were discarded, numbered as then
    whole : {name: (H, W) int32}, of it what is looked at for neighbours
    numbers : {column of Image.csv: number}
    tables : {objects: {column: (count,) float64}}
    """

    images: dict[str, np.ndarray]
    objects: dict[str, Objects] = field(default_factory=dict)
    uncut: dict[str, np.ndarray] = field(default_factory=dict)
    whole: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    tables: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def add(self, name: str, labels: np.ndarray, *, depth: bool) -> Objects:
        """Keep a set of objects, 1 to the highest number, with where each lies."""
        labels = np.ascontiguousarray(labels, np.int32)
        self.objects[name] = Objects(labels, int(labels.max(initial=0)))
        self.tables[name] = relations.measure(self.objects[name], depth=depth)
        self.numbers[f"Count_{name}"] = self.objects[name].count
        return self.objects[name]

    def relate(self, parent: str, child: str) -> None:
        """Write down which object of one set each of another belongs to."""
        self._related(parent, child, relations.relate(parent, self.objects[parent], child, self.objects[child]))

    def _related(self, parent: str, child: str, columns: tuple[dict, dict]) -> None:
        self.tables[parent] |= columns[0]
        self.tables[child] |= columns[1]

    def chosen(self, names: list[str]) -> dict[str, np.ndarray]:
        """Return some of the images."""
        return {name: self.images[name] for name in names}


def measure_field(steps: list[Step], images: dict[str, np.ndarray], loaded: dict[str, np.ndarray]) -> Field:
    """Return what a pipeline's steps make of one field.

    Parameters
    ----------
    images : {name: (H, W) uint8 or uint16}, as they were exported
    loaded : {objects: (H, W) label image} of objects that are given, which are measured under their numbers
    """
    field = Field({name: image_operations.rescaled(pixels) for name, pixels in images.items()})
    for name, labels in loaded.items():
        field.add(name, labels, depth=False)
    for step in steps:
        DONE_BY[step.module](step.settings, field)
    return field


def _nothing(settings: dict, field: Field) -> None:
    """LoadData and ExportToSpreadsheet: whoever calls has read and will write."""


def _image_intensity(settings: dict, field: Field) -> None:
    percentiles = tuple(settings.get("percentiles", ()))
    for name, image in field.chosen(settings["images"]).items():
        field.numbers |= image_operations.measure(image, name, percentiles=percentiles)


def _image_math(settings: dict, field: Field) -> None:
    operands = settings["operands"]
    field.images[settings["image_made"]] = image_operations.combined(
        settings["operation"],
        [field.images[one["image"]] if "image" in one else field.numbers[one["measurement"]] for one in operands],
        factors=[one["factor"] for one in operands],
        **_some(settings, "exponent", "factor", "addend", "not_below_0", "not_above_1", "invalid_to_0"),
    )


def _primary(settings: dict, field: Field) -> None:
    name, (least, most) = settings["objects_made"], settings["diameter"]
    smoothing = None if settings.get("smoothing_calculated") else settings.get("smoothing_diameter")
    found = primary.find(
        field.images[settings["image"]],
        least_diameter=least,
        most_diameter=most,
        smoothing_diameter=smoothing,
        least_distance=settings.get("least_distance"),
        **_some(settings, "discard_other_sizes", "discard_at_border", "declump_by", "divide_by", "lower_resolution", "fill_holes"),
        **_some(settings, *THRESHOLD),
    )  # fmt: skip
    field.add(name, found.labels, depth=True)
    field.uncut[name], field.whole[name] = found.uncut, found.whole


def _secondary(settings: dict, field: Field) -> None:
    name, seeds = settings["objects_made"], settings["seeds"]
    grown = secondary.grow(
        field.objects[seeds].labels,
        field.images[settings["image"]],
        uncut=field.uncut.get(seeds),
        **_some(settings, "regularization", "fill_holes", *THRESHOLD),
    )
    field.add(name, grown.labels, depth=True)
    field.uncut[name] = field.whole[name] = grown.whole
    field.relate(seeds, name)


def _tertiary(settings: dict, field: Field) -> None:
    name, larger, smaller = (settings[key] for key in ("objects_made", "larger", "smaller"))
    sets, shrunk = field.objects, settings["shrink_smaller"]
    labels = tertiary.subtract(sets[larger].labels, sets[smaller].labels, shrink_smaller=shrunk)
    field.add(name, labels, depth=False)
    field.relate(larger, name)
    if shrunk:
        field.relate(smaller, name)
    else:
        three = ((one, sets[one]) for one in (smaller, larger, name))
        field._related(smaller, name, relations.relate_unshrunk(*three))


def _relate(settings: dict, field: Field) -> None:
    field.relate(settings["parent"], settings["child"])


def _shape(settings: dict, field: Field) -> None:
    for name in settings["objects"]:
        field.tables[name] |= shape.measure(field.objects[name], **_some(settings, "zernike", "advanced"))


def _intensity(settings: dict, field: Field) -> None:
    images = field.chosen(settings["images"])
    for name in settings["objects"]:
        field.tables[name] |= object_intensity.measure(field.objects[name], images)


def _distribution(settings: dict, field: Field) -> None:
    images, zernikes = field.chosen(settings["images"]), settings["zernikes"]
    for name in [one["name"] for one in settings["objects"]]:
        objects = field.objects[name]
        for bins in settings["bins"]:
            field.tables[name] |= radial.measure(
                objects, images, bins=bins["count"], **_some(bins, "scaled", "maximum_radius")
            )
        if zernikes != "None":
            field.tables[name] |= intensity_zernike.measure(
                objects, images, degree=settings["degree"], phases=zernikes == "Magnitudes and phase"
            )


def _texture(settings: dict, field: Field) -> None:
    images, scales = field.chosen(settings["images"]), [one["scale"] for one in settings["scales"]]
    for name in settings["objects"]:
        found = texture.measure(field.objects[name], images, scales=scales, gray_levels=settings["gray_levels"])
        field.tables[name] |= found


def _granularity(settings: dict, field: Field) -> None:
    sets = {name: field.objects[name] for name in settings["objects"]}
    keys = ("subsampling", "background_subsampling", "radius", "spectrum")
    found = granularity.measure(sets, field.chosen(settings["images"]), **_some(settings, *keys))
    field.numbers |= found["Image"]
    for name in sets:
        field.tables[name] |= found[name]


def _colocalization(settings: dict, field: Field) -> None:
    images, method = field.chosen(settings["images"]), _some(settings, "costes_method")
    shared = colocalization.Shared(images, **method)
    keys = ("threshold_percent", "correlation", "manders", "rank_weighted", "overlap", "costes")
    for name in settings["objects"]:
        field.tables[name] |= colocalization.measure(
            field.objects[name], images, shared=shared, **method, **_some(settings, *keys)
        )


def _neighbours(settings: dict, field: Field) -> None:
    name = settings["objects"]
    whole, considers = field.whole.get(name), settings["considers_discarded"]
    field.tables[name] |= neighbours.measure(
        field.objects[name],
        before_discarding=whole,
        considers_discarded=considers,
        **_some(settings, "method", "distance"),
    )
    if whole is not None and not considers:  # CellProfiler erases them for the modules that follow
        field.whole[name] = np.where(field.objects[name].labels > 0, whole, 0)


def _some(settings: dict, *keys: str) -> dict:
    """Return these settings as keyword arguments; one that changes nothing here is left out."""
    return {key: settings[key] for key in keys if key in settings}


DONE_BY: dict[str, Callable[[dict, Field], None]] = {
    "LoadData": _nothing,
    "MeasureImageIntensity": _image_intensity,
    "ImageMath": _image_math,
    "IdentifyPrimaryObjects": _primary,
    "IdentifySecondaryObjects": _secondary,
    "IdentifyTertiaryObjects": _tertiary,
    "RelateObjects": _relate,
    "MeasureObjectSizeShape": _shape,
    "MeasureObjectIntensity": _intensity,
    "MeasureObjectIntensityDistribution": _distribution,
    "MeasureTexture": _texture,
    "MeasureGranularity": _granularity,
    "MeasureColocalization": _colocalization,
    "MeasureObjectNeighbors": _neighbours,
    "ExportToSpreadsheet": _nothing,
}
