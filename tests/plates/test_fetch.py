"""Fetch: folders and a real S3 server, the latter behind a proxy that fails on order; kills, resumes and refusals."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from brightpaint import store
from brightpaint.plates import fetch, index, patience
from brightpaint.plates.folder import FolderSource
from conftest import ROOT
from faulty_s3 import Proxy, serve_bucket
from plates_fixture import index_settings, rows_of, source, write_gallery

FETCHED = 32  # 4 wells, 2 sites, 4 channels


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    return write_gallery(tmp_path_factory.mktemp("mirror"))


@pytest.fixture(scope="module")
def moto(mirror):
    with serve_bucket(mirror) as url:
        yield url


@pytest.fixture(scope="module")
def s3_table(moto):
    return index.index_plate(index_settings("s3://gallery", endpoint_url=moto))[0]


@pytest.fixture
def proxy(moto, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)
    with Proxy(moto) as made:
        yield made


def s3(proxy) -> dict:
    return source("s3://gallery", endpoint_url=proxy.url)


def same_files(table, raw, mirror) -> bool:
    names = sorted(path.name for path in raw.iterdir())
    return names == sorted(table["file"]) and all(
        (raw / row.file).read_bytes() == (mirror / row.key).read_bytes() for row in table.itertuples()
    )


# --- whole plates ---


def test_a_plate_from_s3_is_the_same_whatever_the_number_of_workers(s3_table, proxy, mirror, tmp_path):
    for workers in (1, 8):
        fetch.fetch(rows_of(s3_table), s3(proxy), tmp_path / f"raw{workers}", workers=workers)
        assert same_files(s3_table, tmp_path / f"raw{workers}", mirror)
    assert sorted(os.listdir(tmp_path)) == ["raw1", "raw8"]
    assert len(proxy.gets) == FETCHED and set(proxy.gets.values()) == {2}  # no request but one GET a file


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_plate_from_a_folder(mirror, tmp_path, form):
    table, _ = index.index_plate(index_settings(mirror))
    store.write_table(table, tmp_path / "index.parquet")
    settings = json.dumps({"source": source(form.format(mirror))})
    fetch.main(["--settings", settings, "--workers", "3", "--index", str(tmp_path / "index.parquet"),
                "--raw", str(tmp_path / "raw"), "--manifest", str(tmp_path / "manifest.tsv")])  # fmt: skip
    assert same_files(table, tmp_path / "raw", mirror)


def test_an_older_folder_is_replaced(mirror, tmp_path):
    table, _ = index.index_plate(index_settings(mirror))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "old.tif").touch()
    fetch.fetch(rows_of(table), source(mirror), tmp_path / "raw", workers=2)
    assert same_files(table, tmp_path / "raw", mirror)


# --- a server that fails ---


@pytest.mark.parametrize("fault", [500, 503, 429, "drop", "cut", "wrong"])
def test_passing_faults_are_overcome(s3_table, proxy, mirror, tmp_path, fault):
    name = s3_table["key"][5].rpartition("/")[2]
    proxy.faults = {name: [fault, fault]}
    fetch.fetch(rows_of(s3_table), s3(proxy), tmp_path / "raw", workers=4)
    assert same_files(s3_table, tmp_path / "raw", mirror)
    assert max(proxy.gets.values()) == 3 and sum(proxy.gets.values()) == FETCHED + 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (500, r"the server failed \(500"),
        ("cut", "expected 4784 bytes, found 2392"),
        ("wrong", "expected MD5 [0-9a-f]{32}, found [0-9a-f]{32}"),
    ],
)
def test_lasting_faults_end_with_the_place_named_and_what_is_here_kept(
    s3_table, proxy, tmp_path, mirror, fault, message
):
    row = s3_table.iloc[20]
    proxy.faults = {row["key"].rpartition("/")[2]: [fault] * 99}
    place = f"plate P1, well {row['Metadata_Well']}, site {row['Metadata_Site']}, channel {row['Channel']}"
    with pytest.raises(
        ValueError, match=rf"s3://gallery/.*{message}.*\({place}\), 6 times; what is already here is kept"
    ):
        fetch.fetch(rows_of(s3_table), s3(proxy), tmp_path / "raw", workers=1)
    assert not (tmp_path / "raw").exists()
    before = dict(proxy.gets)
    proxy.faults = {}
    fetch.fetch(rows_of(s3_table), s3(proxy), tmp_path / "raw", workers=1)
    assert same_files(s3_table, tmp_path / "raw", mirror)
    fetched_again = [key for key in before if proxy.gets[key] > before[key]]
    assert fetched_again == [f"/gallery/{row['key']}"]


@pytest.mark.parametrize(("status", "message"), [(404, "not there"), (403, "access refused")])
def test_refusals_are_not_tried_again(s3_table, proxy, tmp_path, status, message):
    row = s3_table.iloc[3]
    proxy.faults = {row["key"].rpartition("/")[2]: [status] * 99}
    with pytest.raises(ValueError, match=rf"{message} \({status}.*\(plate P1, well A01, site 1, channel RNA\)"):
        fetch.fetch(rows_of(s3_table), s3(proxy), tmp_path / "raw", workers=1)
    assert proxy.gets[f"/gallery/{row['key']}"] == 1


def test_a_source_that_changed_since_the_index_is_noticed(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0)
    table, _ = index.index_plate(index_settings(mirror))
    table.loc[0, "size"] += 1
    with pytest.raises(
        ValueError, match=r"expected 4785 bytes, found 4784 \(plate P1, well A01, .*and the rule index if"
    ):
        fetch.fetch(rows_of(table), source(mirror), tmp_path / "raw", workers=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: whole[:2000], "expected a whole TIFF of 4784 bytes, found it truncated at 2000"),
        (lambda whole: b"not a TIFF at all", "expected a whole TIFF, found one that cannot be read"),
        (lambda whole: whole[:4], "expected a whole TIFF, found one that cannot be read"),
    ],
)
def test_a_file_broken_at_its_source_is_named(mirror, tmp_path, content, message):
    copy = tmp_path / "mirror"
    shutil.copytree(mirror, copy)
    table, _ = index.index_plate(index_settings(copy))
    path = copy / table["key"][0]
    path.write_bytes(content(path.read_bytes()))
    table, _ = index.index_plate(index_settings(copy))
    place = "plate P1, well A01, site 1, channel Brightfield_L"
    with pytest.raises(ValueError, match=rf"1053600674_A01_T0001F001L01A01Z01C01.tif, {place}\): {message}"):
        fetch.fetch(rows_of(table), source(copy), tmp_path / "raw", workers=1)


# --- kills and resumes ---

KILLED = """
import os, sys
sys.path.insert(0, {src!r})
from brightpaint import store
from brightpaint.plates import fetch
from brightpaint.plates.folder import FolderSource
add, chunks, count = store.Journal.add, FolderSource.chunks, [0]
def dying_add(self, row):
    count[0] += 1
    if count[0] > 12 and {moment!r} == "before the journal":
        os._exit(9)
    place = add(self, row)
    if count[0] > 12 and {moment!r} == "after the journal":
        os._exit(9)
    return place
def dying_chunks(self, key):
    count[0] += 1
    for chunk in chunks(self, key):
        if count[0] > 12 and {moment!r} == "within a file":
            yield chunk[:100]
            os._exit(9)
        yield chunk
store.Journal.add, FolderSource.chunks = dying_add, dying_chunks
if {moment!r} == "after the last rename":
    store.Journal.remove = lambda self: os._exit(9)
fetch.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("moment", "left"),
    [("within a file", 26), ("before the journal", 26), ("after the journal", 25), ("after the last rename", 0)],
)
def test_a_killed_fetch_is_continued(mirror, tmp_path, monkeypatch, moment, left):
    """No file that was noted is read again, whenever the kill came."""
    table, _ = index.index_plate(index_settings(mirror))
    store.write_table(table, tmp_path / "index.parquet")
    arguments = ["--settings", json.dumps({"source": source(mirror)}), "--workers", "1",
                 "--index", str(tmp_path / "index.parquet"), "--raw", str(tmp_path / "raw"),
                 "--manifest", str(tmp_path / "manifest.tsv")]  # fmt: skip
    script = KILLED.format(src=str(ROOT / "src"), moment=moment)
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True)
    assert done.returncode == 9, done.stderr
    assert (tmp_path / "raw").exists() == (moment == "after the last rename")
    read = []
    real = FolderSource.chunks
    monkeypatch.setattr(FolderSource, "chunks", lambda self, key: read.append(key) or real(self, key))
    fetch.main(arguments)
    assert same_files(table, tmp_path / "raw", mirror)
    assert len(read) == left and len(set(read)) == left
    assert sorted(os.listdir(tmp_path)) == ["index.parquet", "manifest.tsv", "raw"]
    assert list(store.read_table(tmp_path / "manifest.tsv")["file"]) == list(table["file"])


def test_what_another_index_left_is_not_taken_for_this_one(s3_table, mirror, tmp_path):
    """A staged file counts only where key, size, ETag and the hashes asked for are those of the index."""
    rows = rows_of(s3_table[fetch.COLUMNS])[:5]
    folder = tmp_path / "raw.partial"
    folder.mkdir()
    lines = []
    for row in rows:
        shutil.copy(mirror / row["key"], folder / row["file"])
        lines.append({**{name: row[name] for name in fetch.IDENTITY}, "md5": row["etag"]})
    (folder / "other.tif").touch()

    def left(name: str, hashes: list[str]) -> list[int]:
        """Numbers of the rows still to fetch where the journal holds `lines`, and one of another index."""
        journal = store.Journal(tmp_path / name, "fetch")
        for line in [{**lines[0], "file": "other.tif"}, *lines]:
            journal.add(line)
        todo, needed = fetch.still_to_fetch(
            rows, fetch.Noted(fetch.check_names(rows), store.Journal(tmp_path / name, "fetch")), folder, hashes
        )
        assert needed == sum(row["size"] for row, due in zip(rows, todo) if due)
        return np.flatnonzero(todo).tolist()

    assert left("good", ["md5"]) == []
    assert not (folder / "other.tif").exists()
    lines[0]["etag"] = "0" * 32
    lines[1]["key"] = "another"
    (folder / rows[2]["file"]).write_bytes(b"short")
    del lines[3]["md5"]
    assert left("bad", []) == [0, 1, 2]
    assert left("bad too", ["md5"]) == [0, 1, 2, 3]


# --- the manifest ---


def test_the_manifest_lists_what_was_fetched_in_the_order_of_the_index(s3_table, proxy, tmp_path):
    for hashes in ([], ["md5"], ["md5", "sha256"]):
        settings = {**s3(proxy), "hash": hashes}
        fetch.fetch(rows_of(s3_table), settings, tmp_path / "raw", workers=4, listed=tmp_path / "manifest.tsv")
        listed = store.read_table(tmp_path / "manifest.tsv")
        assert list(listed.columns) == ["file", "key", "size", "etag", "md5", "sha256"]
        assert listed[fetch.IDENTITY].values.tolist() == s3_table[fetch.IDENTITY].values.tolist()
        for row in listed.to_dict("records"):
            data = (tmp_path / "raw" / row["file"]).read_bytes()
            for name in ("md5", "sha256"):
                assert row[name] == (hashlib.new(name, data).hexdigest() if name in hashes else "")


def test_without_md5_wrong_bytes_of_the_right_length_pass(s3_table, proxy, tmp_path):
    """What `hash: []` gives up; a TIFF whose header is wrong is still found."""
    row = s3_table.iloc[3]
    proxy.faults = {row["key"].rpartition("/")[2]: ["wrong"]}
    fetch.fetch(rows_of(s3_table), {**s3(proxy), "hash": []}, tmp_path / "raw", workers=1)
    assert (tmp_path / "raw" / row["file"]).stat().st_size == row["size"]


def test_progress_says_rate_and_time_left():
    assert fetch.progress(5 * 10**8, 10**9, 10.0) == "0.50 of 1.00 GB, 50.0 MB/s, 0:00:10 left"


def test_a_log_gets_lines_in_place_of_the_bar(mirror, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(fetch, "EVERY_S", 0)
    caplog.set_level("INFO")
    table, _ = index.index_plate(index_settings(mirror))
    fetch.fetch(rows_of(table), source(mirror), tmp_path / "raw", workers=1)
    assert "0.00 of 0.00 GB" in caplog.text and "0:00:00 left" in caplog.text


def test_a_second_writer_is_refused(mirror, tmp_path):
    table, _ = index.index_plate(index_settings(mirror))
    with store.locked(tmp_path / "raw"), pytest.raises(ValueError, match="raw is being made by another process"):
        fetch.fetch(rows_of(table), source(mirror), tmp_path / "raw", workers=1)


# --- before the first byte ---


def test_a_full_disk_is_noticed_before_the_first_byte(s3_table, proxy, tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage(10, 9, fetch.SPARE_BYTES + 1000))
    with pytest.raises(
        OSError, match=r"0.00 GB are to be fetched, 0.10 GB are free; make room, or set pathvars.resources"
    ):
        fetch.fetch(rows_of(s3_table), s3(proxy), tmp_path / "raw", workers=1)
    assert not proxy.gets


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("file", "../x.tif", "is no plain file name"),
        ("file", ".hidden", "is no plain file name"),
        ("file", "A01_s1_Brightfield.tif", "A01_s1_Brightfield.tif occurs twice"),
        ("key", "../../x.tif", "plate P1, well A01, site 1, channel Brightfield_L.* would leave its folder"),
    ],
)
def test_names_that_would_leave_the_folder_are_refused(s3_table, proxy, tmp_path, column, value, message):
    table = s3_table.copy()
    table.loc[0, column] = value
    with pytest.raises(ValueError, match=message):
        fetch.fetch(rows_of(table), s3(proxy), tmp_path / "raw", workers=1)
    assert not proxy.gets


def test_which_etags_are_md5():
    md5 = hashlib.md5(b"x").hexdigest()
    assert fetch.plain_md5(md5) == md5 and fetch.plain_md5(md5.upper()) == md5
    assert fetch.plain_md5(f"{md5}-12") == "" and fetch.plain_md5("") == ""


def test_pauses_double_and_depend_on_the_name_alone():
    pauses = [patience.pause_s("key", attempt) for attempt in range(1, 6)]
    assert pauses == [patience.pause_s("key", attempt) for attempt in range(1, 6)]
    assert all(0.25 * 2**n <= pause < 0.75 * 2**n for n, pause in enumerate(pauses))
    assert patience.pause_s("key", 1) != patience.pause_s("other", 1)
