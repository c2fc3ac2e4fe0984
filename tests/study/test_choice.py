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


def test_tiles_of_a_region():
    assert choice.plate_tiles({"region": "4,1"}, 4) == [1, 4]
    assert choice.plate_tiles({}, 3) == [1, 2, 3]
