"""Fit a shipped CellProfiler pipeline to the exported channels and pixel size; leave any other as it is.

A .cppipe is text: a head, then one block a module, its settings one a line. The shipped pipelines
(resources/cellprofiler/make_pipelines.py) bear notes that say what may be changed; a pipeline without them is
the user's own and is run as it is. Standard library only, and Python 3.9, as cellprofiler.py says.
"""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATE = "brightpaint: diameters at 1 um a pixel"
EACH_CHANNEL = "brightpaint: once for each channel"
DIAMETER = "Typical diameter of objects, in pixel units (Min,Max)"
LEAST_DIAMETER_PX = 4
BODY = ("AGP", "RNA")  # cells are grown over the mean of these
IMAGE_SETTING = re.compile(r"^Select (the |an )?(input )?images?( to measure| to save)?$")
MADE_SETTING = re.compile(r"^Name the .*image")
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


def adapt(path: Path, channels: list[str], pixel_um: float | None) -> str:
    """Return the text of a pipeline, fitted to the images if it is one of ours.

    Parameters
    ----------
    channels : what load_data.csv offers, in order
    pixel_um : size of a prepared pixel, in micrometres
    """
    text = read(path)
    head, *modules = blocks(text)
    if not modules or TEMPLATE not in modules[0].splitlines()[0]:
        return text
    if "DNA" not in channels or not set(BODY) & set(channels):
        raise ValueError(
            f"{path.name} finds nuclei in DNA and cells in AGP or RNA, but the channels are {channels}; "
            "set cellprofiler.pipeline to a .cppipe of your own for these stains"
        )
    if pixel_um is None or pixel_um <= 0:
        raise ValueError(f"{path.name} needs the size of a prepared pixel; export.json lacks it: rerun export")
    fitted = [_fit(block, channels, pixel_um, path.name) for block in _repeat(modules, channels)]
    return renumbered(head, fitted)


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
    """Scale a module's diameters, name the channels that there are, and grow cells over the stains that there are."""
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
        if setting == "Select the image" and value(block, "Name the output image") == "CellBody":
            present = next(channel for channel in (text[len("Orig") :], *BODY) if channel in channels)
            lines[number] = f"    {setting}:Orig{present}"
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
