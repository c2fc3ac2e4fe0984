"""Fit a shipped CellProfiler pipeline to the exported channels and pixel size; leave any other as it is.

A .cppipe is text: a head, then one block a module, its settings one a line. The shipped pipelines
(resources/cellprofiler/make_pipelines.py) bear notes that say what may be changed; a pipeline without them is
the user's own and is run as it is. Standard library only, and Python 3.9, as cellprofiler.py says.
"""

from __future__ import annotations

import re
from pathlib import Path

from brightpaint.study import object_stains

TEMPLATE = "brightpaint: diameters at 1 um a pixel"
EACH_CHANNEL = "brightpaint: once for each channel"
DIAMETER = "Typical diameter of objects, in pixel units (Min,Max)"
LEAST_DIAMETER_PX = 4
BODY = "CellBody"  # the image that cells are grown over
IMAGE_SETTING = re.compile(r"^Select (the |an )?(input )?images?( to measure| to save)?$")
MADE_SETTING = re.compile(r"^Name the .*image")
OF_TWO = "MeasureColocalization:"  # CellProfiler refuses it for one image
LABELLED = ("Nuclei", "Cells")  # the objects whose label images are kept; cytoplasm is the rest of a cell
LABELS_FOLDER = "labels"
HEAD = (
    "svn_version:'Unknown'|variable_revision_number:{revision}|show_window:False|notes:[]"
    "|batch_state:array([], dtype=uint8)|enabled:True|wants_pause:False]"
)
SAVE_LABELS = (
    "ConvertObjectsToImage:[module_num:0|" + HEAD.replace("{revision}", "1"),
    "    Select the input objects:{objects}",
    "    Name the output image:Labels{objects}",
    "    Select the color format:uint16",
    "    Select the colormap:Default",
    "",
    "SaveImages:[module_num:0|" + HEAD.replace("{revision}", "16"),
    "    Select the type of image to save:Image",
    "    Select the image to save:Labels{objects}",
    "    Select method for constructing file names:From image filename",
    "    Select image name for file prefix:Orig{first}",
    "    Enter single file name:Orig",
    "    Number of digits:4",
    "    Append a suffix to the image file name?:Yes",
    "    Text to append to the image name:_{objects}",
    "    Saved file format:tiff",
    "    Output file location:Default Output Folder sub-folder|" + LABELS_FOLDER,
    "    Image bit depth:16-bit integer",
    "    Overwrite existing files without warning?:Yes",
    "    When to save:Every cycle",
    "    Record the file and path information to the saved image?:No",
    "    Create subfolders in the output folder?:No",
    "    Base image folder:Elsewhere...|",
    "    How to save the series:T (Time)",
    "    Save with lossless compression?:Yes",
)  # as CellProfiler 4.2.8 writes them


def read(path: Path) -> str:
    """Return a pipeline's text."""
    if not path.exists():
        raise ValueError(
            f"{path}: there is no such pipeline; set cellprofiler.pipeline to slim, full or a .cppipe file"
        )
    text = path.read_text(encoding="utf-8")
    if not text.startswith("CellProfiler Pipeline:"):
        raise ValueError(f"{path}: not a CellProfiler pipeline; export it as .cppipe (File > Export > Pipeline)")
    return text.replace("\r\n", "\n")


def blocks(text: str) -> list[str]:
    """Return the head and the modules of a pipeline."""
    return [block for block in re.split(r"\n\s*\n", text.strip("\n")) if block.strip()]


def settings(block: str) -> list[tuple[str, str]]:
    """Return a module's (setting, value) pairs, in order."""
    return [tuple(line.strip().partition(":")[::2]) for line in block.splitlines()[1:]]


def value(block: str, setting: str) -> str:
    """Return the value of a module's first setting of that name."""
    return next((text for name, text in settings(block) if name == setting), "")


def adapt(path: Path, channels: list[str], pixel_um: float | None, named: dict | None = None) -> str:
    """Return the text of a pipeline, fitted to the images if it is one of ours.

    Parameters
    ----------
    channels : what load_data.csv offers, in order
    pixel_um : size of a prepared pixel, in micrometres
    named : `nuclear_stain` and `cell_stains`, where the study names them
    """
    text = read(path)
    head, *modules = blocks(text)
    if not modules or TEMPLATE not in modules[0].splitlines()[0]:
        return text
    nuclear, bodies = found_in(channels, named or {}, path.name)
    if pixel_um is None or pixel_um <= 0:
        raise ValueError(f"{path.name} needs the size of a prepared pixel; export.json lacks it: rerun export")
    check_names(channels)
    chosen = [_over(block, nuclear, bodies) for block in modules if len(channels) > 1 or not block.startswith(OF_TWO)]
    fitted = [_fit(block, channels, pixel_um, path.name) for block in _repeat(chosen, channels)]
    return renumbered(head, fitted)


def found_in(channels: list[str], named: dict, who: str) -> tuple[str, list[str]]:
    """Return the stain that nuclei are found in, and those over whose mean cells are grown; what lacks is an error."""
    nuclear, bodies = object_stains.nuclear_stain(channels, named), object_stains.cell_stains(channels, named)
    if nuclear and bodies:
        return nuclear, bodies
    raise ValueError(
        f"{who} finds nuclei in {named.get('nuclear_stain', object_stains.NUCLEAR)} and cells in "
        f"{' or '.join(named.get('cell_stains', object_stains.BODIES))}, but the channels are {channels}; name others in "
        "cellprofiler.nuclear_stain and cellprofiler.cell_stains, or set cellprofiler.pipeline to a .cppipe of your own"
    )


def check_names(channels: list[str]) -> None:
    """Refuse stains that are called as images which the shipped pipelines make of others."""
    made = {BODY, *(f"Labels{name}" for name in LABELLED), *(f"Orig{name}" for name in channels)}
    if taken := [name for name in channels if name in made]:
        raise ValueError(
            f"channels.target: {', '.join(taken)} is what the shipped pipelines call an image of their own; give the stain "
            "another name, or set cellprofiler.pipeline to a .cppipe of your own"
        )


def _over(block: str, nuclear: str, bodies: list[str]) -> str:
    """Let a module find nuclei in their stain, or grow cells over the mean of theirs."""
    if block.startswith("IdentifyPrimaryObjects:"):
        return re.sub(r"(Select the input image:Orig)\w+", rf"\g<1>{nuclear}", block)
    if value(block, "Name the output image") != BODY:
        return block
    head, one, *_ = re.split(r"\n(?=    Image or measurement\?:)", block)
    images = bodies if len(bodies) > 1 else bodies * 2  # of one stain, the mean of it and itself
    return "\n".join([head, *(re.sub(r"(Select the image:Orig).*", rf"\g<1>{name}", one) for name in images)])


def save_labels(text: str, channels: list[str]) -> str:
    """Return the pipeline with modules at its end that save the label image of each field's nuclei and cells.

    They are 16-bit TIFFs, `labels/{the first channel's file, without its ending}_{objects}.tiff`; a pixel is the
    ObjectNumber of its object, 0 outside.
    """
    head, *modules = blocks(text)
    for objects in LABELLED:
        saved = "\n".join(SAVE_LABELS).replace("{objects}", objects).replace("{first}", channels[0])
        modules += blocks(saved)
    return renumbered(head, modules)


def label_file(first_file: str, objects: str) -> str:
    """Return the name that a field's label image bears: A01_s1_t1_DNA.tif -> labels/A01_s1_t1_DNA_Nuclei.tiff."""
    return f"{LABELS_FOLDER}/{Path(first_file).stem}_{objects}.tiff"


def renumbered(head: str, modules: list[str]) -> str:
    """Return a pipeline's text from its head and modules, numbered anew."""
    numbered = [re.sub(r"module_num:\d+", f"module_num:{n}", block, count=1) for n, block in enumerate(modules, 1)]
    head = re.sub(r"ModuleCount:\d+", f"ModuleCount:{len(numbered)}", head)
    return "\n\n".join([head, *numbered]) + "\n"


def _repeat(modules: list[str], channels: list[str]) -> list[str]:
    """Write the modules that stand once for each channel for the channels that there are."""
    each = [block for block in modules if EACH_CHANNEL in block.splitlines()[0]]
    model = value(each[0], "Name the output image")
    copies = [re.sub(rf"(?<=:|_)(Orig)?{model}$", rf"\g<1>{name}", each[0], flags=re.M) for name in channels]
    at = modules.index(each[0])
    rest = [block for block in modules if block not in each]
    return rest[:at] + copies + rest[at:]


def _fit(block: str, channels: list[str], pixel_um: float, name: str) -> str:
    """Scale a module's diameters, and name the channels that there are."""
    lines = block.splitlines()
    for number, line in enumerate(lines[1:], 1):
        setting, _, text = line.strip().partition(":")
        if setting == "Select images to measure":
            prefix = "Orig" if text.startswith("Orig") else ""
            lines[number] = f"    {setting}:" + ", ".join(prefix + channel for channel in channels)
        if setting == DIAMETER:
            sizes = [round(float(size) / pixel_um) for size in text.split(",")]
            if sizes[0] < LEAST_DIAMETER_PX:
                raise ValueError(
                    f"{name}: a prepared pixel of {pixel_um:.3g} um leaves the smallest nuclei {sizes[0]} px, expected at "
                    f"least {LEAST_DIAMETER_PX}; raise prepare.size_px"
                )
            lines[number] = f"    {setting}:{sizes[0]},{sizes[1]}"
    return "\n".join(lines)


def check_channels(text: str, channels: list[str], path: Path) -> None:
    """Refuse a pipeline that reads an original image which load_data.csv does not offer."""
    wanted, made = set(), set()
    for block in blocks(text)[1:]:
        if "enabled:False" in block.splitlines()[0]:
            continue
        for setting, names in settings(block):
            if IMAGE_SETTING.match(setting):
                wanted |= {name.strip() for name in names.split(",")}
            if MADE_SETTING.match(setting):
                made.add(names.strip())
    missing = sorted(name for name in wanted - made if name.startswith("Orig") and name[len("Orig") :] not in channels)
    if missing:
        raise ValueError(
            f"{path}: reads {', '.join(missing)}, but load_data.csv offers {', '.join('Orig' + name for name in channels)}; "
            "set cellprofiler.pipeline to one for these channels"
        )
