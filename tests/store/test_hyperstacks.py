"""TIFFs of several planes: every way in which a microscope's software writes them is read alike, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from brightpaint import store
from tiffs_fixture import GREY, ONE_PAGE, imagej_one_page, ome

SHAPE = (16, 24)
COUNTS = np.random.default_rng(0).integers(0, 60000, (3, 2, *SHAPE), dtype=np.uint16)  # (Z, C, H, W)


WRITERS = {
    "plain pages": ("I", lambda path: tifffile.imwrite(path, COUNTS[:, 0], metadata=None, **GREY)),
    "tifffile's shape": ("Q", lambda path: tifffile.imwrite(path, COUNTS[:, 0], **GREY)),
    "tifffile's axes": ("ZC", lambda path: tifffile.imwrite(path, COUNTS, metadata={"axes": "ZCYX"}, **GREY)),
    "ImageJ": ("ZC", lambda path: tifffile.imwrite(path, COUNTS, imagej=True, metadata={"axes": "ZCYX"})),
    "ImageJ, one page": ("ZC", lambda path: imagej_one_page(path, COUNTS, "ZCYX")),
    "ImageJ, big-endian": ("ZC", lambda path: tifffile.imwrite(
        path, COUNTS, imagej=True, byteorder=">", metadata={"axes": "ZCYX"})),
    "ImageJ, times": ("TC", lambda path: tifffile.imwrite(path, COUNTS, imagej=True, metadata={"axes": "TCYX"})),
    "OME": ("ZC", lambda path: tifffile.imwrite(path, COUNTS, ome=True, metadata={"axes": "ZCYX"}, **GREY)),
    "zlib": ("ZC", lambda path: tifffile.imwrite(path, COUNTS, compression="zlib", metadata={"axes": "ZCYX"}, **GREY)),
    "LZW": ("ZC", lambda path: tifffile.imwrite(
        path, COUNTS, compression="lzw", predictor=True, metadata={"axes": "ZCYX"}, **GREY)),
    "tiles": ("ZC", lambda path: tifffile.imwrite(path, COUNTS, tile=(16, 16), metadata={"axes": "ZCYX"}, **GREY)),
    "a pyramid": ("C", lambda path: pyramid(path)),
    "colour": ("S", lambda path: tifffile.imwrite(path, np.moveaxis(COUNTS[:, 0], 0, -1), photometric="rgb")),
    "colour, planar": ("S", lambda path: tifffile.imwrite(
        path, COUNTS[:, 0], photometric="rgb", planarconfig="separate")),
    "colour pages": ("ZS", lambda path: tifffile.imwrite(
        path, np.moveaxis(COUNTS, 0, -1), photometric="rgb", metadata={"axes": "ZYXS"})),
}  # fmt: skip


def pyramid(path) -> None:
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(COUNTS[0], subifds=1, metadata={"axes": "CYX"}, **GREY)
        tif.write(COUNTS[0, :, ::2, ::2], subfiletype=1, **GREY)


EXPECTED = {"I": COUNTS[:, 0], "Q": COUNTS[:, 0], "C": COUNTS[0], "S": COUNTS[:, 0],
            "ZC": COUNTS.reshape(-1, *SHAPE), "TC": COUNTS.reshape(-1, *SHAPE),
            "ZS": COUNTS.swapaxes(0, 1).reshape(-1, *SHAPE)}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_each_plane_is_read_as_it_was_written(tmp_path, writer):
    axes, write = WRITERS[writer]
    write(tmp_path / "x.tif")
    with store.open_hyperstack(tmp_path / "x.tif") as file:
        assert (file.axes, len(file), file.shape, file.plain) == (axes, len(EXPECTED[axes]), SHAPE, False)
        for number in (*range(len(file)), 0):  # forwards, and back
            np.testing.assert_array_equal(file.plane(number), EXPECTED[axes][number])


@pytest.mark.parametrize("writer", ONE_PAGE)
def test_one_page_that_stands_for_several_is_no_single_image(tmp_path, writer):
    """It is refused by the planes that it says it has, with what splits them, and every plane of it can be had."""
    images, path = COUNTS.reshape(-1, *SHAPE), tmp_path / "x.tif"
    ONE_PAGE[writer](path, images)
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 1
    with pytest.raises(
        ValueError, match=r"one 16-bit greyscale page, found 6 page\(s\) of shape \(16, 24\)"
    ) as refused:
        store.read_raw(path)
    assert "split its 6 pages" in str(refused.value) and "--unpack" in str(refused.value)
    assert "export the images as 16-bit" not in str(refused.value)
    for by_page in (False, True):
        with store.open_hyperstack(path, by_page=by_page) as file:
            assert len(file) == 6 and not file.plain and (not by_page or file.axes == "I")
            for number in (*range(6), 0):
                np.testing.assert_array_equal(file.plane(number), images[number])


@pytest.mark.parametrize("by_page", [False, True])
@pytest.mark.parametrize("writer", ONE_PAGE)
def test_one_page_with_too_few_planes_behind_it_is_truncated(tmp_path, writer, by_page):
    ONE_PAGE[writer](tmp_path / "x.tif", COUNTS.reshape(-1, *SHAPE))
    with tifffile.TiffFile(tmp_path / "x.tif") as tif:
        start, nbytes = tif.pages.first.dataoffsets[0], tif.pages.first.nbytes
    data = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "x.tif").write_bytes(data[: start + 3 * nbytes - 9])
    with pytest.raises(ValueError, match="x.tif: truncated: its metadata say 6 planes, found [12]; copy it again"):
        with store.open_hyperstack(tmp_path / "x.tif", by_page=by_page):
            pass
    with pytest.raises(ValueError, match=r"found 6 page\(s\)"):
        store.read_raw(tmp_path / "x.tif")


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize(
    ("sizes", "pages", "said"),
    [
        ('SizeZ="5" SizeC="1" SizeT="1"', 1, 5),
        ('SizeZ="1" SizeC="3" SizeT="1"', 1, 3),
        ('SizeZ="1" SizeC="1" SizeT="4"', 1, 4),
        ('SizeZ="3" SizeC="2" SizeT="2"', 1, 12),
        ('SizeZ="3" SizeC="2" SizeT="1"', 3, 6),
    ],
)
def test_an_ome_description_of_more_planes_than_pages_is_no_single_image(tmp_path, sizes, pages, said, byteorder):
    ome(tmp_path / "x.tif", COUNTS.reshape(-1, *SHAPE)[:pages], sizes=sizes, byteorder=byteorder)
    with pytest.raises(ValueError, match=rf"found {said} page\(s\) of shape \(16, 24\)"):
        store.read_raw(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=rf"say {said} planes, found {pages}; .*if those are all .*--pages channel"):
        with store.open_hyperstack(tmp_path / "x.tif"):
            pass
    with store.open_hyperstack(tmp_path / "x.tif", by_page=True) as file:
        assert len(file) == pages


def test_more_pages_than_one_but_fewer_than_the_file_says_are_counted_as_it_says(tmp_path):
    spoilt(tmp_path / "x.tif", "ImageJ", lambda data: data.replace(b"images=6", b"images=8"))
    with pytest.raises(ValueError, match=r"found 8 page\(s\)"):
        store.read_raw(tmp_path / "x.tif")


@pytest.mark.parametrize(
    "words", ["images=4\n", "channels=4\n", "slices=4\n", "frames=2\nslices=2\n", "images=1\nchannels=2\nslices=2\n"]
)
def test_any_of_imagejs_words_tells_that_there_is_more(tmp_path, words):
    tifffile.imwrite(tmp_path / "x.tif", COUNTS[0, 0], description=f"ImageJ=1.54f\n{words}", metadata=None)
    with pytest.raises(ValueError, match=r"found 4 page\(s\) of shape"):
        store.read_raw(tmp_path / "x.tif")


@pytest.mark.parametrize(("dtype", "plain"), [(np.uint16, True), (np.uint8, False)])
def test_a_single_page(tmp_path, dtype, plain):
    image = (COUNTS[0, 0] // 256).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", image)
    with store.open_hyperstack(tmp_path / "x.tif") as file:
        assert (file.axes, file.sizes, len(file), file.plain) == ("", (), 1, plain)
        np.testing.assert_array_equal(file.plane(0), image)


def two_series(path) -> None:
    with tifffile.TiffWriter(path) as tif:
        for image in COUNTS[0]:
            tif.write(image, contiguous=False)


def test_a_series_is_chosen_or_all_pages_are_taken(tmp_path):
    path = tmp_path / "x.tif"
    two_series(path)
    with pytest.raises(ValueError, match=r"there are the series 1 \(YX 16 x 24 px\), 2 .*--series 1, or say .*--pages"):
        with store.open_hyperstack(path):
            pass
    with store.open_hyperstack(path, series=2) as file:
        np.testing.assert_array_equal(file.plane(0), COUNTS[0, 1])
    with store.open_hyperstack(path, by_page=True) as file:
        assert (file.axes, file.sizes) == ("I", (2,))
        np.testing.assert_array_equal(file.plane(1), COUNTS[0, 1])
    with pytest.raises(ValueError, match="--series 3: expected a number from 1 to 2"):
        with store.open_hyperstack(path, series=3):
            pass


def test_pages_of_several_sizes_are_no_axis(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        tif.write(COUNTS[0, 0])
        tif.write(COUNTS[0, 0, :8, :8])
    with pytest.raises(ValueError, match=r"expected pages alike, found \(8, 8\) px of uint16 in page 2"):
        with store.open_hyperstack(tmp_path / "x.tif", by_page=True):
            pass


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (COUNTS[0].astype(np.float32), "found float32; whether its values are counts is not told: save raw counts as 16-bit"),
        (COUNTS[0].astype(np.uint32), "found uint32; save it as 16-bit, which holds counts up to 65,535"),
        (COUNTS[0].astype(np.int16), "found int16; signed values are no raw counts"),
        (COUNTS[0].astype(np.int8), "found int8; signed values"),
        (COUNTS[0] > 9, "found bool; this is a mask"),
        (COUNTS[0].astype(np.complex64), "found complex64; save it as unsigned 16-bit"),
    ],
)  # fmt: skip
def test_other_numbers_are_refused_with_what_to_do(tmp_path, image, message):
    tifffile.imwrite(tmp_path / "x.tif", image)
    with pytest.raises(ValueError, match=f"x.tif: expected counts of 8 or 16 bits, {message}"):
        with store.open_hyperstack(tmp_path / "x.tif"):
            pass


def spoilt(path, writer: str, change) -> None:
    WRITERS[writer][1](path)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("writer", "change", "message"),
    [
        ("tifffile's shape", lambda data: data.replace(b"[3, 16", b"[5, 16"), "say 5 planes, found 3"),
        ("tifffile's axes", lambda data: data.replace(b"[3, 2", b"[4, 2"), r"say \[4, 2, 16, 24\], found 6 page"),
        ("zlib", lambda data: data.replace(b"[3, 2", b"[4, 2"), r"say \[4, 2, 16, 24\], found 6 page"),
        ("ImageJ", lambda data: data.replace(b"images=6", b"images=8"), "say 8 planes, found 6"),
        ("ImageJ", lambda data: data[:-900], "found [1-5] page"),
        ("ImageJ, one page", lambda data: data[:-900], "say 6 planes, found 1"),
        ("OME", lambda data: data.replace(b'SizeZ="3"', b'SizeZ="4"'), "say 8 planes, found 6"),
        ("zlib", lambda data: data[: len(data) // 2], "found"),
        ("plain pages", lambda data: data[: len(data) // 2], "found"),
    ],
)  # fmt: skip
def test_fewer_planes_than_the_file_says_are_refused(tmp_path, writer, change, message):
    spoilt(tmp_path / "x.tif", writer, change)
    with pytest.raises(ValueError, match=rf"x.tif: .*(truncated|whole TIFF).*{message}.*; copy it again from where"):
        with store.open_hyperstack(tmp_path / "x.tif"):
            pass


FILES = "".join(
    f'<TiffData FirstC="{n}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{n}</UUID></TiffData>'
    for n, name in enumerate(["a.ome.tif", "b.ome.tif"])
)


@pytest.mark.parametrize("both", [True, False])
def test_planes_that_lie_in_other_files_are_not_taken(tmp_path, both):
    """One OME-TIFF a channel: the metadata of each describe all, and each is a single image all the same."""
    ome(tmp_path / "a.ome.tif", COUNTS[0, 0], sizes='SizeC="2" SizeZ="1" SizeT="1"', blocks=FILES)
    if both:
        ome(tmp_path / "b.ome.tif", COUNTS[0, 1], sizes='SizeC="2" SizeZ="1" SizeT="1"', blocks=FILES)
    with pytest.raises(ValueError, match="a.ome.tif: its metadata name planes in other files; .*--pages channel"):
        with store.open_hyperstack(tmp_path / "a.ome.tif"):
            pass
    with store.open_hyperstack(tmp_path / "a.ome.tif", by_page=True) as file:
        assert len(file) == 1 and file.plain
    np.testing.assert_array_equal(store.read_raw(tmp_path / "a.ome.tif"), COUNTS[0, 0])


def test_a_page_that_cannot_be_unpacked_is_named(tmp_path):
    WRITERS["zlib"][1](tmp_path / "x.tif")
    with tifffile.TiffFile(tmp_path / "x.tif") as tif:
        start, count = tif.pages[1].dataoffsets[0], tif.pages[1].databytecounts[0]
    data = bytearray((tmp_path / "x.tif").read_bytes())
    data[start : start + count] = bytes(count)
    (tmp_path / "x.tif").write_bytes(data)
    with store.open_hyperstack(tmp_path / "x.tif") as file:
        np.testing.assert_array_equal(file.plane(0), COUNTS[0, 0])
        with pytest.raises(ValueError, match="x.tif: page 2 cannot be read .*; copy it again from where it came"):
            file.plane(1)
