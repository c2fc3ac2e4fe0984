"""TIFFs of several planes: every way in which a microscope's software writes them is read alike, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from brightpaint import store

SHAPE = (16, 24)
COUNTS = np.random.default_rng(0).integers(0, 60000, (3, 2, *SHAPE), dtype=np.uint16)  # (Z, C, H, W)
GREY = {"photometric": "minisblack"}


def single_page(path, images) -> None:
    """Write an ImageJ hyperstack as ImageJ writes large ones: one page, the planes of which follow one another."""
    tifffile.imwrite(path, images, imagej=True, metadata={"axes": "ZCYX"})
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 6
        start, at, tags = tif.pages.first.dataoffsets[0], tif.pages.first.offset, len(tif.pages.first.tags)
    data = bytearray(path.read_bytes())
    data[at + 2 + 12 * tags : at + 6 + 12 * tags] = bytes(4)  # no next page
    path.write_bytes(data[: start + images.nbytes])


WRITERS = {
    "plain pages": ("I", lambda path: tifffile.imwrite(path, COUNTS[:, 0], metadata=None, **GREY)),
    "tifffile's shape": ("Q", lambda path: tifffile.imwrite(path, COUNTS[:, 0], **GREY)),
    "tifffile's axes": ("ZC", lambda path: tifffile.imwrite(path, COUNTS, metadata={"axes": "ZCYX"}, **GREY)),
    "ImageJ": ("ZC", lambda path: tifffile.imwrite(path, COUNTS, imagej=True, metadata={"axes": "ZCYX"})),
    "ImageJ, one page": ("ZC", lambda path: single_page(path, COUNTS)),
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


def test_one_page_that_stands_for_several_is_no_single_image(tmp_path):
    single_page(tmp_path / "x.tif", COUNTS)
    with pytest.raises(ValueError, match=r"expected one 16-bit greyscale page, found 6 page\(s\) of shape \(16, 24\)"):
        store.read_raw(tmp_path / "x.tif")
    with (
        pytest.raises(ValueError, match="say 6 planes, found 1"),
        store.open_hyperstack(tmp_path / "x.tif", by_page=True),
    ):
        pass


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


def test_planes_that_lie_in_other_files_are_not_taken(tmp_path):
    """One OME-TIFF a channel: the metadata of each describe all."""
    names = ["a.ome.tif", "b.ome.tif"]
    for name, image in zip(names, COUNTS[0]):
        tifffile.imwrite(tmp_path / name, image, ome=False, metadata=None, **GREY)
    files = "".join(
        f'<TiffData FirstC="{n}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{n}</UUID></TiffData>'
        for n, name in enumerate(names)
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="24" SizeY="16" SizeC="2" SizeZ="1" SizeT="1">'
        f"{files}</Pixels></Image></OME>"
    )
    tifffile.imwrite(tmp_path / names[0], COUNTS[0, 0], description=xml, metadata=None, **GREY)
    with pytest.raises(ValueError, match="a.ome.tif: its metadata name planes in other files; .*--pages channel"):
        with store.open_hyperstack(tmp_path / names[0]):
            pass
    with store.open_hyperstack(tmp_path / names[0], by_page=True) as file:
        assert len(file) == 1 and file.plain


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
