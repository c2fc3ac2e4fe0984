"""Strings cannot reach a shell, keys stay in their folder, nothing is unpickled, nobody's credentials or signatures leak."""

from __future__ import annotations

import json
import logging
import os
import re
import urllib.request

import pandas as pd
import pytest

from brightpaint import store
from brightpaint.plates import fetch, index, patience, sources
from brightpaint.plates.folder import FolderSource
from conftest import ROOT, snakemake, write_study
from faulty_s3 import serve_bucket
from hostile import refusal
from plates_fixture import CHANNELS, IMAGES, index_settings, source, write_gallery

UNPICKLING = re.compile(
    r"\b(pickle|cPickle|dill|joblib|cloudpickle|shelve|marshal)\b\.?(load|Unpickler)?|torch\.load\(|read_pickle|yaml\.load\(|"
    r"yaml\.(unsafe|full)_load|allow_pickle\s*=\s*True|(?<![.\w])(eval|exec)\("
)
SHELLS = re.compile(r"shell\s*=\s*True|os\.system\(|os\.popen\(")


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_unpickles_or_starts_a_shell(path):
    code = [line.partition("#")[0] for line in path.read_text().splitlines()]
    quoted = re.sub(r'""".*?"""', "", "\n".join(code), flags=re.DOTALL)  # prose may say that no pickle is loaded
    assert not UNPICKLING.search(quoted) and not SHELLS.search(quoted)
    for call in re.findall(r"np\.load\([^\n]*", quoted):
        assert "allow_pickle=False" in call


def test_the_rules_quote_every_value_that_is_not_one_of_few_words():
    """`:q` quotes; wildcards are names without a space or sign (schemas), resources and counts are numbers."""
    for path in (ROOT / "workflow" / "rules").rglob("*.smk"):
        for braces in re.findall(r"(?<!\{)\{((?:input|output|params|log)[^}]*)\}(?!\})", path.read_text()):
            assert braces.endswith(":q") or braces == "params.parts", f"{path.name}: {{{braces}}}"


# --- a table's words on their way through a real rule ---

EVIL = "$(touch PWNED)`touch PWNED`; touch PWNED #"


def test_words_of_tables_and_config_pass_a_real_rule_as_words(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{EVIL}.tif").write_bytes(b"x")
    rows = [
        ["T1", "A01", 1, channel, f"{EVIL}.tif" if channel == "BF" else "other.tif", EVIL] for channel in ("BF", "DNA")
    ]
    (tmp_path / "images" / "other.tif").write_bytes(b"x")
    columns = ["plate", "well", "site", "channel", "file", "perturbation"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "images.csv", index=False)
    changes = {
        "source": {"layout": "table", "url": "images", "table": "images.csv"},
        "channels": {"input": ["BF"], "target": ["DNA"]},
        "folds": [{"name": "A", "test": ["T2"], "held_out": [EVIL]}],
        "cellprofiler": {"command": EVIL, "cell_stains": ["DNA"]},
    }
    folder = write_study(tmp_path, changes)
    snakemake(folder, "--cores", "1", "--show-failed-logs", "resources/index/T1.parquet")
    made = store.read_table(folder / "resources" / "index" / "T1.parquet")
    assert set(made["Metadata_perturbation"]) == {EVIL} and f"{EVIL}.tif" in set(made["key"])
    assert not list(tmp_path.rglob("PWNED"))


def test_a_link_in_the_folder_is_followed_and_a_key_cannot_make_one(tmp_path):
    """The owner of a folder makes its links; tables that strangers write name keys, and these stay below it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.tif").write_bytes(b"abc")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.tif").symlink_to(tmp_path / "elsewhere" / "x.tif")
    opened = FolderSource(tmp_path / "mine")
    assert dict(opened.find(["x.tif"]))["x.tif"].size == 3
    for key in ("../elsewhere/x.tif", str(tmp_path / "elsewhere/x.tif"), "a/../../elsewhere/x.tif"):
        for read in (lambda key: list(opened.find([key])), lambda key: opened.read(key)):
            with pytest.raises(ValueError, match="would leave its folder"):
                read(key)


# --- S3 ---


class Recorder:
    """Keeps the path and the headers of every request that the S3 server behind it is sent."""

    def __init__(self, upstream: str):
        import http.server
        import threading

        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, dict(self.headers)))
                with urllib.request.urlopen(upstream + self.path) as answer:
                    body, headers = answer.read(), answer.headers
                self.send_response(200)
                for name in ("ETag", "Content-Type", "Last-Modified"):
                    if headers.get(name):
                        self.send_header(name, headers[name])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = "http://{}:{}".format(*server.server_address)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    with serve_bucket(write_gallery(tmp_path_factory.mktemp("mirror"), sites=1)) as url:
        yield url


def test_an_anonymous_plate_is_fetched_without_the_credentials_of_the_environment(bucket, tmp_path, monkeypatch):
    for name, value in {"AWS_ACCESS_KEY_ID": "AKIASOMEBODY", "AWS_SECRET_ACCESS_KEY": "verysecret",
                        "AWS_SESSION_TOKEN": "verytoken"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    recorder = Recorder(bucket)
    settings = index_settings("s3://gallery", endpoint_url=recorder.url)
    table = tmp_path / "P1.parquet"
    index.main(["--settings", json.dumps(settings), "--index", str(table), "--missing", str(tmp_path / "P1.tsv")])
    words = ["--settings", json.dumps({"source": settings["source"]}), "--index", table, "--raw", tmp_path / "raw"]
    fetch.main([str(word) for word in [*words, "--manifest", tmp_path / "m.tsv"]])
    assert len(recorder.seen) >= 4 * len(CHANNELS) + 3
    for path, headers in recorder.seen:
        sent = path + json.dumps(headers)
        assert not re.search(
            "authorization|x-amz-(signature|credential|security-token)|AKIASOMEBODY|verytoken", sent, re.I
        )


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """An AWS profile called lab."""
    (tmp_path / "credentials").write_text(
        "[lab]\naws_access_key_id = AKIALAB\naws_secret_access_key = verysecret\naws_session_token = verytoken\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)


SECRETS = re.compile("verysecret|verytoken|AKIALAB|X-Amz-Signature|X-Amz-Credential|Signature=", re.I)


def test_a_signed_address_stands_in_no_log_and_no_error(bucket, profile, tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(fetch, "ATTEMPTS", 2)
    settings = index_settings("s3://gallery", endpoint_url=bucket, profile="lab")
    table = tmp_path / "P1.parquet"
    with caplog.at_level(logging.INFO):
        index.main(["--settings", json.dumps(settings), "--index", str(table), "--missing", str(tmp_path / "P1.tsv")])
        gone = {
            **settings["source"],
            "endpoint_url": "http://127.0.0.1:9",
        }  # nobody listens: the address is in the error
        words = ["--settings", json.dumps({"source": gone}), "--index", table, "--raw", tmp_path / "raw"]
        said = refusal(fetch.main, [*words, "--manifest", tmp_path / "m.tsv"], capsys)
    assert "127.0.0.1:9" in said and "source.endpoint_url" in said and IMAGES in said
    logged = "\n".join(
        record.getMessage() for record in caplog.records if record.name != "werkzeug"
    )  # the server's own log
    assert "attempt 2 of 2" in logged
    assert not SECRETS.search(said + logged)


def test_the_chain_of_an_error_holds_no_signed_address(profile):
    import traceback

    opened = sources.open_source(source("s3://gallery", endpoint_url="http://127.0.0.1:9", profile="lab"), attempts=1)
    with pytest.raises(ValueError) as error:
        opened.read("x.tif")
    assert not SECRETS.search("".join(traceback.format_exception(error.value)))


@pytest.mark.parametrize(
    ("key", "address"),
    [("url", "s3://AKIALAB:verysecret@gallery"), ("endpoint_url", "https://me:verysecret@s3.lab.org")],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(key, address):
    given = {**source("s3://gallery"), key: address}
    with pytest.raises(ValueError, match=f"source.{key} holds a name or password") as error:
        sources.open_source(given)
    assert "source.profile" in str(error.value) and not SECRETS.search(str(error.value))


def test_what_looks_odd_is_read(tmp_path):
    """Windows line ends and a byte order mark in every table; wells and sites in other spellings."""
    from brightpaint.plates import load_data, platemaps
    from brightpaint.study.plate_table import read_plates

    text = "plate\trole\r\nP1\tstudy\r\n".encode("utf-8-sig")
    (tmp_path / "plates.tsv").write_bytes(text)
    schema = ROOT / "workflow" / "schemas" / "plates.schema.yaml"
    assert read_plates(tmp_path / "plates.tsv", schema) == {"P1": {"plate": "P1", "role": "study"}}
    frame = platemaps.read_text_table("a,b\r\n1,x\r\n".encode("utf-8-sig"), "x.csv", separator=",")
    assert frame.to_dict("records") == [{"a": "1", "b": "x"}]
    assert {platemaps.normal_well(well, "x") for well in ("a1", "A01", "A001", " A1 ")} == {"A01"}
    assert {load_data.normal_site(site, "x") for site in ("1", "01", "1.0", " 1")} == {1}


@pytest.mark.parametrize(
    "options", [{"byteorder": ">"}, {"compression": "zlib"}, {"compression": "lzw"}, {"bigtiff": True}]
)
def test_odd_tiffs_of_16_bits_are_read(tmp_path, options):
    import numpy as np
    import tifffile

    image = np.arange(64, dtype=np.uint16).reshape(8, 8)
    tifffile.imwrite(tmp_path / "x.tif", image, **options)
    assert (store.read_raw(tmp_path / "x.tif") == image).all()


def test_a_config_file_without_plates_is_not_filled_up_with_the_papers_study(tmp_path):
    """It would be a study of somebody else's plates; the shipped one is read where no file is given."""
    folder = write_study(tmp_path, {})
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text((ROOT / "config" / "config.yaml").read_text())
    (folder / "config.yaml").write_text("trian: {}\n")
    done = snakemake(folder, "-n", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "unknown key trian" in done.stdout and "'plates' is a required property" in done.stdout


@pytest.mark.parametrize("content", [b"- 1\n- 2\n", b"plates: [\n"])
def test_a_file_that_is_no_config_ends_snakemake_without_a_traceback(tmp_path, content):
    folder = write_study(tmp_path, {})
    (folder / "config.yaml").write_bytes(content)
    done = snakemake(folder, "-n", check=False)
    assert (
        done.returncode == 1 and "Traceback" not in done.stdout and "Config file" in done.stdout
    )  # Snakemake's own sentence
