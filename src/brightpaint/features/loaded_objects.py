"""Let CellProfiler measure objects that were found elsewhere: label images are loaded in place of its own segmentation.

LoadData reads an image as objects where load_data.csv names it in columns ObjectsFileName_Nuclei and
ObjectsPathName_Nuclei (so in the code of 4.2.8; its manual puts Image_ before). IdentifyPrimaryObjects is then left
out, and RelateObjects stands in the place of IdentifySecondaryObjects, so that cells still have a Parent_Nuclei.

Standard library only, and Python 3.9, as cellprofiler.py says.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from brightpaint.features import object_parents, own_pipeline, pipeline, tiff

OBJECTS_TABLE = "objects.csv"  # one row a field: how many objects its label images hold
RELATE = "\n".join((
    "RelateObjects:[module_num:0|" + pipeline.HEAD.replace("{revision}", "5"),
    "    Parent objects:Nuclei",
    "    Child objects:Cells",
    "    Calculate child-parent distances?:None",
    "    Calculate per-parent means for all child measurements?:No",
    "    Calculate distances to other parents?:No",
    "    Do you want to save the children with parents as a new object set?:No",
    "    Name the output object:RelateObjects",
    "    Parent name:None",
))  # fmt: skip
FOUND_BY = {
    "Nuclei": ("IdentifyPrimaryObjects", "Name the primary objects to be identified"),
    "Cells": ("IdentifySecondaryObjects", "Name the objects to be identified"),
}


def label_name(first_file: str, objects: str) -> str:
    """Return the name of a field's label image: A01_s1_t1_DNA.tif -> A01_s1_t1_DNA_Nuclei.tif."""
    return f"{Path(first_file).stem}_{objects}.tif"


def adapt(text: str, path: Path) -> str:
    """Return a pipeline's text with Nuclei and Cells loaded, not found; all else stays as it is.

    Raises
    ------
    ValueError
        where it does not find them by one IdentifyPrimaryObjects and one IdentifySecondaryObjects
    """
    head, *blocks = pipeline.blocks(text)
    nuclei, cells = (_finder(text, objects, path) for objects in pipeline.LABELLED)
    if pipeline.value(cells, "Select the input objects") != "Nuclei":
        raise _refusal(path, "IdentifySecondaryObjects grows Cells from other objects than Nuclei")
    if pipeline.value(cells, "Discard the associated primary objects?") == "Yes":
        raise _refusal(path, "IdentifySecondaryObjects makes new nuclei (Discard the associated primary objects)")
    kept = [RELATE if block == cells else block for block in blocks if block != nuclei]
    return pipeline.renumbered(head, kept)


def _finder(text: str, objects: str, path: Path) -> str:
    """Return the one module that finds Nuclei or Cells."""
    module, setting = FOUND_BY[objects]
    modules = own_pipeline.modules(text)
    makers = [
        (name, block)
        for name, block in modules
        for key, made in pipeline.settings(block)
        if object_parents.NAMED_OBJECTS.match(key) and made.strip() == objects and not _unused(block, key)
    ]
    if [name for name, _ in makers] != [module] or pipeline.value(makers[0][1], setting).strip() != objects:
        found = ", ".join(name for name, _ in makers) or "no module"
        raise _refusal(path, f"{objects} come from {found}, expected one {module}")
    return makers[0][1]


def _unused(block: str, key: str) -> bool:
    """Tell whether IdentifySecondaryObjects only offers a name for new nuclei that it does not make."""
    return key == "Name the new primary objects" and not pipeline.value(
        block, "Discard the associated primary objects?"
    ).startswith("Yes")


def _refusal(path: Path, said: str) -> ValueError:
    return ValueError(
        f"{path}: {said}; with cellprofiler.segmentation: cellpose the label images take the place of one "
        "IdentifyPrimaryObjects (Nuclei) and one IdentifySecondaryObjects (Cells, from Nuclei): mend the pipeline, or set "
        "cellprofiler.segmentation to cellprofiler"
    )


def load_data(path: Path, labels: Path) -> str:
    """Return the text of a load_data.csv that also names the label images of its fields."""
    with open(path, newline="", encoding="utf-8-sig") as handle:
        rows = [row for row in csv.reader(handle) if row]
    first = next(number for number, name in enumerate(rows[0]) if name.startswith("FileName_Orig"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"Objects{kind}Name_{objects}" for objects in pipeline.LABELLED for kind in ("File", "Path")]
    writer.writerow(rows[0] + names)
    for row in rows[1:]:
        found = [(label_name(row[first], objects), str(labels.resolve())) for objects in pipeline.LABELLED]
        writer.writerow(row + [cell for pair in found for cell in pair])
    return text.getvalue()


def expected_counts(labels: Path, files: list[str]) -> dict[str, dict[str, int]]:
    """Return {first file: {objects: count}} of the label images, each of which must be a whole TIFF."""
    table = labels / OBJECTS_TABLE
    if not table.exists():
        raise ValueError(f"{table} is missing; delete {labels} and rerun cellpose")
    with open(table, newline="", encoding="utf-8") as handle:
        rows = {row["file"]: row for row in csv.DictReader(handle)}
    if missing := [file for file in files if file not in rows]:
        raise ValueError(f"{table}: {missing[0]} is missing, and {len(missing) - 1} more; rerun cellpose")
    for file in files:
        for objects in pipeline.LABELLED:
            path = labels / label_name(file, objects)
            try:
                tiff.check(path)
            except ValueError as error:
                raise ValueError(f"{path}: {error}; delete {labels} and rerun cellpose") from None
    return {file: dict.fromkeys(pipeline.LABELLED, int(rows[file]["kept"])) for file in files}


def check_counts(measured: list[dict[str, str]], first: str, expected: dict[str, dict[str, int]]) -> None:
    """Refuse a measured part whose objects are not as many as were loaded.

    Parameters
    ----------
    measured : rows of Image.csv
    first : name of its column FileName_Orig...
    expected : as `expected_counts` returns it
    """
    for row in measured:
        for objects, count in expected[row[first]].items():
            found = float(row[f"Count_{objects}"])
            if found != count:
                raise ValueError(
                    f"{row[first]}: CellProfiler loaded {found:g} {objects}, the label image holds {count}; a label image "
                    "must number its objects 1, 2, ... and leave some background: rerun cellpose"
                )
