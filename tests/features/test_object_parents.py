"""Cells that were filtered and renumbered find their nuclei, and pipelines whose objects cannot be joined are refused first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.features import cellprofiler as module
from brightpaint.features import loaded_objects, object_links, object_parents, own_pipeline, pipeline
from features_fixture import (
    annotated,
    blobs,
    filtering,
    part_cells,
    rows_of,
    write_images,
    write_relabelling_pipeline,
)


def relate(parent: str, child: str) -> str:
    """Return a RelateObjects of these objects."""
    named = loaded_objects.RELATE.replace("Parent objects:Nuclei", f"Parent objects:{parent}")
    return named.replace("Child objects:Cells", f"Child objects:{child}")


@pytest.fixture
def relabelling(tmp_path):
    return write_relabelling_pipeline(tmp_path / "own.cppipe")


def made(text):
    return object_parents.made_by(own_pipeline.modules(text))


def instead(text: str, name: str, *blocks: str) -> str:
    """Put modules in the place of the one called `name`."""
    head, *modules = pipeline.blocks(text)
    at = next(number for number, block in enumerate(modules) if block.startswith(name))
    return pipeline.renumbered(head, [*modules[:at], *blocks, *modules[at + 1 :]])


# --- what a pipeline will write ---


def test_filtered_and_relabelled_objects_know_what_they_came_from(relabelling):
    found = made(relabelling)
    assert found.parents == {
        "NucleiIncludingEdges": [],
        "CellsIncludingEdges": ["NucleiIncludingEdges"],
        "Nuclei": ["NucleiIncludingEdges"],
        "Cells": [],  # CellProfiler 4.2.8 writes their parents down only with what was removed
        "Cytoplasm": ["Cells", "Nuclei"],
    }
    ways = object_parents.cell_ways(found.parents)
    assert list(ways["Cells"]) == [("Cells", "Cytoplasm", "Nuclei")]
    assert next(ways["Cytoplasm"]) == ("Cytoplasm", "Cells")
    assert own_pipeline.problems(relabelling) == []
    kept = made(relabelling.replace("as a separate set?:No", "as a separate set?:Yes")).parents
    assert kept["Cells"] == ["CellsIncludingEdges"] and "RemovedObjects" in kept
    assert list(object_parents.cell_ways(kept)["Cells"])[1] == (
        "Cells", "CellsIncludingEdges", "NucleiIncludingEdges", "Nuclei",
    )  # fmt: skip


def test_names_that_are_written_down_but_not_made_are_not_taken_for_objects(relabelling):
    assert not {"FilteredNuclei", "RemovedObjects", "RelateObjects"} & set(made(relabelling).parents)
    discarding = relabelling.replace("primary objects?:No", "primary objects?:Yes").replace(
        "Discard secondary objects touching the border of the image?:No",
        "Discard secondary objects touching the border of the image?:Yes",
    )
    found = made(discarding).parents
    assert found["FilteredNuclei"] == ["NucleiIncludingEdges"]
    assert found["CellsIncludingEdges"] == ["NucleiIncludingEdges", "FilteredNuclei"]


def test_a_chain_over_filtered_nuclei_is_joined_and_its_table_must_be_exported(relabelling):
    text = relabelling.replace("IncludingEdges", "")
    text = instead(text, "FilterObjects", filtering("Nuclei", "FilteredNuclei"))
    head, *modules = pipeline.blocks(text.replace("the input objects:Nuclei", "the input objects:FilteredNuclei"))
    at = {block.partition(":")[0]: number for number, block in enumerate(modules)}
    modules.insert(at["IdentifySecondaryObjects"], modules.pop(at["FilterObjects"]))
    text = pipeline.renumbered(head, modules).replace(
        "smaller identified objects:Nuclei", "smaller identified objects:X"
    )
    assert next(object_parents.cell_ways(made(text).parents)["Cells"]) == ("Cells", "FilteredNuclei", "Nuclei")
    assert own_pipeline.problems(text) == []
    data = "".join(f"\n    Data to export:{name}" for name in ("Image", "Nuclei", "Cells", "Cytoplasm"))
    some = text.replace("measurement types?:Yes", "measurement types?:No").replace(
        "\n    Data to export:Do not use", data
    )
    assert own_pipeline.problems(some) == [
        "ExportToSpreadsheet must export FilteredNuclei too, over which Cells are joined to Nuclei"
    ]
    assert own_pipeline.problems(some.replace(data, data + "\n    Data to export:FilteredNuclei")) == []


@pytest.mark.parametrize(
    ("name", "blocks", "expected"),
    [
        # Cells found by themselves, and Cytoplasm made without the nuclei: nothing says whose nucleus is whose.
        ("IdentifySecondaryObjects", ["RunCellpose:[module_num:0|enabled:True]\n    Name the output object:CellsIncludingEdges"],
         "its Cells cannot be joined to Nuclei: Cells.csv will have no Parent column, and no way leads on"),
        ("IdentifyTertiaryObjects", ["RunCellpose:[module_num:0|enabled:True]\n    Name the output object:Cytoplasm"],
         "its Cytoplasm cannot be joined to Cells: Cytoplasm.csv will have no Parent column"),
    ],
)  # fmt: skip
def test_objects_that_cannot_be_joined_are_refused_with_what_to_add(relabelling, name, blocks, expected):
    text = relabelling
    if "Secondary" in name:
        text = text.replace("smaller identified objects:Nuclei", "smaller identified objects:Other")
    found = own_pipeline.problems(instead(text, name, *blocks))
    assert found[-1].startswith(expected)
    assert "IdentifyTertiaryObjects, or relate them by RelateObjects (parent" in found[-1]


def test_what_relate_objects_adds_joins_upwards_but_several_children_of_one_are_not_trusted(relabelling):
    unknown = "RunCellpose:[module_num:0|enabled:True]\n    Name the output object:{}"
    apart = instead(relabelling, "FilterObjects", unknown.format("Nuclei"), unknown.format("Cells"))
    apart = apart.replace("smaller identified objects:Nuclei", "smaller identified objects:Other")
    assert len(own_pipeline.problems(apart)) == 1
    for parent, child, there in (("Nuclei", "Cells", 0), ("Cells", "Nuclei", 1)):
        head, *modules = pipeline.blocks(apart)
        modules.insert(-1, relate(parent, child))
        assert len(own_pipeline.problems(pipeline.renumbered(head, modules))) == there
    colony = [relate("Colony", child) for child in ("Nuclei", "Cells")]
    head, *modules = pipeline.blocks(apart)
    assert len(own_pipeline.problems(pipeline.renumbered(head, [*modules[:-1], *colony, modules[-1]]))) == 1


def test_a_choice_of_measurements_is_refused_since_it_leaves_out_the_errors_of_modules(relabelling):
    text = relabelling.replace("Select the measurements to export:No", "Select the measurements to export:Yes")
    assert own_pipeline.problems(text) == [
        "ExportToSpreadsheet must have 'Select the measurements to export' set to No"
    ]


# --- what was measured ---


def tables(**columns):
    """Return tables of one image: {objects: {column: numbers}}, ObjectNumber from 1."""
    return {
        name: pd.DataFrame(
            {"ImageNumber": 1.0, "ObjectNumber": np.arange(1.0, len(next(iter(held.values()))) + 1), **held}
        )
        for name, held in columns.items()
    }


def test_each_kind_of_chain_gives_the_same_links():
    # Nucleus n belongs to cell 4 - n; cytoplasm k to cell k % 3 + 1.
    cytoplasm = {"Parent_Cells": [2, 3, 1]}
    expected = {(1, 3, 3), (2, 2, 1), (3, 1, 2)}  # cell, nucleus, cytoplasm
    chains = {
        "direct": dict(Nuclei={"A": [0, 0, 0]}, Cells={"Parent_Nuclei": [3, 2, 1]}),
        "over FilteredNuclei": dict(
            Nuclei={"A": [0, 0, 0]},
            FilteredNuclei={"Parent_Nuclei": [2, 3, 1]},
            Cells={"Parent_FilteredNuclei": [2, 1, 3]},
        ),
        "from the nuclei up": dict(Nuclei={"Parent_Cells": [3, 2, 1]}, Cells={"A": [0, 0, 0]}),
        "over what both came from": dict(Nuclei={"Parent_All": [5, 7, 9]}, Cells={"Parent_All": [9, 7, 5]}),
        "over two more": dict(
            Nuclei={"Parent_AllNuclei": [5, 1, 3]},
            Cells={"Parent_AllCells": [2, 4, 5]},
            AllCells={"Parent_AllNuclei": [2, 3, 4, 1, 5]},
        ),
    }
    for name, chain in chains.items():
        links = object_links.cell_links(tables(**chain, Cytoplasm=cytoplasm))
        found = set(links[["Cells", "Nuclei", "Cytoplasm"]].astype(int).itertuples(index=False, name=None))
        assert found == expected, name
    both = dict(Nuclei={"A": [0, 0, 0]}, Cells={"A": [0, 0, 0]}, Cytoplasm={**cytoplasm, "Parent_Nuclei": [2, 1, 3]})
    links = object_links.cell_links(tables(**both))
    assert set(links[["Cells", "Nuclei", "Cytoplasm"]].astype(int).itertuples(index=False, name=None)) == expected


def test_links_keep_to_their_image_and_leave_out_what_has_no_parent():
    frames = tables(Nuclei={"Parent_All": [1, 2]}, Cells={"Parent_All": [2, 0]}, Cytoplasm={"Parent_Cells": [1, 2]})
    twice = {name: pd.concat([frame, frame.assign(ImageNumber=2.0)]) for name, frame in frames.items()}
    links = object_links.cell_links(twice)
    assert links[["ImageNumber", "Cells", "Nuclei", "Cytoplasm"]].to_numpy().tolist() == [[1, 1, 2, 1], [2, 1, 2, 1]]


def test_a_way_that_gives_two_is_passed_over_for_a_surer_one_and_refused_where_there_is_none():
    colony = dict(Nuclei={"Parent_Colony": [1, 1]}, Cells={"Parent_Colony": [1, 1]})
    links = object_links.cell_links(tables(**colony, Cytoplasm={"Parent_Cells": [1, 2], "Parent_Nuclei": [2, 1]}))
    assert links["Nuclei"].tolist() == [2, 1]
    with pytest.raises(
        ValueError, match=r"Cells.csv \(by way of Colony\): object 1 of image 1 has two Cells, expected one"
    ):
        object_links.cell_links(tables(**colony, Cytoplasm={"Parent_Cells": [1, 2]}))
    two = dict(Nuclei={"Parent_Cells": [1, 1]}, Cells={"A": [0, 0]}, Cytoplasm={"Parent_Cells": [1, 2]})
    with pytest.raises(ValueError, match="object 1 of Cells of image 1 has two Nuclei"):
        object_links.cell_links(tables(**two))


@pytest.mark.long
@pytest.mark.cellprofiler
def test_the_real_program_measures_filtered_cells_and_they_are_joined_over_cytoplasm(
    tmp_path, cellprofiler, relabelling
):
    field = blobs()[0][:, 24:, :]  # the upper row of cells lies at the edge
    images = write_images(tmp_path / "images", field[None])
    module.measure(cellprofiler, tmp_path / "own.cppipe", images, tmp_path / "t")
    header = set(pd.read_csv(tmp_path / "t" / "Cells.csv", nrows=0).columns)
    assert not [name for name in header if name.startswith("Parent_")]
    rows = annotated(rows_of(["A01"]))
    frame = store.read_table(part_cells(tmp_path, "p", rows, tmp_path / "t"))
    every = pd.read_csv(tmp_path / "t" / "NucleiIncludingEdges.csv")
    assert len(frame) == 6 and len(every) == 9  # of three rows of three, the one at the edge is gone
    for axis in "XY":  # each nucleus lies in the middle of its cell
        apart = frame[f"Nuclei_AreaShape_Center_{axis}"] - frame[f"Cells_AreaShape_Center_{axis}"]
        assert apart.abs().max() < 4
    assert (frame["Cells_Parent_Nuclei"] == frame["Nuclei_Number_Object_Number"]).all()
    # What was foretold of the pipeline is what it wrote.
    for name, parents in made(relabelling).parents.items():
        columns = pd.read_csv(tmp_path / "t" / f"{name}.csv", nrows=0).columns
        assert {column for column in columns if column.startswith("Parent_")} == {f"Parent_{one}" for one in parents}


def test_a_cut_table_of_other_objects_is_an_error_too(tmp_path):
    images = write_images(tmp_path / "images", np.zeros((1, 5, 16, 16)))
    folder = tmp_path / "t"
    folder.mkdir()
    names = ("Nuclei", "Cells", "Cytoplasm", "AllCells")
    counts = ",".join(f"Count_{name}" for name in names)
    (folder / "Image.csv").write_text(
        f"ImageNumber,FileName_OrigDNA,{counts},ModuleError_01LoadData\n1,A01_s1_t1_DNA.tif,0,0,0,2,0\n"
    )
    for name in names:
        (folder / f"{name}.csv").write_text("ImageNumber,ObjectNumber\n" + "1,1\n" * (name == "AllCells"))
    with pytest.raises(ValueError, match="AllCells.csv has 1 whole or cut rows, expected 2"):
        module.check_tables(folder, module.read_csv(images / "load_data.csv"), images, [])
