"""Wells and sites of a plate row: lists, blocks, and which rows overlap."""

from __future__ import annotations

import pytest

from brightpaint.study import choice


@pytest.mark.parametrize(
    ("text", "wells"),
    [
        ("A01", ["A01"]),
        ("b2, a1", ["A01", "B02"]),
        ("A01:B02,P24", ["A01", "A02", "B01", "B02", "P24"]),
        ("B02:A01", ["A01", "A02", "B01", "B02"]),
        ("Z01:AA01", ["Z01", "AA01"]),
        ("Aa01, aB1,AF48", ["AA01", "AB01", "AF48"]),
    ],
)
def test_wells_and_blocks(text, wells):
    assert choice.parse_wells(text) == wells


@pytest.mark.parametrize("text", ["", "A", "A00", "A01:B01:C01", "1A", "A01,,B01", "A01.a1"])
def test_malformed_wells_are_refused(text):
    with pytest.raises(ValueError, match="expected wells such as A01 or blocks such as A01:D06, found"):
        choice.parse_wells(text)


def test_letters_and_numbers_of_rows_are_inverse():
    assert [choice.row_letters(number) for number in (1, 16, 26, 27, 32)] == ["A", "P", "Z", "AA", "AF"]
    assert all(choice.row_number(choice.row_letters(number)) == number for number in range(1, 60))


def test_rows_overlap_where_wells_and_sites_both_do():
    assert choice.overlap({}, {"wells": "A01"})
    assert not choice.overlap({"wells": "A01:A06"}, {"wells": "B01:B06"})
    assert not choice.overlap({"wells": "A01", "sites": "1"}, {"wells": "A01", "sites": "2,3"})
    assert choice.overlap({"wells": "A01", "sites": "1,2"}, {"sites": "2"})


PHENIX = "P1__2020-11-08T19_57_47-Measurement1/Images/"


def listed(folder, text: str, **row) -> dict:
    """A row of the plate table with a list of fields."""
    (folder / "list.txt").write_text(text)
    return {"plate": "P1", "fields": str(folder / "list.txt"), **row}


def test_a_list_of_fields_is_read_as_people_and_a_phenix_write_it(tmp_path):
    text = f"# ours\n\nP1/a1/2\n{PHENIX}r16c24f09p01\r\nr27c03f12p02-ch5sk1fk1fl1.tiff\nP1/A01/02\nP2/A01/7\n{PHENIX}r02c01f01p01"
    row = listed(tmp_path, text)
    assert choice.chosen_fields(row) == [("A01", 2), ("AA03", 12), ("B01", 1), ("P24", 9)]
    assert choice.used_wells(row) == ["A01", "AA03", "B01", "P24"]
    assert choice.chosen_fields({**row, "plate": "mine", "barcode": "P2"}) == [("A01", 7), ("AA03", 12)]
    assert choice.chosen_fields({**row, "wells": "A01:B24", "sites": "1,9"}) == [("B01", 1)]
    assert choice.chosen_fields({"plate": "P1", "fields": ""}) is choice.chosen_fields({"plate": "P1"}) is None


@pytest.mark.parametrize(
    ("text", "row", "message"),
    [
        ("P1/A01/1\nP1/A01\n", {}, r"list.txt, line 2: expected a field such as P1/A01/3 or .*, found 'P1/A01'"),
        ("P1/A01/0", {}, "line 1: expected a field"),
        (f"{PHENIX}r00c01f01p01", {}, "line 1: expected a field"),
        (f"{PHENIX}r01c01f00p01", {}, "line 1: expected a field"),
        (
            "P2/A01/1\nP3/A01/1",
            {"barcode": "X"},
            "names fields of P2, P3, and none of P1 or X; correct the column fields",
        ),
        ("# nothing", {}, "names nothing, and none of P1; correct the column fields"),
        (
            "P1/A01/1",
            {"sites": "2"},
            "none of the 1 fields of .*list.txt is in the wells and sites that the row names too",
        ),
    ],
)
def test_a_list_of_fields_that_cannot_be_right_is_refused(tmp_path, text, row, message):
    with pytest.raises(ValueError, match=message):
        choice.chosen_fields(listed(tmp_path, text, **row))


def test_a_list_that_is_no_text_file_is_refused(tmp_path):
    row = listed(tmp_path, "P1/A01/1")
    with pytest.raises(ValueError, match="fields: .*none.txt can't be read"):
        choice.chosen_fields({**row, "fields": str(tmp_path / "none.txt")})
    (tmp_path / "list.txt").write_bytes("P1/A01/1".encode("utf-16"))
    with pytest.raises(ValueError, match="fields: .*list.txt can't be read"):
        choice.chosen_fields(row)


def test_lists_of_fields_overlap_where_they_name_the_same(tmp_path):
    (tmp_path / "other").mkdir()
    one, other = listed(tmp_path, "P1/A01/1\nP1/A02/3"), listed(tmp_path / "other", "P1/A01/2\nP1/A02/3")
    assert (
        choice.overlap(one, other) and choice.overlap(one, {}) and choice.overlap({"wells": "A02", "sites": "3"}, one)
    )
    assert not choice.overlap(one, {"wells": "A02", "sites": "1"})
    assert not choice.overlap({**one, "wells": "A01"}, other)


def test_tiles_of_a_region():
    assert choice.plate_tiles({"region": "4,1"}, 4) == [1, 4]
    assert choice.plate_tiles({}, 3) == [1, 2, 3]
