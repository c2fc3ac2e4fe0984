"""A real S3 server on loopback, and a proxy before it that fails on order. Used by tests and by bench/plates.py.

python tests/faulty_s3.py MIRROR BUCKET PID URL    serves until the process PID ends; its address is in the file URL
"""

from __future__ import annotations

import collections
import contextlib
import http.server
import os
import sys
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import psutil
from botocore.config import Config
from moto.server import ThreadedMotoServer


@contextlib.contextmanager
def serve_bucket(mirror: Path, bucket: str = "gallery") -> Iterator[str]:
    """Serve the folder `mirror` as a bucket that everyone may read; yields the server's address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    words = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=url, config=Config(max_pool_connections=16), **words)
    client.create_bucket(Bucket=bucket)

    def put(path: Path) -> None:
        key = path.relative_to(mirror).as_posix()
        client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ACL="public-read")

    with ThreadPoolExecutor(16) as pool:  # one after the other waits 40 ms a file for delayed acknowledgements
        list(pool.map(put, sorted(path for path in mirror.rglob("*") if path.is_file())))
    try:
        yield url
    finally:
        server.stop()


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to an S3 server, but for what `faults` orders, until its `with` block ends.

    Attributes
    ----------
    faults : {end of a key: faults in order, one a request: a status, "cut", "wrong" or "drop"}
    share : {fault: share of all requests}; which ones follows from their path and how often it was asked for
    gets : how often each key was asked for
    injected : how often each fault was made
    """

    daemon_threads = True

    def __init__(self, upstream: str):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.faults, self.share = upstream, {}, {}
        self.gets, self.injected = collections.Counter(), collections.Counter()
        self.url = "http://{}:{}".format(*self.server_address)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Say nothing of clients that were killed."""

    def fault(self, path: str):
        self.gets[path] += 1
        for end, orders in self.faults.items():
            if path.endswith(end) and orders:
                return orders.pop(0)
        drawn = zlib.crc32(f"{path}/{self.gets[path]}".encode()) / 2**32
        for fault, share in self.share.items():
            if drawn < share:
                self.injected[fault] += 1
                return fault
            drawn -= share
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        fault = self.server.fault(self.path.partition("?")[0])
        if isinstance(fault, int):
            return self.reply(fault, b"<Error><Code>SlowDown</Code></Error>", {})
        if fault == "drop":
            self.close_connection = True
            return self.connection.close()
        try:
            with urllib.request.urlopen(self.server.upstream + self.path) as answer:
                status, body, headers = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            status, body, headers = error.code, error.read(), error.headers
        kept = {name: headers[name] for name in ("ETag", "Content-Type", "Last-Modified") if headers.get(name)}
        if fault == "wrong":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.reply(status, body, kept, cut=fault == "cut")

    def reply(self, status, body, headers, *, cut=False):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True


def main(mirror: str, bucket: str, pid: str, url: str) -> None:
    """Serve a folder until another process has ended."""
    until = psutil.Process(int(pid))
    with serve_bucket(Path(mirror), bucket) as address:
        Path(f"{url}.new").write_text(address)
        os.rename(f"{url}.new", url)
        until.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
