"""The user's own TIFFs are read page by page; what is no greyscale TIFF is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from brightpaint import store
from tiffs_fixture import ONE_PAGE, ome


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_are_read_one_by_one_and_together(tmp_path, dtype, compression):
    images = np.random.default_rng(0).integers(0, 200, (5, 7, 9)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", images, photometric="minisblack", compression=compression)
    with store.Pages(tmp_path / "a.tif") as pages:
        assert len(pages) == 5 and pages.shape == (7, 9)
        assert (pages.read(3) == images[3]).all()
        with pytest.raises(ValueError, match="a.tif: there is no page 5; it has 5, counted from 0"):
            pages.read(5)
    assert (store.read_pages(tmp_path / "a.tif") == images).all()


def test_what_is_no_greyscale_tiff_is_refused_by_name(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    (tmp_path / "words.tif").write_text("words")
    with tifffile.TiffWriter(tmp_path / "sizes.tif") as tif:
        tif.write(np.zeros((8, 8), np.uint8)), tif.write(np.zeros((6, 8), np.uint8))
    with pytest.raises(ValueError, match=r"rgb.tif: expected greyscale pages, found \(8, 8, 3\) uint8; save one page"):
        store.Pages(tmp_path / "rgb.tif")
    with pytest.raises(ValueError, match="words.tif: expected a whole TIFF"):
        store.Pages(tmp_path / "words.tif")
    with pytest.raises(ValueError, match="none.tif: there is no such file"):
        store.Pages(tmp_path / "none.tif")
    with pytest.raises(ValueError, match=r"sizes.tif: page 1 is of \(6, 8\) px and uint8, the first of \(8, 8\)"):
        store.read_pages(tmp_path / "sizes.tif")


@pytest.mark.parametrize("writer", ONE_PAGE)
def test_planes_behind_one_page_are_all_read(tmp_path, writer):
    """ImageJ writes a large stack with one page: features/own_volumes took it for a volume of one plane."""
    images = np.random.default_rng(0).integers(0, 60000, (5, 7, 9), dtype=np.uint16)
    ONE_PAGE[writer](tmp_path / "a.tif", images)
    with store.Pages(tmp_path / "a.tif") as pages:
        assert len(pages) == 5 and pages.shape == (7, 9)
        plane = pages.read(3)
        assert (plane == images[3]).all() and plane.dtype == np.uint16 and plane.base is None  # nothing stays mapped
    assert (store.read_pages(tmp_path / "a.tif") == images).all()


def test_fewer_planes_than_the_file_says_are_refused(tmp_path):
    images = np.zeros((3, 7, 9), np.uint16)
    tifffile.imwrite(tmp_path / "few.tif", images, imagej=True)
    (tmp_path / "few.tif").write_bytes((tmp_path / "few.tif").read_bytes().replace(b"images=3", b"images=8"))
    ome(tmp_path / "ome.tif", images, sizes='SizeZ="9" SizeC="1" SizeT="1"')
    tifffile.imwrite(tmp_path / "cut.tif", images, photometric="minisblack")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:-200])
    for name, said in (("few", "say 8 planes, found 3"), ("ome", "say 9 planes, found 3"), ("cut", "")):
        with pytest.raises(ValueError, match=rf"{name}.tif: .*truncated.*{said}.*; save the file again, whole"):
            store.read_pages(tmp_path / f"{name}.tif")


def test_pages_of_another_type_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        tif.write(np.zeros((8, 8), np.uint16)), tif.write(np.zeros((8, 8), np.uint8))
    with pytest.raises(
        ValueError, match=r"x.tif: page 1 is of \(8, 8\) px and uint8, the first of \(8, 8\) and uint16"
    ):
        store.read_pages(tmp_path / "x.tif")
