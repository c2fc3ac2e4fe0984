"""Sources: a folder, and buckets on a real S3 server; keys that would leave them; what their errors say."""

from __future__ import annotations

import http.server
import os
import threading

import boto3
import pytest
from moto.server import ThreadedMotoServer

from brightpaint.plates import index, patience, sources
from brightpaint.plates.folder import FolderSource
from brightpaint.plates.keys import check_key
from faulty_s3 import Proxy
from plates_fixture import IMAGES, index_settings, source, write_gallery


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """(address, mirror): a real S3 server on loopback whose bucket `cellpainting-gallery` holds the plate."""
    mirror = write_gallery(tmp_path_factory.mktemp("mirror"))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    client.create_bucket(Bucket="gallery")
    for path in sorted(mirror.rglob("*")):
        if path.is_file():
            client.put_object(
                Bucket="gallery", Key=path.relative_to(mirror).as_posix(), Body=path.read_bytes(), ACL="public-read"
            )
    client.put_object(Bucket="gallery", Key="private.txt", Body=b"private")
    yield url, mirror
    server.stop()


@pytest.fixture(params=["folder", "file url", "s3"])
def opened(request, bucket):
    """The same plate by each kind of source."""
    url, mirror = bucket
    settings = {
        "folder": source(mirror),
        "file url": source(f"file://{mirror}"),
        "s3": source("s3://gallery", endpoint_url=url),
    }[request.param]
    return sources.open_source(settings)


def test_every_source_lists_finds_and_reads_alike(opened, bucket):
    _, mirror = bucket
    listed = opened.list(IMAGES + "/")
    assert len(listed) == 32
    key = min(listed)
    assert listed[key].size == (mirror / key).stat().st_size
    found = dict(opened.find([key, IMAGES + "/none.tif"]))  # a bucket tells of what lies beside them too
    assert found[key] == listed[key] and set(found) <= set(listed)
    assert opened.read(key) == (mirror / key).read_bytes()
    assert opened.folders("cpg0016-jump/source_2") == ["images", "workspace"]
    assert opened.list("cpg0016-jump/none/") == {} and opened.folders("none") == []
    assert opened.describe(key).endswith(key)


def test_a_bucket_tells_the_md5(bucket):
    import hashlib

    url, mirror = bucket
    listed = sources.open_source(source("s3://gallery", endpoint_url=url)).list(IMAGES + "/")
    key = min(listed)
    assert listed[key].etag == hashlib.md5((mirror / key).read_bytes()).hexdigest()


def test_reads_are_unsigned_without_a_profile_whatever_the_environment(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    opened = sources.open_source(source("s3://gallery", endpoint_url=bucket[0]))
    sent = []
    opened.client.meta.events.register(
        "before-send.s3", lambda request, **_: sent.append(dict(request.headers)) and None
    )
    opened.list(IMAGES + "/")
    assert sent and not any("Authorization" in headers for headers in sent)


def test_a_named_profile_signs(bucket, monkeypatch, tmp_path):
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = AKIALAB\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    opened = sources.open_source(source("s3://gallery", endpoint_url=bucket[0], profile="lab"))
    sent = []
    opened.client.meta.events.register(
        "before-send.s3", lambda request, **_: sent.append(dict(request.headers)) and None
    )
    opened.list(IMAGES + "/")
    assert b"AKIALAB" in bytes(str(sent[0]["Authorization"]), "ascii")
    with pytest.raises(ValueError, match="profile .*nobody.* could not be found.*correct the config's section source"):
        sources.open_source(source("s3://gallery", profile="nobody"))


def test_absent_objects_and_buckets_say_what_to_do(bucket):
    opened = sources.open_source(source("s3://gallery", endpoint_url=bucket[0]))
    with pytest.raises(
        ValueError,
        match=r"none.csv: expected a file, found it not there \(404, NoSuchKey\); check",
    ):
        opened.read("none.csv")
    opened = sources.open_source(source("s3://another", endpoint_url=bucket[0]))
    with pytest.raises(ValueError, match=r"not there \(404, NoSuchBucket\)"):
        opened.list("x/")


def test_a_private_object_says_that_it_needs_a_profile(bucket):
    opened = sources.open_source(source("s3://gallery", endpoint_url=bucket[0]))
    with pytest.raises(
        ValueError,
        match=r"private.txt: expected a file .* access refused \(403, .*needs source.profile",
    ):
        opened.read("private.txt")


def test_a_server_that_does_not_answer_says_so():
    opened = sources.open_source(source("s3://gallery", endpoint_url="http://127.0.0.1:9"), attempts=1)
    with pytest.raises(patience.Interrupted, match="check the network, source.endpoint_url"):
        opened.read("x")


@pytest.mark.parametrize("key", ["../x.tif", "a/../../x.tif", "/etc/passwd", "a\\..\\x", "a\nb", "", ".."])
def test_keys_that_would_leave_the_folder_are_refused(key, tmp_path):
    with pytest.raises(ValueError, match="would leave its folder: expected a path below source.url"):
        check_key(key, "plate P1")
    with pytest.raises(ValueError, match="would leave its folder"):
        list(FolderSource(tmp_path).find([key]))


def test_ordinary_keys_pass():
    for key in ("a/b.tif", "a b/Measurement 1/r01c01..tif", "x..y/z"):
        assert check_key(key) == key


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/no/such/folder", "there is no folder /no/such/folder; create it or correct source.url"),
        ("https://example.org/x", "expected s3://bucket, file:///folder or a folder"),
        ("file://host/x", "names the host 'host'; write file:///folder, with three /"),
        ("s3://bucket/prefix", "expected s3://bucket and nothing after it"),
        ("s3://", "expected s3://bucket"),
    ],
)
def test_urls_of_another_form_are_refused(url, message):
    with pytest.raises(ValueError, match=message):
        sources.open_source(source(url))


def test_a_file_that_vanished_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no such file; run the rule index again"):
        FolderSource(tmp_path).read("gone.tif")


def test_many_folders_are_listed_by_what_they_share(bucket):
    opened = sources.open_source(source("s3://gallery", endpoint_url=bucket[0]))
    calls = []
    real = opened.walk
    opened.walk = lambda prefix: calls.append(prefix) or real(prefix)
    key = min(opened.list(IMAGES + "/"))
    calls.clear()
    found = dict(opened.find([key, *(f"{IMAGES}/well_{n}/x.tif" for n in range(60))]))
    assert key in found and calls == [IMAGES + "/"]


def test_files_are_read_unsigned_or_signed_as_lists_are(bucket, monkeypatch, tmp_path):
    """`chunks` sends its own GET: with a signature in its query where a profile is named, else without."""
    url, mirror = bucket
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = AKIALAB\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    sent = []
    for profile in (None, "lab"):
        opened = sources.open_source(source("s3://gallery", endpoint_url=url, profile=profile))
        send = opened._http.send
        monkeypatch.setattr(opened._http, "send", lambda request, send=send: sent.append(request.url) or send(request))
        key = min(opened.list(IMAGES + "/"))
        assert opened.read(key) == (mirror / key).read_bytes()
    assert "?" not in sent[0] and "X-Amz-Credential=AKIALAB" in sent[1]


def test_connections_are_kept_for_the_next_file(bucket):
    opened = sources.open_source(source("s3://gallery", endpoint_url=bucket[0]), workers=1)
    for key in list(opened.list(IMAGES + "/"))[:4]:
        opened.read(key)
    pools = opened._http._manager.pools
    assert [pools[key].num_connections for key in pools.keys()] == [1]


def test_a_bucket_elsewhere_says_which_region_to_set():
    """As S3 answers a request to the wrong region."""

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(301)
            self.send_header("x-amz-bucket-region", "eu-west-1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        opened = sources.open_source(source("s3://gallery", endpoint_url="http://{}:{}".format(*server.server_address)))
        with pytest.raises(ValueError, match=r"redirected \(301, the bucket is in eu-west-1\); set source.region"):
            opened.read("x")


def test_a_list_and_a_table_survive_passing_faults(bucket, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)
    with Proxy(bucket[0]) as proxy:
        opened = sources.open_source(source("s3://gallery", endpoint_url=proxy.url))
        proxy.faults = {"/gallery": ["cut", 503, "drop"], "A01Z01C01.tif": [503, "cut", "drop"]}
        listed = opened.list(IMAGES + "/")
        assert len(listed) == 32
        key = min(listed)
        assert opened.read(key) == (bucket[1] / key).read_bytes()


# --- links to folders ---


def test_a_linked_plate_of_a_mirror_is_found(tmp_path):
    """Its images lie on another disk, with a link in their place: each was said not to be there."""
    mirror, away = write_gallery(tmp_path / "mirror"), tmp_path / "other disk" / "run 7"
    away.parent.mkdir()
    (mirror / IMAGES).rename(away)
    (mirror / IMAGES).symlink_to(away)
    opened = FolderSource(mirror)
    before = FolderSource(write_gallery(tmp_path / "plain"))
    assert opened.list(IMAGES + "/") == before.list(IMAGES + "/") and len(opened.list(IMAGES + "/")) == 32
    for prefix in (IMAGES[:-3], IMAGES.rpartition("/")[0] + "/", ""):
        assert opened.list(prefix).keys() == before.list(prefix).keys()
    table, lacking = index.index_plate(index_settings(mirror))
    assert len(table) and lacking.empty


def write_files(folder, *names: str):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"II")
    return folder


def test_links_are_followed_once_and_never_in_circles(tmp_path):
    here, away = write_files(tmp_path / "here", "P1/a.tif"), write_files(tmp_path / "away", "P2/b.tif", "P3/sub/c.tif")
    links = {"here/P2": away / "P2", "here/more": away, "here/up": tmp_path, "here/P1/self": here / "P1",
             "here/latest": here / "P1", "away/P3/back": here, "away/P3/top": away, "away/P3/newest": away / "P3/sub",
             "here/round": tmp_path / "here/round", "here/nothing": tmp_path / "none"}  # fmt: skip
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    found = sorted(FolderSource(here).list(""))
    assert found == ["P1/a.tif", "P2/b.tif", "more/P2/b.tif", "more/P3/sub/c.tif"]


def test_two_names_of_one_folder_outside_are_two_folders(tmp_path):
    away, here = write_files(tmp_path / "away", "x.tif"), write_files(tmp_path / "here", "real/y.tif")
    for name in ("A", "B"):
        (here / name).symlink_to(away)
    (here / "re").symlink_to(here / "real")
    (here / "other").symlink_to(here / "real")
    assert sorted(FolderSource(here).list("")) == ["A/x.tif", "B/x.tif", "real/y.tif"]
    assert sorted(FolderSource(here).list("re")) == ["real/y.tif"]  # the link is another name of what is listed
    assert sorted(FolderSource(here).list("oth")) == ["other/y.tif"]  # here it is the only one
    assert sorted(FolderSource(here).list("other/")) == ["other/y.tif"]
