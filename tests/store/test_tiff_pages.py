"""The user's own TIFFs are read page by page; what is no greyscale TIFF is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from brightpaint import store


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
    with pytest.raises(ValueError, match=r"sizes.tif: page 1 is of \(6, 8\) px, the first of \(8, 8\)"):
        store.read_pages(tmp_path / "sizes.tif")
