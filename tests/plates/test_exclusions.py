"""What lines of source.exclude mean: perturbations, wells, fields, comments; and every line that means nothing."""

from __future__ import annotations

import pytest

from brightpaint.plates import exclusions, index, left_out
from conftest import ROOT
from plates_fixture import PLATE, WELLS, index_settings, write_gallery

OWN = left_out.Plate(
    frozenset({"P1", "code"}),
    frozenset({"cpd", "cpd #7", "Cpd5", "X#1", "a/b", "vitamin/B12", "abc", "ABC"}),
    frozenset({"A01", "B02", "AA03"}),
    frozenset({1, 2, 12}),
)
NOTHING = None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cpd", ("cpd", "", None)),
        ("cpd #7", ("cpd #7", "", None)),  # part of a name
        ("cpd #7 # and dead", ("cpd #7", "", None)),
        ("cpd #8", ("cpd", "", None)),  # a comment
        ("cpd # cpd #7", ("cpd", "", None)),
        ("X#1", ("X#1", "", None)),
        ("X#1#2", ("X#1", "", None)),
        ("cpd5", ("Cpd5", "", None)),
        ("CPD5 # toxic", ("Cpd5", "", None)),
        ("abc", ("abc", "", None)),
        ("a/b", ("a/b", "", None)),
        ("vitamin/B12", ("vitamin/B12", "", None)),
        ("P1/A01/1", ("", "A01", 1)),
        ("P1/A1/01", ("", "A01", 1)),
        ("code/b002/12  # blurred", ("", "B02", 12)),
        ("P1/a1", ("", "A01", None)),
        ("P1/Aa3", ("", "AA03", None)),
        ("P1/A01/3", NOTHING),
        ("P1/A02", NOTHING),
        ("P1/A0/1", NOTHING),
        ("P2/A01/1", NOTHING),
        ("p1/A01/1", NOTHING),
        ("cpd55", NOTHING),
        ("P1/A01/1.5", NOTHING),
    ],
)
def test_what_a_line_names(line, expected):
    found = left_out.named_by(line, OWN, "x.txt")
    assert (found and (found.perturbation, found.well, found.site)) == expected


def test_a_line_that_could_be_either_is_refused():
    with pytest.raises(ValueError, match="x.txt: the line 'aBc' could be ABC or abc; write it as one of them"):
        left_out.named_by("aBc", OWN, "x.txt")


CSV = """plate,well,site,channel,file,perturbation
X1,A1,1,DNA,a1.tif,cpd #7
X1,A02,1,DNA,a2.tif,Cpd5
X1,A03,1,DNA,a3.tif,DMSO
X1,A03,2,DNA,a3b.tif,DMSO
X1,A04,1,DNA,a4.tif,DMSO
X1,A05,1,DNA,a5.tif,cpd
X 2,A01,1,DNA,b1.tif,elsewhere
"""


@pytest.fixture
def own(tmp_path):
    """A function: the wells and sites of plate X1 that are left of the user's own CSV under these lines."""
    (tmp_path / "images.csv").write_text(CSV)
    for name in [line.split(",")[4] for line in CSV.splitlines()[1:]]:
        (tmp_path / name).write_bytes(b"II")

    def left(*lines: str, plate: dict | None = None) -> list[str]:
        (tmp_path / "out.txt").write_text("\n".join(lines))
        plate = plate or {"plate": "X1", "role": "study"}
        settings = index_settings(
            tmp_path,
            ["DNA"],
            plate,
            layout="table",
            table=str(tmp_path / "images.csv"),
            exclude=str(tmp_path / "out.txt"),
        )
        table, _ = index.index_plate(settings)
        return [f"{well}/{site}" for well, site in table[["Metadata_Well", "Metadata_Site"]].values]

    return left


ALL = ["A01/1", "A02/1", "A03/1", "A03/2", "A04/1", "A05/1"]


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("X1/A1/1", ["A01/1"]),
        ("X1/a02/1", ["A02/1"]),
        ("X1/A03/01", ["A03/1"]),
        ("X1/A04", ["A04/1"]),
        ("X1/a3", ["A03/1", "A03/2"]),
        ("cpd #7", ["A01/1"]),
        ("cpd5", ["A02/1"]),
        ("cpd # toxic", ["A05/1"]),
        ("elsewhere", []),  # of another plate
        ("X 2/A01", []),
        ("X_2/A1/1", []),
        ("# nothing", []),
    ],
)
def test_lines_on_a_table_of_ones_own_leave_out_what_they_mean(own, line, gone):
    assert own(line) == [place for place in ALL if place not in gone]


def test_every_line_that_names_nothing_is_named(own):
    lines = [
        "X1/A1/1",
        "X1/A1/9",
        "X1/Z9",
        "X_2/A01/1",
        "X 2/A07",
        "cpd 5",
        "nothing of the kind # at all",
        "elsewhere",
    ]
    with pytest.raises(ValueError) as refused:
        own(*lines)
    for words in ("out.txt: expected lines that name a perturbation, plate/well or plate/well/site of plate X1, found 4",
                  "'X1/A1/9', 'X1/Z9', 'cpd 5' (did you mean Cpd5?), 'nothing of the kind # at all'"):  # fmt: skip
        assert words in str(refused.value)
    row = {"plate": "mine", "barcode": "X_2", "role": "study"}
    with pytest.raises(ValueError, match="'X 2/A07', 'mine/A01/2'"):
        own("X 2/A07", "mine/A01/2", "mine/A1", plate=row)


def test_the_lines_are_held_against_all_plates_of_the_study(tmp_path):
    """A line may name what another plate has; the rule exclusions knows them all, in the gallery's layout too."""
    mirror, path = write_gallery(tmp_path / "mirror", sites=1), tmp_path / "out.txt"
    settings = index_settings(mirror, exclude=str(path))
    path.write_text("BRD-2\nbrd-3\nnothing\nP1/B02\nother/A01/1\n")
    assert sorted(set(index.index_plate(settings)[0]["Metadata_Well"])) == [
        well for well, sample in WELLS.items() if sample not in ("BRD-2", "BRD-3") and well != "B02"
    ]
    study = {"source": settings["source"], "plates": [PLATE, {**PLATE, "plate": "other"}]}
    with pytest.raises(ValueError, match=r"of this study, found 1 that name nothing: 'nothing'"):
        exclusions.check_lines(study)
    with pytest.raises(ValueError, match="found 2 that name nothing: 'nothing', 'other/A01/1'"):
        exclusions.check_lines({**study, "plates": [PLATE]})
    path.write_text("BRD-2  # toxic\nother/A01/1\nbrd-3\n")
    assert exclusions.check_lines(study).values.tolist() == [
        ["BRD-2  # toxic", "perturbation", "BRD-2"],
        ["other/A01/1", "place", "other/A01/1"],
        ["brd-3", "perturbation", "BRD-3"],
    ]


def test_plates_of_ones_own_table_may_be_named_as_it_spells_them(tmp_path):
    (tmp_path / "images.csv").write_text(CSV)
    (tmp_path / "out.txt").write_text("X 2/A01\nX_2/A01/1\nX1/A07\nELSEWHERE\nX3/A01\n")
    source = {"layout": "table", "table": str(tmp_path / "images.csv"), "exclude": str(tmp_path / "out.txt")}
    with pytest.raises(ValueError, match="this study, found 1 that name nothing: 'X3/A01'; correct or remove them"):
        exclusions.check_lines({"source": source, "plates": [{"plate": "X1"}, {"plate": "X_2"}]})


def test_the_papers_lines_are_perturbations():
    lines = left_out.read_lines(str(ROOT / "config/paper_excluded_samples.txt"))
    assert len(lines) == 16 and all(line.startswith("BRD-") for line in lines)
