"""Files of several planes as 16-bit single planes: every count kept, once, and what cannot be told refused first."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.plates import index, tabulate, unpack
from plates_fixture import index_settings

SHAPE = (12, 20)
GREY = {"photometric": "minisblack"}


def counts(*sizes: int, dtype=np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (*sizes, *SHAPE), dtype=dtype, endpoint=True)


def write(path, images, axes: str = "", **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, images, metadata={"axes": f"{axes}YX"} if axes else None, **{**GREY, **options})


def plate(folder, wells=("A01", "B02"), sizes=(2,), axes: str = "C", **options):
    """Write P1/{well}_s1.tif of each well; return the folder."""
    for n, well in enumerate(wells):
        write(folder / "P1" / f"{well}_s1.tif", counts(*sizes, seed=n), axes, **options)
    return folder


def run(folder, *words: str, out="single", pattern="{plate}/{well}_s{site}.tif"):
    """Run the command on `folder`; return its table."""
    base = folder.parent
    more = ["--pattern", pattern] if pattern else []
    table = base / f"{out}.csv"
    tabulate.main([str(folder), "--unpack", str(base / out), "--table", str(table), *more, *words])
    return pd.read_csv(table, dtype=str, keep_default_na=False)


def tree(folder) -> dict:
    """Return {name: (bytes, time)} of all files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_channels_become_files_of_the_same_counts(tmp_path, dtype, compression):
    images = counts(2, dtype=dtype)
    images[0, 0, :2] = [0, np.iinfo(dtype).max]
    write(tmp_path / "raw" / "P1" / "b3_s2.tif", images, "C", compression=compression)
    table = run(tmp_path / "raw", "--channels", "GFP", "DNA")
    assert table.values.tolist() == [
        ["P1", "B03", "2", channel, f"P1/B03_s2_{channel}.tif"] for channel in ("DNA", "GFP")
    ]
    for image, channel in zip(images, ("GFP", "DNA")):
        found = store.read_raw(tmp_path / "single" / f"P1/B03_s2_{channel}.tif")
        assert found.dtype == np.uint16 and (found == image).all()


def test_planes_are_named_and_some_left_out(tmp_path):
    images = counts(3, 2)
    write(tmp_path / "raw" / "P1" / "A01_s1.tif", images, "ZC")
    table = run(tmp_path / "raw", "--channels", "DNA", "BF", "--planes", "01", "-", "03")
    assert set(table["channel"]) == {"DNA_01", "DNA_03", "BF_01", "BF_03"}
    assert (store.read_raw(tmp_path / "single/P1/A01_s1_BF_03.tif") == images[2, 1]).all()
    table = run(tmp_path / "raw", "--channels", "1z1=,1z2=DNA,1z3=,2z1=BF_L,2z2=BF,2z3=BF_H", out="other")
    assert set(table["channel"]) == {"DNA", "BF_L", "BF", "BF_H"}
    assert (store.read_raw(tmp_path / "other/P1/A01_s1_BF_H.tif") == images[2, 1]).all()


def test_channels_whose_names_a_microscope_numbers_hold_planes(tmp_path):
    """An ImageXpress that writes a stack a channel, one z-plane in DNA's and three in brightfield's."""
    stack = counts(3)
    write(tmp_path / "raw" / "P1_A01_s1_w1.tif", counts())
    write(tmp_path / "raw" / "P1_A01_s1_w2.tif", stack, "Z")
    table = run(tmp_path / "raw", "--channels", "1=DNA,2z1=BF_L,2z2=BF,2z3=BF_H", pattern="")
    assert set(table["channel"]) == {"DNA", "BF_L", "BF", "BF_H"} and set(table["plate"]) == {"P1"}
    assert (store.read_raw(tmp_path / "single/P1/A01_s1_BF.tif") == stack[1]).all()


def test_planes_go_on_from_file_to_file(tmp_path):
    for first in (0, 2):
        write(tmp_path / "raw" / f"A01_z{first:02d}.tif", counts(2, seed=first), "Z")
    table = run(
        tmp_path / "raw", "--channels", "DNA", "--planes", *"abcd", "--plate", "P", pattern="{well}_z{plane}.tif"
    )
    assert list(table["channel"]) == ["DNA_a", "DNA_b", "DNA_c", "DNA_d"]
    assert (store.read_raw(tmp_path / "single/P/A01_s1_DNA_d.tif") == counts(2, seed=2)[1]).all()


def test_pages_are_what_the_user_says(tmp_path):
    pages = counts(6)
    write(tmp_path / "raw" / "P1" / "A01_s1.tif", pages, "Z")
    table = run(tmp_path / "raw", "--channels", "DNA", "--pages", "site")
    assert list(table["site"]) == list("123456")
    table = run(
        tmp_path / "raw", "--channels", "DNA", "ER", "--planes", "1", "2", "3", "--pages", "plane", "channel", out="b"
    )
    assert (store.read_raw(tmp_path / "b/P1/A01_s1_ER_2.tif") == pages[3]).all() and len(table) == 6
    table = run(tmp_path / "raw", "--channels", "DNA", "ER", "--pages", "channel", "time", "--time", "2", out="c")
    assert (store.read_raw(tmp_path / "c/P1/A01_s1_ER.tif") == pages[4]).all() and len(table) == 2


def test_colour_is_named_as_channels_and_alpha_left_out(tmp_path):
    image = np.moveaxis(counts(4), 0, -1)
    write(tmp_path / "raw" / "P1" / "A01_s1.tif", image, photometric="rgb")
    with pytest.raises(ValueError, match=r"A01_s1.tif: expected 1 channel\(s\) \(DNA\), found 4; name each in order"):
        run(tmp_path / "raw", "--channels", "DNA")
    run(tmp_path / "raw", "--channels", "R", "G", "B", "-")
    assert (store.read_raw(tmp_path / "single/P1/A01_s1_G.tif") == image[..., 1]).all()


def test_a_single_plane_of_16_bits_is_linked_to_and_never_copied(tmp_path):
    image = counts(dtype=np.uint16)
    write(tmp_path / "raw" / "P1" / "A01_s1.tif", image, compression="zlib")
    write(tmp_path / "raw" / "P1" / "A02_s1.tif", image.astype(np.uint8))
    run(tmp_path / "raw", "--channels", "DNA")
    one, two = (tmp_path / "single" / "P1" / f"{well}_s1_DNA.tif" for well in ("A01", "A02"))
    assert os.path.samefile(one, tmp_path / "raw" / "P1" / "A01_s1.tif") and not two.is_symlink()
    assert (store.read_raw(one) == image).all()


def test_the_same_command_does_nothing_new_and_another_is_refused(tmp_path):
    raw = plate(tmp_path / "raw")
    run(raw, "--channels", "GFP", "DNA")
    before = tree(tmp_path / "single")
    run(raw, "--channels", "GFP", "DNA", "--workers", "1")
    assert tree(tmp_path / "single") == before
    with pytest.raises(
        ValueError, match="single was made of other files, or by other options; remove it, or give --unpack"
    ):
        run(raw, "--channels", "GFP", "-")
    write(raw / "P1" / "B02_s1.tif", counts(2, seed=9), "C")
    with pytest.raises(ValueError, match="made of other files"):
        run(raw, "--channels", "GFP", "DNA")
    assert tree(tmp_path / "single") == before
    assert not list(tmp_path.glob("*.partial")) and not list(tmp_path.glob("*.lock"))


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    raw = plate(tmp_path / "raw")
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="single holds other files, such as thesis.txt; give --unpack another folder"):
        run(raw, "--channels", "GFP", "DNA")
    assert tree(tmp_path / "single").keys() == {"thesis.txt"} and not (tmp_path / "single.csv").exists()
    with pytest.raises(
        ValueError, match="raw/single lies in .*raw, whose TIFFs are read; give --unpack another folder"
    ):
        run(raw, "--channels", "GFP", "DNA", out="raw/single")


def test_a_plane_that_went_missing_is_named(tmp_path):
    raw = plate(tmp_path / "raw")
    run(raw, "--channels", "GFP", "DNA")
    (tmp_path / "single" / "P1" / "A01_s1_DNA.tif").unlink()
    with pytest.raises(ValueError, match=r"P1/A01_s1_DNA.tif is not there any more \(1 such files\); remove .*single"):
        run(raw, "--channels", "GFP", "DNA")


def test_what_was_interrupted_is_continued(tmp_path, monkeypatch):
    raw, written = plate(tmp_path / "raw", wells=("A01", "A02", "A03")), []

    def write_raw(path, image):
        if len(written) == 3:
            path.write_bytes(b"half a file")
            raise KeyboardInterrupt
        written.append(path.name)
        original(path, image)

    original = store.write_raw
    monkeypatch.setattr(unpack.store, "write_raw", write_raw)
    with pytest.raises(KeyboardInterrupt):
        run(raw, "--channels", "GFP", "DNA", "--workers", "1")
    assert not (tmp_path / "single").exists() and not (tmp_path / "single.csv").exists()
    kept = {name: value for name, value in tree(tmp_path / "single.partial").items() if "/." not in name}
    monkeypatch.setattr(
        unpack.store, "write_raw", lambda path, image: (written.append(path.name), original(path, image))
    )
    run(raw, "--channels", "GFP", "DNA", "--workers", "1")
    assert len(written) == 6 == len(set(written)) and tree(tmp_path / "single").items() >= kept.items()
    assert not [name for name in tree(tmp_path / "single") if name.endswith(".part")]
    shutil.rmtree(tmp_path / "single")
    monkeypatch.setattr(unpack.store, "write_raw", original)
    run(raw, "--channels", "GFP", "DNA", out="at_once")
    assert all((store.read_raw(path) == counts(2, seed=n)[c]).all() for n, well in enumerate(("A01", "A02", "A03"))
               for c, path in enumerate(tmp_path / "at_once/P1" / f"{well}_s1_{name}.tif" for name in ("GFP", "DNA")))  # fmt: skip


@pytest.mark.parametrize(
    ("files", "words", "message"),
    [
        ({"A01": ((3,), "C")}, ["GFP", "DNA"], r"P1/A01_s1.tif: expected 2 channel\(s\) \(GFP, DNA\), found 3"),
        ({"A01": ((2,), "C"), "A02": ((2,), "C"), "A03": ((3,), "C")}, ["1=GFP,2=DNA,3=ER"],
         r"A03_s1.tif: expected 2 channel\(s\) x 1 plane\(s\) as in P1/A01_s1.tif, found 3 channel\(s\) x 1 .*1 such files of 3"),
        ({"A01": ((4,), "Z")}, ["DNA"], r"A01_s1.tif: there are the planes \[1, 2, 3, 4\]; name each in order: --planes"),
        ({"A01": ((4,), "Z")}, ["DNA", "--planes", "1", "2"], r"--planes: 2 names, but P1/A01_s1.tif .* planes \[1, 2, 3, 4\]"),
        ({"A01": ((2,), "T")}, ["DNA"], r"time points \[1, 2\]; choose one: --time 1"),
        ({"A01": ((6,), "")}, ["DNA", "ER", "--planes", "1", "2", "3"],
         "A01_s1.tif: 6 pages of which nothing is said; say what they are, outermost first, as in --pages plane channel"),
        ({"A01": ((5,), "")}, ["DNA", "ER", "--planes", "1", "2", "--pages", "plane", "channel"],
         "A01_s1.tif: 5 pages are not 2 planes x 2 channels; correct --pages, --channels or --planes"),
        ({"A01": ((2,), "C")}, ["DNA", "DNA"], "--channels: the name DNA occurs twice"),
        ({"A01": ((2,), "C")}, ["DNA", "E/R"], "--channels: expected names of letters, digits, - and _, found 'E/R'"),
        ({"A01": ((2,), "C")}, ["DNA", "ER", "--plate", "../x"], r"'\.\./x' \(--plate\) would leave"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_before_anything_is_written(tmp_path, files, words, message):
    for well, (sizes, axes) in files.items():
        write(tmp_path / "raw" / "P1" / f"{well}_s1.tif", counts(*sizes), axes)
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "raw", "--channels", *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_patterns(tmp_path):
    raw = plate(tmp_path / "raw")
    with pytest.raises(ValueError, match=r"--pattern: \{row\} in '\{row\}.tif': expected each of \{well\}, \{plate\}"):
        run(raw, "--channels", "GFP", "DNA", pattern="{row}.tif")
    with pytest.raises(ValueError, match="2 TIFFs, first P1/A01_s1.tif: expected names of .*or say by --pattern"):
        run(raw, "--channels", "GFP", "DNA", pattern="{well}.tif")
    with pytest.raises(ValueError, match="P1/A01_s1.tif: nothing tells its well; add {well} to --pattern, or a table"):
        run(raw, "--channels", "GFP", "DNA", pattern="*_s{site}.tif")
    with pytest.raises(ValueError, match="no folder tells its plate; give --plate NAME"):
        run(raw, "--channels", "GFP", "DNA", pattern="{well}_*.tif")
    with pytest.raises(ValueError, match="--planes, --pages and --series are of files that --unpack FOLDER writes"):
        tabulate.main([str(raw), "--table", "x.csv", "--channels", "1=DNA", "--pages", "site"])


def test_pattern_and_wells_without_unpacking(tmp_path):
    write(tmp_path / "raw" / "A01.tif", counts(dtype=np.uint16))
    (tmp_path / "wells.csv").write_text("well,perturbation,dose,unit\nA1,drug,250,nM\n")
    words = [
        "--channels",
        "1=DNA",
        "--plate",
        "P",
        "--pattern",
        "{well}.tif",
        "--metadata",
        str(tmp_path / "wells.csv"),
    ]
    tabulate.main([str(tmp_path / "raw"), "--table", str(tmp_path / "x.csv"), *words])
    header, row = (tmp_path / "x.csv").read_text().splitlines()
    assert (header, row) == ("plate,well,site,channel,file,perturbation,dose_um", "P,A01,1,DNA,A01.tif,drug,0.25")


def test_the_index_reads_what_was_unpacked(tmp_path):
    raw = plate(tmp_path / "raw", axes="C", dtype=None)
    (tmp_path / "wells.csv").write_text(
        "well,perturbation,target,control_type,dose_um\nA01,DMSO,,negcon,\nB02,x,T,,1\n"
    )
    run(raw, "--channels", "GFP", "DNA", "--metadata", str(tmp_path / "wells.csv"))
    settings = index_settings(tmp_path / "single", ["DNA", "GFP"], {"plate": "P1", "role": "study"}, layout="table",
                              table=str(tmp_path / "single.csv"))  # fmt: skip
    found, lacking = index.index_plate(settings)
    assert len(found) == 4 and lacking.empty and list(found["Metadata_perturbation"]) == ["DMSO", "DMSO", "x", "x"]


# --- real files ---


def test_real_cells_and_real_planes(tmp_path, real_data):
    images = real_data / "images"
    stacks, cells = ["Folded", "Hole"], tmp_path / "stacks"
    cells.mkdir()
    for name in stacks:
        (cells / f"{name}.tif").symlink_to(images / "mitocheck_cells" / f"{name}.tif")
    rows = "".join(f"{name}.tif,A{n:02d},{name}\n" for n, name in enumerate(stacks, 1))
    (tmp_path / "cells.csv").write_text("file,well,perturbation\n" + rows)
    common = ["--unpack", str(tmp_path / "cells"), "--table", str(tmp_path / "cells_images.csv"), "--channels", "H2B"]
    tabulate.main([str(cells), *common, "--plate", "M", "--pages", "site", "--metadata", str(tmp_path / "cells.csv")])
    table = pd.read_csv(tmp_path / "cells_images.csv")
    assert table.groupby("perturbation").size().to_dict() == {"Folded": 58, "Hole": 114}
    stack = tifffile.imread(images / "mitocheck_cells" / "Hole.tif")
    for row in table[table["perturbation"] == "Hole"].itertuples():
        assert (store.read_raw(tmp_path / "cells" / row.file) == stack[row.site - 1]).all()

    (tmp_path / "field.csv").write_text("file,well\nnuclei_z00-29.tif,A01\nnuclei_z30-59.tif,A01\n")
    tabulate.main([str(images / "nuclei3d_cells3d"), "--unpack", str(tmp_path / "planes"), "--table", str(tmp_path / "p.csv"),
                   "--channels", "DNA", "--planes", *(f"{n:02d}" for n in range(60)), "--plate", "cells3d", "--skip-others",
                   "--pattern", "nuclei_z{plane}-*.tif", "--metadata", str(tmp_path / "field.csv")])  # fmt: skip
    halves = [tifffile.imread(images / "nuclei3d_cells3d" / f"nuclei_z{name}.tif") for name in ("00-29", "30-59")]
    for n, plane in enumerate(np.concatenate(halves)):
        assert (store.read_raw(tmp_path / "planes" / "cells3d" / f"A01_s1_DNA_{n:02d}.tif") == plane).all()


def test_what_it_says_of_wells_is_what_the_index_reads(tmp_path):
    """Dose, structure, cell line and time go from wells.csv to the images' CSV to the annotations of every later table."""
    plate(tmp_path / "raw", wells=("A01", "A02", "B02"))
    (tmp_path / "wells.csv").write_text(
        "well,perturbation,target,control_type,dose,unit,smiles,cell_line,time_h\n"
        'a1,drug,"T2; T1",,250,nM,CCO |t:1|,U2OS,48\nA02,DMSO,n/a,negcon,,,,U2OS,48\nB2,,,,,,,#N/A,\n'
    )
    table = run(tmp_path / "raw", "--channels", "GFP", "DNA", "--metadata", str(tmp_path / "wells.csv"))
    assert {"dose_um", "smiles", "cell_line", "time_h"} <= set(table)
    source = {"layout": "table", "table": str(tmp_path / "single.csv")}
    found, lacking = index.index_plate(index_settings(tmp_path / "single", ["GFP", "DNA"], {"plate": "P1"}, **source))
    assert len(found) == 6 and lacking.empty
    wells = found.drop_duplicates("Metadata_Well").set_index("Metadata_Well")
    text = ["perturbation", "target", "control_type", "treatment", "smiles", "cell_line"]
    assert wells[[f"Metadata_{name}" for name in text]].values.tolist() == [
        ["drug", "T1|T2", "", "drug@0.25uM", "CCO", "U2OS"],
        ["DMSO", "", "negcon", "DMSO", "", "U2OS"],
        ["", "", "", "", "", ""],
    ]
    np.testing.assert_array_equal(wells["Metadata_dose"], [0.25, np.nan, np.nan])
    np.testing.assert_array_equal(wells["Metadata_time_h"], [48, 48, np.nan])
