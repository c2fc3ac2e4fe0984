"""Every kind of bad input, from a folder and from a real S3 server: what is said, and that nothing done is lost."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable

import boto3
import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.plates import fetch, flag, illumination, index, patience, prepare, quality
from brightpaint.plates.folder import FolderSource
from brightpaint.plates.s3 import S3Source
from brightpaint.study.schema import validate
from conftest import ROOT, TINY, swept
from faulty_s3 import Proxy, serve_bucket
from plates_fixture import (
    CHANNELS,
    IMAGES,
    LOAD_DATA,
    PLATEMAPS,
    SHAPE,
    file_name,
    index_settings,
    raw_image,
    source,
    write_gallery,
)

BAD = file_name("B02", 1, "RNA")  # the last of 16 images
KEY = f"{IMAGES}/{BAD}"
PLACE = ["plate P1", "well B02", "site 1", "channel RNA"]
WHOLE = {"size_px": 32, "grid": [1, 1], "cutoff": 15, "region": None, "pixel_size_um": None, "normalise": "image"}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    return write_gallery(tmp_path_factory.mktemp("mirror"), sites=1)


@pytest.fixture(scope="module")
def server(mirror):
    """A real S3 server whose bucket holds the plate."""
    with serve_bucket(mirror) as url:
        yield url


class Place:
    """Where the plate lies: `settings` of the source, `put` and `remove` for its files, `read` counts what is fetched."""

    def __init__(self, settings: dict, put, remove):
        self.settings, self.put, self.remove, self.read = settings, put, remove, []


@pytest.fixture(params=["folder", "s3"])
def place(request, mirror, tmp_path, monkeypatch):
    """The plate in a folder, and on the S3 server; what a test changed there is restored."""
    if request.param == "folder":
        copy = tmp_path / "copy"
        shutil.copytree(mirror, copy)
        made = Place(source(copy), lambda key, data: (copy / key).write_bytes(data), lambda key: (copy / key).unlink())
        kind = FolderSource
    else:
        made, kind = Place(*bucket(request.getfixturevalue("server"))), S3Source
    real = kind.chunks
    monkeypatch.setattr(kind, "chunks", lambda self, key: made.read.append(key) or real(self, key))
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0)
    yield made
    if request.param == "s3":
        for key in (KEY, LOAD_DATA, f"{PLATEMAPS}/platemap/map1.txt"):
            made.put(key, (mirror / key).read_bytes())


def bucket(url: str) -> tuple:
    """Return (settings, put, remove) of the bucket on the server."""
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x",
                          aws_secret_access_key="x")  # fmt: skip

    def put(key, data, acl="public-read"):
        client.put_object(Bucket="gallery", Key=key, Body=data, ACL=acl)

    return (
        source("s3://gallery", endpoint_url=url),
        put,
        lambda key: client.delete_object(Bucket="gallery", Key=key),
    )


class Run:
    """The plate's stages as the rules call them, in one folder."""

    def __init__(self, folder, settings: dict):
        self.folder, self.source = folder, settings
        folder.mkdir(exist_ok=True)

    def call(self, module, settings: dict, **paths):
        words = [word for name, file in paths.items() for word in (f"--{name}", str(self.folder / file))]
        module.main(["--settings", json.dumps(settings), *words])

    def index(self):
        settings = {**index_settings(""), "source": self.source}
        self.call(index, settings, index="index.parquet", missing="missing.tsv")

    def fetch(self):
        paths = {"index": "index.parquet", "raw": "raw", "manifest": "manifest.tsv"}
        words = [word for name, file in paths.items() for word in (f"--{name}", str(self.folder / file))]
        fetch.main(["--settings", json.dumps({"source": self.source}), "--workers", "1", *words])

    def illumination(self):
        settings = {"method": "median", "size_px": 12, "channels": CHANNELS}
        self.call(illumination, settings, index="index.parquet", raw="raw", illumination="light.tif")

    def prepare(self):
        self.call(prepare, {**WHOLE, "channels": CHANNELS}, index="index.parquet", raw="raw", illumination="light.tif",
                  stack="stack.tif", fields="prepared.parquet")  # fmt: skip

    def quality(self):
        self.call(quality, {"channels": CHANNELS}, index="index.parquet", raw="raw", quality="quality.parquet")

    def flag(self):
        limits = validate(TINY, ROOT / "workflow" / "schemas" / "config.schema.yaml", "config")["quality"]
        channels = {"input": CHANNELS[:2], "target": CHANNELS[2:], "here": CHANNELS}
        self.call(flag, {**limits, "channels": channels}, quality="quality.parquet", prepared="prepared.parquet",
                  fields="fields.parquet", flags="flags.tsv")  # fmt: skip

    def all(self):
        for stage in (self.index, self.fetch, self.illumination, self.prepare, self.quality, self.flag):
            stage()

    def state(self) -> dict:
        """Return every file's bytes."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
        }


@pytest.fixture(scope="module")
def undisturbed(mirror, tmp_path_factory):
    """The folder of a plate that nothing was wrong with."""
    run = Run(tmp_path_factory.mktemp("good") / "plate", source(mirror))
    run.all()
    return run.folder


def refused(stage, *words: str) -> None:
    """Assert that `stage` ends with a sentence that has all `words`, what was expected and what was found."""
    with pytest.raises(ValueError) as caught:
        stage()
    for word in (*words, "expected", "found"):
        assert re.search(word, str(caught.value)), (word, str(caught.value))


def assert_whole(run, undisturbed) -> None:
    """Assert that a run's images are those of the undisturbed one (indices and manifests differ by their ETags)."""
    one, other = run.state(), {
        str(path.relative_to(undisturbed)): path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()
    }  # fmt: skip
    assert set(one) == set(other)
    for name in other:
        if name not in ("index.parquet", "manifest.tsv"):
            assert one[name] == other[name], name


def places(faults: Iterable[str], on_s3: str) -> pytest.MarkDecorator:
    """Each fault in the folder, and `on_s3` on the server; the others on the server in `make test-all`."""
    cases = [
        pytest.param(place, fault, id=f"{place}-{fault}",
                     marks=() if place == "folder" or fault == on_s3 else pytest.mark.exhaustive)
        for place in ("folder", "s3") for fault in faults
    ]  # fmt: skip
    assert on_s3 in faults
    return pytest.mark.parametrize(("place", "fault"), cases, indirect=["place"])


# --- what the index refuses ---


def with_line(data: bytes, line: int, change) -> bytes:
    lines = data.decode().splitlines()
    return "\n".join([*lines[:line], *change(lines[line]), *lines[line + 1 :], ""]).encode()


MAP = f"{PLATEMAPS}/platemap/map1.txt"
LISTED = {
    "zero bytes": (KEY, lambda _: b"", [BAD, *PLACE, "but the file is empty", "source.missing: skip"]),
    "a row twice": (
        LOAD_DATA, lambda data: with_line(data, 4, lambda line: [line, line]),
        ["plate P1", "well B02", "site 1", "channel Brightfield_L", file_name("B02", 1, CHANNELS[0]), "run the rule index"],
    ),
    "wells that are not on the platemap": (
        MAP, lambda data: re.sub(rb"(?m)^([AB])0", rb"\g<1>1", data),
        ["plate P1", "well A01", "site 1", "channel Brightfield_L", file_name("A01", 1, CHANNELS[0]), "run the rule index"],
    ),
    "a platemap that lacks a column": (
        MAP, lambda data: data.replace(b"broad_sample", b"sample"),
        ["map1.txt", "plate P1", "broad_sample", "well_position, sample", "run the same command again"],
    ),
    "an image that is not there": (KEY, None, [BAD, *PLACE, "the file is not there", "source.missing: skip"]),
}  # fmt: skip


@places(LISTED, on_s3="a row twice")
def test_what_the_index_refuses_leaves_all_that_was_made(place, mirror, undisturbed, tmp_path, fault):
    key, spoil, words = LISTED[fault]
    run = Run(tmp_path / "plate", place.settings)
    shutil.copytree(undisturbed, run.folder, dirs_exist_ok=True)
    before = run.state()
    good = (mirror / key).read_bytes()
    place.put(key, spoil(good)) if spoil else place.remove(key)
    if fault == "zero bytes" or spoil is None:
        words = [word.replace("found", "expected") for word in words]
        with pytest.raises(ValueError) as caught:
            run.index()
        for word in (*words, "expected"):
            assert re.search(word, str(caught.value)), (word, str(caught.value))
    else:
        refused(run.index, *words)
    assert run.state() == before
    place.put(key, good)
    run.index()
    assert set(run.state()) == set(before)


# --- what fetch refuses ---

BROKEN = {
    "truncated": (lambda good: good[:2000], ["whole TIFF of 4784 bytes", "truncated at 2000"]),
    "no TIFF": (lambda good: b"not a TIFF at all", ["whole TIFF", "cannot be read"]),
    "the first bytes of a TIFF": (lambda good: good[:4], ["whole TIFF", "cannot be read"]),
}


@places(BROKEN, on_s3="truncated")
def test_a_file_broken_at_its_source_is_refused_and_the_others_kept(place, mirror, undisturbed, tmp_path, fault):
    spoil, words = BROKEN[fault]
    good = (mirror / KEY).read_bytes()
    place.put(KEY, spoil(good))
    run = Run(tmp_path / "plate", place.settings)
    run.index()
    refused(run.fetch, BAD, *PLACE, *words, "delete it and rerun, or leave the field out: a line plate/well/site in")
    mended(run, place, good, undisturbed)


def mended(run, place, good: bytes, undisturbed) -> None:
    """Mend the file and finish the plate: no other image is fetched again."""
    place.put(KEY, good)
    place.read.clear()
    run.all()
    assert [key for key in place.read if key.endswith(".tif")] == [KEY]
    assert_whole(run, undisturbed)


def test_an_image_that_became_empty_after_the_index_is_refused(place, mirror, undisturbed, tmp_path):
    good = (mirror / KEY).read_bytes()
    run = Run(tmp_path / "plate", place.settings)
    run.index()
    place.put(KEY, b"")
    refused(run.fetch, BAD, *PLACE, "expected 4784 bytes, found 0", "run the same command again, and the rule index")
    mended(run, place, good, undisturbed)


def test_a_field_that_is_left_out_is_the_way_past_a_broken_file(place, mirror, tmp_path):
    """The index then has other rows: what was fetched under the first one still counts."""
    place.put(KEY, (mirror / KEY).read_bytes()[:2000])
    run = Run(tmp_path / "plate", place.settings)
    run.index()
    refused(run.fetch, BAD)
    (tmp_path / "exclude.txt").write_text("P1/B02/1\n")
    run.source = {**run.source, "exclude": str(tmp_path / "exclude.txt")}
    place.read.clear()
    run.all()
    assert not [key for key in place.read if key.endswith(".tif")]
    assert len(store.read_fields(run.folder / "fields.parquet")) == 3


# --- what the server does ---

ANSWERS = {
    404: ["not there .404", "run the rule index again"],
    403: ["access refused .403", "source.profile", "run the same command again"],
    "cut": ["expected 4784 bytes, found 2392", "6 times", "run the same command again"],
    "drop": ["6 times", "run the same command again"],
    "wrong": ["expected MD5 [0-9a-f]{32}, found [0-9a-f]{32}", "6 times", "run the same command again"],
}


@pytest.fixture
def proxy(server, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)
    with Proxy(server) as made:
        yield made


@pytest.mark.parametrize("fault", swept(ANSWERS, ["cut", "wrong"]))
def test_what_the_server_refuses_or_spoils_is_named_and_the_rest_kept(proxy, undisturbed, tmp_path, fault):
    run = Run(tmp_path / "plate", source("s3://gallery", endpoint_url=proxy.url))
    run.index()
    proxy.faults = {BAD: [fault] * 6}
    words = [f"s3://gallery/{KEY}", *PLACE, *ANSWERS[fault]]
    refused(run.fetch, *words)
    proxy.faults = {}
    before = dict(proxy.gets)
    run.fetch()
    again = [key for key in proxy.gets if key.endswith(".tif") and proxy.gets[key] > before.get(key, 0)]
    assert again == [f"/gallery/{KEY}"]
    run.all()
    assert_whole(run, undisturbed)


@pytest.mark.parametrize(("gone", "status"), [(True, 404), (False, 403)])
def test_an_object_that_s3_itself_will_not_give(server, mirror, tmp_path, gone, status):
    settings, put, remove = bucket(server)
    run = Run(tmp_path / "plate", settings)
    run.index()
    remove(KEY) if gone else put(KEY, (mirror / KEY).read_bytes(), acl="private")
    try:
        refused(run.fetch, f"s3://gallery/{KEY}", *PLACE, *ANSWERS[status])
    finally:
        put(KEY, (mirror / KEY).read_bytes())


# --- what is a whole TIFF, and no image of this plate ---

IMAGES_OF_ANOTHER_KIND = {
    "8-bit": (np.zeros(SHAPE, np.uint8), {}, ["one 16-bit greyscale page", "uint8", "export the images"]),
    "float": (np.ones(SHAPE, np.float32), {}, ["one 16-bit greyscale page", "float32", "export the images"]),
    "NaN": (np.full(SHAPE, np.nan, np.float32), {}, ["one 16-bit greyscale page", "float32", "export the images"]),
    "RGB": (np.zeros((*SHAPE, 3), np.uint16), {"photometric": "rgb"}, [r"\(48, 48, 3\)", "split its 3 channels"]),
    "a wrong size": (raw_image("x", (48, 50)), {}, ["48 x 48 px", "48 x 50", "leave the field out"]),
}


@places(IMAGES_OF_ANOTHER_KIND, on_s3="NaN")
def test_an_image_of_another_kind_is_refused_and_what_is_prepared_kept(
    place, mirror, undisturbed, tmp_path, fault, monkeypatch
):
    image, keywords, words = IMAGES_OF_ANOTHER_KIND[fault]
    good = (mirror / KEY).read_bytes()
    tifffile.imwrite(tmp_path / "bad.tif", image, **keywords)
    place.put(KEY, (tmp_path / "bad.tif").read_bytes())
    run = Run(tmp_path / "plate", place.settings)
    run.index(), run.fetch()
    expected = ["B02_s1_RNA.tif", *PLACE, *words]
    refused(run.illumination, *expected)
    assert not (run.folder / "light.tif").exists() and len(list((run.folder / "raw").iterdir())) == 16
    shutil.copy(undisturbed / "light.tif", run.folder)
    refused(run.prepare, *expected)
    sums = np.frombuffer((run.folder / "stack.tif.partial.done").read_bytes()[64:], "<u4")
    assert np.count_nonzero(sums) == 3  # every field before it
    if fault != "a wrong size":
        refused(run.quality, *expected)
    (run.folder / "raw" / "B02_s1_RNA.tif").write_bytes(good)
    prepared, real = [], prepare.prepare_field
    monkeypatch.setattr(prepare, "prepare_field", lambda row, *rest: prepared.append(row) or real(row, *rest))
    run.prepare()
    assert [row["Metadata_Well"] for row in prepared] == ["B02"]
    for name in ("stack.tif", "prepared.parquet"):
        assert (run.folder / name).read_bytes() == (undisturbed / name).read_bytes()


def test_a_constant_image_is_flagged_left_out_and_listed(place, tmp_path):
    store.write_raw(tmp_path / "flat.tif", np.full(SHAPE, 321, np.uint16))
    place.put(KEY, (tmp_path / "flat.tif").read_bytes())
    run = Run(tmp_path / "plate", place.settings)
    run.all()
    kept, listed = store.read_fields(run.folder / "fields.parquet"), store.read_table(run.folder / "flags.tsv")
    assert list(kept["Metadata_Well"]) == ["A01", "A02", "B01"]
    row = listed[listed["flag"] == "blank"].to_dict("records")
    assert [(one["Metadata_Well"], one["Channel"], one["detail"], one["excluded"]) for one in row] == [
        ("B02", "RNA", "every pixel is 321", 1)
    ]


def test_a_channel_without_light_is_named(place, tmp_path):
    store.write_raw(tmp_path / "black.tif", np.zeros(SHAPE, np.uint16))
    run = Run(tmp_path / "plate", place.settings)
    run.index(), run.fetch()
    for name in pd.read_parquet(run.folder / "index.parquet").query("Channel == 'RNA'")["file"]:
        shutil.copy(tmp_path / "black.tif", run.folder / "raw" / name)
    with pytest.raises(
        ValueError, match="plate P1, channel RNA: the smoothed mean image is black; .*leave the channel"
    ):
        run.illumination()
