"""Write slim.cppipe and full.cppipe with CellProfiler's own classes.

Run it with CellProfiler's Python: `.envs/cellprofiler/bin/python resources/cellprofiler/make_pipelines.py`.

Both pipelines load in the CellProfiler window as they are: five channels, 1 um a pixel. brightpaint runs a
copy in which the diameters are scaled to the prepared pixel and the channels are those that were exported
(src/brightpaint/features/cellprofiler.py); the notes below are what it looks for.

- The loaded image OrigDNA is a z-score between the window's ends, so its background lies near 0.2. Nuclei
  and cells are found on it by the minimum cross-entropy of the logarithm, which that offset does not harm.
- What is measured is DNA: the same image less its own 1st percentile, because ratios (Manders,
  FracAtD, coefficient of variation) need a background of zero. Hence also the usual feature names.
- Cells are grown from the nuclei over the mean of AGP and RNA, as in the paper.
"""

import logging
from pathlib import Path

import cellprofiler_core.preferences

cellprofiler_core.preferences.set_headless()
logging.root.setLevel(logging.ERROR)

from cellprofiler_core.pipeline import Pipeline  # noqa: E402 (headless comes first)
from cellprofiler_core.utilities.core.modules import fill_modules, instantiate_module  # noqa: E402

CHANNELS = ["DNA", "RNA", "ER", "AGP", "Mito"]
OBJECTS = ["Nuclei", "Cells", "Cytoplasm"]
NUCLEUS_UM = (10, 40)  # least and greatest diameter; at 1 um a pixel they are pixels
TEMPLATE = "brightpaint: diameters at 1 um a pixel; the channels are those of load_data.csv"
EACH_CHANNEL = "brightpaint: once for each channel"


def add(pipeline, name, *notes, **settings):
    """Append module `name`; `settings` are its attributes and their values."""
    module = instantiate_module(name)
    module.set_module_num(len(pipeline.modules()) + 1)
    module.show_window = False
    module.notes = list(notes)
    for key, value in settings.items():
        getattr(module, key).value = value
    pipeline.add_module(module)
    return module


def threshold(module, smoothing):
    """Threshold at the minimum cross-entropy of the logarithm, over the whole image."""
    chosen = module.threshold
    chosen.threshold_scope.value = "Global"
    chosen.global_operation.value = "Minimum Cross-Entropy"
    chosen.log_transform.value = True
    chosen.threshold_smoothing_scale.value = smoothing
    chosen.threshold_range.value = "0.0,1.0"


def load(pipeline):
    """Load the exported images and take their background off."""
    originals = ", ".join("Orig" + channel for channel in CHANNELS)
    module = add(pipeline, "LoadData", TEMPLATE)
    module.wants_images.value, module.rescale.value = True, True
    add(pipeline, "MeasureImageIntensity", images_list=originals, wants_percentiles=True, percentiles="1")
    for channel in CHANNELS:
        module = add(pipeline, "ImageMath", EACH_CHANNEL, operation="Subtract", output_image_name=channel)
        module.images[0].image_name.value = "Orig" + channel
        module.images[1].image_or_measurement.value = "Measurement"
        module.images[1].measurement.value = "Intensity_Percentile_1_Orig" + channel
    module = add(pipeline, "ImageMath", operation="Average", output_image_name="CellBody")
    for image, channel in zip(module.images, ("AGP", "RNA")):
        image.image_name.value = "Orig" + channel


def segment(pipeline):
    """Find nuclei, grow cells from them, and call the rest cytoplasm."""
    nuclei = add(pipeline, "IdentifyPrimaryObjects", x_name="OrigDNA", y_name="Nuclei", use_advanced=True)
    nuclei.size_range.value = "{},{}".format(*NUCLEUS_UM)
    nuclei.exclude_border_objects.value = True
    nuclei.unclump_method.value = nuclei.watershed_method.value = "Shape"
    threshold(nuclei, smoothing=1.3488)
    cells = add(pipeline, "IdentifySecondaryObjects", x_name="Nuclei", y_name="Cells", image_name="CellBody")
    cells.method.value = "Propagation"
    threshold(cells, smoothing=0)
    names = {"secondary_objects_name": "Cells", "primary_objects_name": "Nuclei"}
    add(pipeline, "IdentifyTertiaryObjects", subregion_objects_name="Cytoplasm", **names)


def measure(pipeline, full):
    """Measure every object in every channel."""
    both = {"images_list": ", ".join(CHANNELS), "objects_list": ", ".join(OBJECTS)}
    add(pipeline, "MeasureObjectSizeShape", objects_list=both["objects_list"], calculate_zernikes=full,
        calculate_advanced=False)  # fmt: skip
    add(pipeline, "MeasureObjectIntensity", **both)
    zernikes = "Magnitudes and phase" if full else "None"
    radial = add(pipeline, "MeasureObjectIntensityDistribution", images_list=both["images_list"],
                 wants_zernikes=zernikes)  # fmt: skip
    for number, name in enumerate(OBJECTS):
        if number:
            radial.add_object()
        radial.objects[number].object_name.value = name
    # A cell is its nucleus and its cytoplasm: slim leaves it out where a measurement costs most.
    costly = both if full else {**both, "objects_list": "Nuclei, Cytoplasm"}
    texture = add(pipeline, "MeasureTexture", images_or_objects="Objects", gray_levels=256 if full else 64, **costly)
    for number, scale in enumerate((3, 5, 10) if full else (3,)):
        if number:
            texture.add_scale()
        texture.scale_groups[number].scale.value = scale
    granularity = add(pipeline, "MeasureGranularity", wants_objects=True, **both)
    granularity.subsample_size.value = granularity.image_sample_size.value = 0.5  # prepared fields are small already
    granularity.granular_spectrum_length.value = 16 if full else 4
    add(pipeline, "MeasureColocalization", images_or_objects="Within objects", do_all=False, do_rwc=full,
        do_costes=full, fast_costes="Faster", **costly)  # fmt: skip
    for name, method, distance in (("Cells", "Expand until adjacent", 0), ("Nuclei", "Within a specified distance", 1)):
        add(pipeline, "MeasureObjectNeighbors", object_name=name, neighbors_name=name, distance_method=method,
            distance=distance)  # fmt: skip


def export(pipeline):
    """Write Image.csv, Nuclei.csv, Cells.csv and Cytoplasm.csv."""
    module = add(pipeline, "ExportToSpreadsheet", add_metadata=False, wants_everything=True)
    module.delimiter.value = 'Comma (",")'
    module.wants_overwrite_without_warning.value = True
    module.wants_prefix.value = False
    module.directory.value = "Default Output Folder|"


def make(path, full):
    """Write one pipeline."""
    pipeline = Pipeline()
    load(pipeline)
    segment(pipeline)
    measure(pipeline, full)
    export(pipeline)
    with open(path, "w") as handle:
        pipeline.dump(handle)


if __name__ == "__main__":
    fill_modules()
    here = Path(__file__).parent
    make(here / "slim.cppipe", full=False)
    make(here / "full.cppipe", full=True)
