"""The gallery of an arm's worst fields."""

from brightpaint.report.figures import worst
from failures_fixture import drawn_twice, views, words, write_arm


def test_the_gallery_is_the_same_every_time_and_a_picture_even_where_nothing_can_be_compared(tmp_path):
    write_arm(tmp_path)
    drawn_twice(tmp_path, worst.main)


def test_fields_are_found_by_key_and_painted_stains_bear_their_pcc(tmp_path):
    write_arm(tmp_path)
    written = words(views(tmp_path, "pcc"))
    assert "1 of 3: mean PCC 0.20   P A03, site 1: c2 (T1)" in written
    assert "2 of 3: mean PCC 0.50   P A05, site 1: c4" in written
    assert sum(text.startswith("PCC") for text in written) == 4
