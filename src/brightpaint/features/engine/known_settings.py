"""Every setting of every module that the engine knows, in the order in which CellProfiler 4.2.8 writes them.

A setting is taken, wanted at one value, or known to change nothing of what is measured; the reason stands beside it.
There is no fourth way: what is not named here is refused (`pipeline_steps`).
"""

from __future__ import annotations

from typing import NamedTuple

from brightpaint.features.engine.setting_rules import (
    Counted,
    Idle,
    Only,
    Repeated,
    Same,
    Taken,
    name,
    names,
    number,
    one_of,
    pair,
    percentiles,
    several,
    whole,
    yes,
)  # fmt: skip


class Known(NamedTuple):
    """One module: the version of its settings, and the settings in order, (name, rule) or `Repeated`."""

    revision: str
    settings: tuple


BY_HAND = "brightpaint hands it load_data.csv"
UNGROUPED = "fields are not grouped"
PICTURE = "a picture is not measured"
DECLUMP, NEIGHBOURS = "Method to distinguish clumped objects", "Method to determine neighbors"
BY_SHAPE = ((DECLUMP, "Shape"), (DECLUMP, "None"))
CALCULATE_SMOOTHING = "Automatically calculate size of smoothing filter for declumping?"
CALCULATE_DISTANCE = "Automatically calculate minimum allowed distance between local maxima?"

THRESHOLD = (
    ("Threshold setting version", Only("12")),
    ("Threshold strategy", Only("Global")),
    ("Thresholding method", Only("Minimum Cross-Entropy")),
    ("Threshold smoothing scale", Taken("threshold_smoothing_scale", number(0))),
    ("Threshold correction factor", Taken("threshold_correction_factor", number())),
    ("Lower and upper bounds on threshold", Taken("threshold_bounds", pair)),
    ("Manual threshold", Idle("only of thresholds by hand")),
    ("Select the measurement to threshold with", Idle("only of thresholds by a measurement")),
    ("Two-class or three-class thresholding?", Idle("only of Otsu's method")),
    ("Log transform before thresholding?", Taken("log_transform", yes)),
    ("Assign pixels in the middle intensity class to the foreground or the background?", Idle("only of Otsu's method")),
    ("Size of adaptive window", Idle("only of adaptive thresholds")),
    ("Lower outlier fraction", Idle("only of the method Robust Background")),
    ("Upper outlier fraction", Idle("only of the method Robust Background")),
    ("Averaging method", Idle("only of the method Robust Background")),
    ("Variance method", Idle("only of the method Robust Background")),
    ("# of deviations", Idle("only of the method Robust Background")),
    ("Thresholding method", Idle("only of adaptive thresholds")),
)

MODULES = {
    "LoadData": Known("6", (
        ("Input data file location", Idle(BY_HAND)),
        ("Name of the file", Idle(BY_HAND)),
        ("Load images based on this data?", Only("Yes")),
        ("Base image location", Idle("load_data.csv names whole paths")),
        ("Process just a range of rows?", Only("No")),
        ("Rows to process", Idle("every row is")),
        ("Group images by metadata?", Only("No")),
        ("Select metadata tags for grouping", Idle(UNGROUPED)),
        ("Rescale intensities?", Only("Yes")),
    )),
    "MeasureImageIntensity": Known("4", (
        ("Select images to measure", Taken("images", names)),
        ("Measure the intensity only from areas enclosed by objects?", Only("No")),
        ("Select input object sets", Idle("whole images are measured")),
        ("Calculate custom percentiles", Taken("percentiles_wanted", yes)),
        ("Specify percentiles to measure", Idle(
            "no percentiles are measured", (("Calculate custom percentiles", "No"),), Taken("percentiles", percentiles)
        )),
    )),
    "ImageMath": Known("5", (
        ("Operation", Taken("operation", one_of("Subtract", "Average"))),
        ("Raise the power of the result by", Taken("exponent", number())),
        ("Multiply the result by", Taken("factor", number())),
        ("Add to result", Taken("addend", number())),
        ("Set values less than 0 equal to 0?", Taken("not_below_0", yes)),
        ("Set values greater than 1 equal to 1?", Taken("not_above_1", yes)),
        ("Replace invalid values with 0?", Taken("invalid_to_0", yes)),
        ("Ignore the image masks?", Idle("no image has a mask")),
        ("Name the output image", Taken("image_made", name)),
        Repeated("operands", (
            ("Image or measurement?", Taken("kind", one_of("Image", "Measurement"))),
            ("Select the image", Idle(
                "the operand is a measurement", (("Image or measurement?", "Measurement"),), Taken("image", name)
            )),
            ("Multiply the image by", Taken("factor", number())),
            ("Measurement", Idle(
                "the operand is an image", (("Image or measurement?", "Image"),), Taken("measurement", name)
            )),
        ), least=2),
    )),
    "IdentifyPrimaryObjects": Known("15", (
        ("Select the input image", Taken("image", name)),
        ("Name the primary objects to be identified", Taken("objects_made", name)),
        ("Typical diameter of objects, in pixel units (Min,Max)", Taken("diameter", pair)),
        ("Discard objects outside the diameter range?", Taken("discard_other_sizes", yes)),
        ("Discard objects touching the border of the image?", Taken("discard_at_border", yes)),
        (DECLUMP, Taken("declump_by", one_of("Shape", "Intensity", "None"))),
        ("Method to draw dividing lines between clumped objects", Taken("divide_by", one_of("Shape", "Intensity", "None"))),
        ("Size of smoothing filter", Idle(
            "it is calculated, or not of clumps told apart by shape", ((CALCULATE_SMOOTHING, "Yes"), *BY_SHAPE),
            Taken("smoothing_diameter", number(0)),
        )),
        ("Suppress local maxima that are closer than this minimum allowed distance", Idle(
            "it is calculated", ((CALCULATE_DISTANCE, "Yes"),), Taken("least_distance", number(0)),
        )),
        ("Speed up by using lower-resolution image to find local maxima?", Taken("lower_resolution", yes)),
        ("Fill holes in identified objects?", Taken(
            "fill_holes", one_of("After both thresholding and declumping", "After declumping only", "Never")
        )),
        (CALCULATE_SMOOTHING, Idle(
            "not of clumps told apart by shape", BY_SHAPE, Taken("smoothing_calculated", yes)
        )),
        (CALCULATE_DISTANCE, Taken("distance_calculated", yes)),
        ("Handling of objects if excessive number of objects identified", Only("Continue")),
        ("Maximum number of objects", Idle("objects may be as many as there are")),
        ("Use advanced settings?", Only("Yes")),
        *THRESHOLD,
    )),
    "IdentifySecondaryObjects": Known("10", (
        ("Select the input objects", Taken("seeds", name)),
        ("Name the objects to be identified", Taken("objects_made", name)),
        ("Select the method to identify the secondary objects", Only("Propagation")),
        ("Select the input image", Taken("image", name)),
        ("Number of pixels by which to expand the primary objects", Idle("only of the methods Distance")),
        ("Regularization factor", Taken("regularization", number(0))),
        ("Discard secondary objects touching the border of the image?", Only("No")),
        ("Discard the associated primary objects?", Only("No")),
        ("Name the new primary objects", Idle("there are none")),
        ("Fill holes in identified objects?", Taken("fill_holes", yes)),
        *THRESHOLD,
    )),
    "IdentifyTertiaryObjects": Known("3", (
        ("Select the larger identified objects", Taken("larger", name)),
        ("Select the smaller identified objects", Taken("smaller", name)),
        ("Name the tertiary objects to be identified", Taken("objects_made", name)),
        ("Shrink smaller object prior to subtraction?", Taken("shrink_smaller", yes)),
    )),
    "RelateObjects": Known("5", (
        ("Parent objects", Taken("parent", name)),
        ("Child objects", Taken("child", name)),
        ("Calculate child-parent distances?", Only("None")),
        ("Calculate per-parent means for all child measurements?", Only("No")),
        ("Calculate distances to other parents?", Idle("no distances are calculated")),
        ("Do you want to save the children with parents as a new object set?", Only("No")),
        ("Name the output object", Idle("there are none")),
        Repeated("other_parents", (("Parent name", Idle("no distances are calculated")),)),
    )),
    "MeasureObjectSizeShape": Known("3", (
        ("Select object sets to measure", Taken("objects", names)),
        ("Calculate the Zernike features?", Taken("zernike", yes)),
        ("Calculate the advanced features?", Taken("advanced", yes)),
    )),
    "MeasureObjectIntensity": Known("4", (
        ("Select images to measure", Taken("images", names)),
        ("Select objects to measure", Taken("objects", names)),
    )),
    "MeasureObjectIntensityDistribution": Known("6", (
        ("Select images to measure", Taken("images", names)),
        ("Hidden", Counted("objects")),
        ("Hidden", Counted("bins")),
        ("Hidden", Counted("heatmaps")),
        ("Calculate intensity Zernikes?", Taken(
            "zernikes", one_of("None", "Magnitudes only", "Magnitudes and phase")
        )),
        ("Maximum zernike moment", Idle(
            "no Zernike moments are measured", (("Calculate intensity Zernikes?", "None"),), Taken("degree", whole(1, 20))
        )),
        Repeated("objects", (
            ("Select objects to measure", Taken("name", name)),
            ("Object to use as center?", Only("These objects")),
            ("Select objects to use as centers", Idle("objects are their own centres")),
        ), least=1),
        Repeated("bins", (
            ("Scale the bins?", Taken("scaled", yes)),
            ("Number of bins", Taken("count", whole(1, 100))),
            ("Maximum radius", Idle("bins are scaled to the object", (("Scale the bins?", "Yes"),),
                                    Taken("maximum_radius", whole(1, 100_000)))),
        ), least=1),
    )),
    "MeasureTexture": Known("7", (
        ("Select images to measure", Taken("images", names)),
        ("Select objects to measure", Taken("objects", names)),
        ("Enter how many gray levels to measure the texture at", Taken("gray_levels", whole(2, 256))),
        ("Hidden", Counted("scales")),
        ("Measure whole images or objects?", Only("Objects")),
        Repeated("scales", (("Texture scale to measure", Taken("scale", whole(1, 1000))),), least=1),
    )),
    "MeasureGranularity": Known("4", (
        ("Select images to measure", Taken("images", names)),
        ("Measure within objects?", Only("Yes")),
        ("Select objects to measure", Taken("objects", names)),
        ("Subsampling factor for granularity measurements", Taken("subsampling", number(1e-6, 1))),
        ("Subsampling factor for background reduction", Taken("background_subsampling", number(1e-6, 1))),
        ("Radius of structuring element", Taken("radius", whole(1, 1000))),
        ("Range of the granular spectrum", Taken("spectrum", whole(1, 1000))),
    )),
    "MeasureColocalization": Known("5", (
        ("Select images to measure", Taken("images", several)),
        ("Set threshold as percentage of maximum intensity for the images", Taken("threshold_percent", number(0, 99))),
        ("Select where to measure correlation", Only("Within objects")),
        ("Select objects to measure", Taken("objects", names)),
        ("Run all metrics?", Idle("CellProfiler 4.2.8 only hides the settings below it, and measures what they say")),
        ("Calculate correlation and slope metrics?", Taken("correlation", yes)),
        ("Calculate the Manders coefficients?", Taken("manders", yes)),
        ("Calculate the Rank Weighted Colocalization coefficients?", Taken("rank_weighted", yes)),
        ("Calculate the Overlap coefficients?", Taken("overlap", yes)),
        ("Calculate the Manders coefficients using Costes auto threshold?", Taken("costes", yes)),
        ("Method for Costes thresholding", Idle(
            "no Costes thresholds are sought", (("Calculate the Manders coefficients using Costes auto threshold?", "No"),),
            Taken("costes_method", one_of("Faster", "Fast", "Accurate")),
        )),
    )),
    "MeasureObjectNeighbors": Known("3", (
        ("Select objects to measure", Taken("objects", name)),
        ("Select neighboring objects to measure", Same("Select objects to measure")),
        (NEIGHBOURS, Taken("method", one_of("Expand until adjacent", "Within a specified distance", "Adjacent"))),
        ("Neighbor distance", Idle(
            "not of objects within a distance", ((NEIGHBOURS, "Expand until adjacent"), (NEIGHBOURS, "Adjacent")),
            Taken("distance", whole(1, 10_000)),
        )),
        ("Consider objects discarded for touching image border?", Taken("considers_discarded", yes)),
        ("Retain the image of objects colored by numbers of neighbors?", Idle(PICTURE)),
        ("Name the output image", Idle(PICTURE)),
        ("Select colormap", Idle(PICTURE)),
        ("Retain the image of objects colored by percent of touching pixels?", Idle(PICTURE)),
        ("Name the output image", Idle(PICTURE)),
        ("Select colormap", Idle(PICTURE)),
    )),
    "ExportToSpreadsheet": Known("13", (
        ("Select the column delimiter", Only('Comma (",")')),
        ("Add image metadata columns to your object data file?", Only("No")),
        ("Add image file and folder names to your object data file?", Only("No")),
        ("Select the measurements to export", Only("No")),
        ("Calculate the per-image mean values for object measurements?", Idle("nothing reads an image's means")),
        ("Calculate the per-image median values for object measurements?", Idle("nothing reads an image's medians")),
        ("Calculate the per-image standard deviation values for object measurements?", Idle(
            "nothing reads an image's standard deviations"
        )),
        ("Output file location", Only("Default Output Folder", "Default Output Folder|", "Default Output Folder|.")),
        ("Create a GenePattern GCT file?", Idle("nothing reads that file")),
        ("Select source of sample row name", Idle("only of that file")),
        ("Select the image to use as the identifier", Idle("only of that file")),
        ("Select the metadata to use as the identifier", Idle("only of that file")),
        ("Export all measurement types?", Only("Yes")),
        ("Press button to select measurements", Idle("every measurement is written")),
        ("Representation of Nan/Inf", Idle("either way is read as a missing number")),
        ("Add a prefix to file names?", Only("No")),
        ("Filename prefix", Idle("there is none")),
        ("Overwrite existing files without warning?", Idle("the folder is new")),
        Repeated("tables", (
            ("Data to export", Idle("every table is written")),
            ("Combine these object measurements with those of the previous object?", Idle("every table is written")),
            ("File name", Idle("every table is written")),
            ("Use the object name for the file name?", Idle("every table is written")),
        )),
    )),
}  # fmt: skip
