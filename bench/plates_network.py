"""fetch against the AWS client, a plate through a failing server, and the plan of many plates (see plates.py).

`fetch` copies a made plate of 16-bit, 998-px images (2 MB each) from nginx on loopback, once by `aws s3 cp --recursive`
and once by `brightpaint.plates.fetch`, without hashing, with MD5s compared, and with sha256s too. CPU seconds are those
of the client and its children, start-up included. It needs nginx (`apt-get install nginx-light`) and the AWS client in
an environment of its own (`python3 -m venv aws && aws/bin/pip install awscli`, then `--aws aws/bin/aws`).

`faults` brings a plate of small images (384 wells x 6 fields x 8 channels unless told otherwise) from index to prepare
through moto's S3 server and a proxy that answers 2 % of requests with 503 and cuts 1 % of bodies short, with three kill -9
at seeded moments, and compares every output with an undisturbed run's.

`dry-run` plans a study of every TARGET2 plate of the JUMP plate list (columns Metadata_Source, Metadata_Batch,
Metadata_Plate, Metadata_PlateType): all trained on but the last of each source, which are painted unlabelled.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store

ROOT = Path(__file__).resolve().parents[1]
SIDE_PX = 998
HASHES = {"none": [], "md5": ["md5"], "md5 and sha256": ["md5", "sha256"]}
NGINX = """
daemon off; pid {root}/nginx.pid; error_log {root}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; keepalive_requests 100000;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  server {{
    listen 127.0.0.1:{port};
    location = /gallery {{ default_type application/xml; alias {root}/list.xml; }}
    location /gallery/ {{ alias {root}/bucket/; }}
  }}
}}
"""


def say(**measured) -> None:
    """Print one measurement as a JSON line."""
    print(json.dumps({name: round(v, 3) if isinstance(v, float) else v for name, v in measured.items()}), flush=True)


def timed(command: list[str], **options) -> tuple[float, float]:
    """Run a command and return (CPU seconds of it and its children, wall seconds); its failure is an error."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


# --- fetch against aws s3 cp ---


def make_bucket(root: Path, gigabytes: float) -> pd.DataFrame:
    """Write images below `root`/bucket and a canned listing beside it; return their index."""
    rng, rows = np.random.default_rng(0), []
    image = rng.integers(100, 4000, (SIDE_PX, SIDE_PX), np.uint16)
    count = max(1, round(gigabytes * 1e9 / image.nbytes))
    for n in range(count):
        key = f"images/P1/P1_A01_T0001F{n + 1:05d}L01A01Z01C01.tif"
        image[0, :2] = divmod(n, 65536)
        store.write_raw(root / "bucket" / key, image)
        data = (root / "bucket" / key).read_bytes()
        rows.append({"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": n + 1, "Channel": "DNA",
                     "key": key, "file": f"A01_s{n + 1}_DNA.tif", "size": len(data),
                     "etag": hashlib.md5(data, usedforsecurity=False).hexdigest()})  # fmt: skip
    items = "".join(
        f"<Contents><Key>{row['key']}</Key><LastModified>2021-06-14T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{row['etag']}&quot;</ETag><Size>{row['size']}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for row in rows
    )
    head = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    start = f"<Name>gallery</Name><Prefix>images/</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{count}</MaxKeys>"
    text = f"{head}{start}<IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
    (root / "list.xml").write_text(text)
    return pd.DataFrame(rows)


@contextlib.contextmanager
def nginx(program: str, root: Path):
    """Serve `root`/bucket as the bucket `gallery`; yields the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (root / "nginx.conf").write_text(NGINX.format(root=root, port=port))
    server = subprocess.Popen([program, "-c", str(root / "nginx.conf"), "-p", str(root)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def fetch_command(root: Path, url: str, hashes: list[str], workers: int) -> list[str]:
    """Return the command line of brightpaint's own fetch."""
    source = {"url": "s3://gallery", "endpoint_url": url, "region": "us-east-1", "profile": None, "hash": hashes}
    settings = json.dumps({"source": source})
    command = [sys.executable, "-m", "brightpaint.plates.fetch", "--settings", settings, "--workers", str(workers)]
    return [*command, "--index", str(root / "index.parquet"), "--raw", str(root / "raw"),
            "--manifest", str(root / "manifest.tsv")]  # fmt: skip


def fetch(arguments: argparse.Namespace) -> None:
    """Fetch the same plate by each client, in turn, `repeats` times."""
    for program in (arguments.aws, arguments.nginx):
        if not shutil.which(program):
            raise SystemExit(f"{program} is not here; see the head of {__file__}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder)
        root.chmod(0o755)  # nginx's workers run as another user
        index = make_bucket(root, arguments.gb)
        store.write_table(index, root / "index.parquet")
        gigabytes = float(index["size"].sum()) / 1e9
        with nginx(arguments.nginx, root) as url:
            aws = [arguments.aws, "s3", "cp", "--recursive", "--no-sign-request", "--only-show-errors",
                   "--endpoint-url", url, "s3://gallery/images", str(root / "raw")]  # fmt: skip
            clients = {"aws s3 cp": aws}
            for name, hashes in HASHES.items():
                clients[f"brightpaint, hash {name}"] = fetch_command(root, url, hashes, arguments.workers)
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "AWS_DEFAULT_REGION": "us-east-1"}
            for _ in range(arguments.repeats):
                for name, command in clients.items():
                    shutil.rmtree(root / "raw", ignore_errors=True)
                    cpu, wall = timed(command, env=environment)
                    found = sum(path.stat().st_size for path in (root / "raw").rglob("*.tif")) / 1e9
                    if found != gigabytes:
                        raise SystemExit(f"{name}: expected {gigabytes} GB, found {found}")
                    say(bench="fetch", client=name, gb=gigabytes, files=len(index), cpu_s_per_gb=cpu / gigabytes,
                        wall_s_per_gb=wall / gigabytes)  # fmt: skip


# --- a whole plate through a failing server ---


def faults(arguments: argparse.Namespace) -> None:
    """Compare a disturbed run of the plates wing with an undisturbed one."""
    sys.path.insert(0, str(ROOT / "tests"))
    import disturbed
    from faulty_s3 import Proxy, serve_bucket

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    files = arguments.rows * arguments.columns * arguments.sites * len(disturbed.CHANNELS)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root, began = Path(folder), time.perf_counter()
        disturbed.write_mirror(root / "mirror", rows=arguments.rows, columns=arguments.columns, sites=arguments.sites)
        with serve_bucket(root / "mirror") as url, Proxy(url) as proxy:
            found = disturbed.compare(root, url, proxy, files=files, seed=arguments.seed)
        say(bench="faults", seed=arguments.seed, **found, wall_s=time.perf_counter() - began)


# --- the plan of many plates ---


def dry_run(arguments: argparse.Namespace) -> None:
    """Time `snakemake -n` of a study of every TARGET2 plate."""
    listed = pd.read_csv(arguments.plates, dtype=str)
    with tempfile.TemporaryDirectory() as folder:
        study = write_many_plates(Path(folder), listed[listed["Metadata_PlateType"] == "TARGET2"])
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-n", "--quiet",
                   "--directory", folder, "--configfile", str(Path(folder) / "config.yaml")]  # fmt: skip
        cpu, wall = timed(command)
    say(bench="dry-run", plates=len(study), cpu_s=cpu, wall_s=wall)


def write_many_plates(folder: Path, listed: pd.DataFrame) -> pd.DataFrame:
    """Write config.yaml and plates.tsv of a study of `listed` plates into `folder`; return the plate table."""
    table = pd.DataFrame({"plate": listed["Metadata_Plate"], "role": "study", "project": "cpg0016-jump",
                          "source": listed["Metadata_Source"], "batch": listed["Metadata_Batch"]})  # fmt: skip
    store.write_table(table, folder / "plates.tsv")
    tested = table.groupby("source")["plate"].last().tolist()
    study = {
        "plates": "plates.tsv", "source": {"missing": "skip"}, "folds": [{"name": "A", "test": tested}],
        "models": [{"name": "unlabelled"}, {"name": "mean", "kind": "mean"}],
        "arms": [{"name": "unlabelled", "model": "unlabelled", "folds": ["A"]},
                 {"name": "mean", "model": "mean", "folds": ["A"]}],
    }  # fmt: skip
    (folder / "config.yaml").write_text(json.dumps(study))
    return table


def add_commands(commands) -> None:
    """Add this module's subcommands."""
    chosen = commands.add_parser("fetch", help="fetch against aws s3 cp --recursive")
    chosen.add_argument("--gb", type=float, default=2)
    chosen.add_argument("--workers", type=int, default=16)
    chosen.add_argument("--repeats", type=int, default=3)
    chosen.add_argument("--aws", default="aws")
    chosen.add_argument("--nginx", default="nginx")
    chosen.add_argument("--folder", help="where to work; a folder in memory (/dev/shm) keeps the disk out of it")
    chosen.set_defaults(run=fetch)
    chosen = commands.add_parser("faults", help="a whole plate through a failing server, killed three times")
    for name, default in (("rows", 16), ("columns", 24), ("sites", 6), ("seed", 1)):
        chosen.add_argument(f"--{name}", type=int, default=default)
    chosen.add_argument("--folder", help="where to work")
    chosen.set_defaults(run=faults)
    chosen = commands.add_parser("dry-run", help="snakemake -n of every TARGET2 plate")
    chosen.add_argument("--plates", required=True, help="the JUMP plate list, a CSV")
    chosen.set_defaults(run=dry_run)
