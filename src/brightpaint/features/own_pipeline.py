"""Refuse a .cppipe that cannot serve brightpaint before anything runs, in a sentence that says what to mend.

The shipped pipelines keep these rules by construction; one that was exported from CellProfiler's window often does not.
What only CellProfiler can know (a plug-in that is missing, a setting of another version) shows when it loads the file:
cellprofiler.py ends then. Standard library only, and Python 3.9, as cellprofiler.py says.
"""

from __future__ import annotations

import re
from pathlib import Path

from brightpaint.features.object_parents import Made, made_by, unjoined
from brightpaint.features.pipeline import blocks, check_channels, settings, value

OBJECTS = ("Nuclei", "Cells", "Cytoplasm")
INPUT_MODULES = ("Images", "Metadata", "NamesAndTypes", "Groups")
FEATURES = re.compile(r"^Measure(Object|Texture|Granularity|Colocalization)")
EXPORT_SETTINGS = {
    "Select the column delimiter": 'Comma (",")',
    "Output file location": "Default Output Folder",
    "Add a prefix to file names?": "No",
    "Add image metadata columns to your object data file?": "No",
    "Add image file and folder names to your object data file?": "No",
    "Select the measurements to export": "No",  # a choice leaves out the modules' errors, which tell of silent failures
}
OBJECT_LISTS = re.compile(r"^Select .*object")


def modules(text: str) -> list[tuple[str, str]]:
    """Return (name, block) of the enabled modules of a pipeline, in order."""
    return [
        (block.partition(":")[0], block) for block in blocks(text)[1:] if "enabled:False" not in block.splitlines()[0]
    ]


def problems(text: str) -> list[str]:
    """Return what a pipeline lacks, one sentence each; none where it may run."""
    found = modules(text)
    names = [name for name, _ in found]
    made = made_by(found)
    return [*_loading(found, names), *_objects(found, made), *_exporting(found), *_joining(found, made)]


def _loading(found: list[tuple[str, str]], names: list[str]) -> list[str]:
    """Tell whether images come from load_data.csv alone, in 0 to 1, and are not corrected a second time."""
    said = []
    if "LoadData" not in names:
        others = [name for name in names if name in INPUT_MODULES]
        instead = f" in place of {', '.join(others)}" if others else ""
        return [f"it must begin with LoadData{instead}: brightpaint hands it load_data.csv"]
    load = next(block for name, block in found if name == "LoadData")
    for setting in ("Load images based on this data?", "Rescale intensities?"):
        if value(load, setting) != "Yes":
            said.append(f"LoadData must have {setting!r} set to Yes")
    corrections = [name for name in names if name.startswith("CorrectIllumination")]
    if corrections:
        said.append(f"{', '.join(dict.fromkeys(corrections))} must go: the images are corrected and normalised already")
    return said


def _objects(found: list[tuple[str, str]], made: Made) -> list[str]:
    """Tell whether the three kinds of objects are made and each of them is measured."""
    missing = [name for name in OBJECTS if name not in made.parents]
    if missing:
        named = ", ".join(sorted(made.parents)) or "none"
        return [f"it must name its objects {', '.join(OBJECTS)}; it makes {named}, so {', '.join(missing)} are missing"]
    measured = {
        part.strip()
        for module, block in found
        if FEATURES.match(module)
        for name, text in settings(block)
        if OBJECT_LISTS.match(name)
        for part in text.split(",")
    }
    unmeasured = [name for name in OBJECTS if name not in measured]
    return [f"it measures nothing of {', '.join(unmeasured)}: add MeasureObject... modules"] if unmeasured else []


def _exporting(found: list[tuple[str, str]]) -> list[str]:
    """Tell whether ExportToSpreadsheet writes Image.csv and the object tables where they are looked for."""
    exports = [block for name, block in found if name == "ExportToSpreadsheet"]
    if not exports:
        return ["it must end with ExportToSpreadsheet"]
    said = [
        f"ExportToSpreadsheet must have {setting!r} set to {wanted}"
        for setting, wanted in EXPORT_SETTINGS.items()
        if value(exports[0], setting).rstrip("|.") not in (wanted, "")
    ]
    if value(exports[0], "Export all measurement types?") == "No":
        tables = " ".join(text for name, text in settings(exports[0]) if name == "Data to export")
        missing = [name for name in ("Image", *OBJECTS) if name not in tables.split()]
        said += [f"ExportToSpreadsheet must export {', '.join(missing)} too"] if missing else []
    return said


def _joining(found: list[tuple[str, str]], made: Made) -> list[str]:
    """Tell whether each cell can be joined to its nucleus and its cytoplasm by the Parent columns that are exported."""
    exports = [block for name, block in found if name == "ExportToSpreadsheet"]
    if not exports or not set(OBJECTS) <= set(made.parents):
        return []  # what is said of that already is enough
    exported = None
    if value(exports[0], "Export all measurement types?") == "No":
        exported = {text.strip() for name, text in settings(exports[0]) if name == "Data to export"} | set(OBJECTS)
    return unjoined(made, exported)


def check(text: str, channels: list[str], path: Path) -> None:
    """Refuse a pipeline that cannot serve; `channels` are those that load_data.csv offers as Orig... images.

    Raises
    ------
    ValueError
        naming the file and everything to mend
    """
    found = problems(text)
    if found:
        raise ValueError(f"{path}: " + "; ".join(found) + ". Mend it in CellProfiler and export it again")
    check_channels(text, channels, path)
