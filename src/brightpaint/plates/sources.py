"""Where files lie: in an S3 bucket (`S3Source`), or in a mirror of it or the user's own folder (`FolderSource`).

A key is a path within the bucket or folder, with `/` between its parts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import unquote, urlparse

from brightpaint.base.seeds import seed_of

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
CHUNK_BYTES = 1 << 20
LONGEST_BYTES = 255  # of a file name, on every common disk
TIMEOUT_S = (20, 60)  # to connect, and between two pieces of an answer


@dataclass(frozen=True, slots=True)
class Entry:
    """What a source says about a file: its size in bytes and its ETag ("" where there is none)."""

    size: int
    etag: str = ""


class Interrupted(ValueError):
    """A read that failed in a way that may pass: worth another try."""


def pause_s(key: str, attempt: int) -> float:
    """Return the seconds to wait after failed attempt `attempt` (from 1): doubling, spread by the key's name."""
    spread = seed_of(key, attempt) / 2**32
    return FIRST_PAUSE_S * 2 ** (attempt - 1) * (0.5 + spread)


def patiently(read: Callable[[], T], name: str, attempts: int) -> T:
    """Return what `read` returns, tried up to `attempts` times where it is `Interrupted`."""
    for attempt in range(1, attempts):
        try:
            return read()
        except Interrupted as error:
            log.info("%s; attempt %d of %d", error, attempt + 1, attempts)
            time.sleep(pause_s(name, attempt))
    return read()


def check_key(key: str, where: str = "") -> str:
    """Return `key` if it stays within its bucket or folder; raise ValueError if it would leave it."""
    parts = key.split("/")
    place = f" ({where})" if where else ""
    if longest := max((part for part in parts if len(part.encode(errors="replace")) > LONGEST_BYTES), default=""):
        raise ValueError(
            f"the file name {longest[:60]!r}...{place} has {len(longest)} letters: expected {LONGEST_BYTES} bytes at most; "
            "correct it in the table that names it"
        )
    if not key or key.startswith("/") or "\\" in key or ".." in parts or re.search(r"[\x00-\x1f\x7f]", key):
        raise ValueError(
            f"the file name {key!r}{place} would leave its folder: expected a path below source.url, "
            "without '..', backslashes or a leading '/'; correct it in the table that names it"
        )
    return key


def open_source(settings: dict, *, workers: int = 1, attempts: int = 5) -> S3Source | FolderSource:
    """Open `settings["url"]`.

    Parameters
    ----------
    settings : url, endpoint_url, region, profile, as in the config's section `source`
    workers : connections kept open at once
    attempts : times that a request is tried before it fails
    """
    url = settings["url"]
    for name in ("url", "endpoint_url"):
        if "@" in urlparse(settings.get(name) or "").netloc:
            raise ValueError(
                f"source.{name} holds a name or password before its @: it would stand in logs; write them into an AWS "
                "profile and name that in source.profile"
            )
    if url.startswith("s3://"):
        return S3Source(settings, workers=workers, attempts=attempts)
    if url.startswith("file://"):
        parsed = urlparse(url)
        if parsed.netloc not in ("", "localhost"):
            raise ValueError(
                f"source.url: {url!r} names the host {parsed.netloc!r}; write file:///folder, with three /"
            )
        return FolderSource(Path(unquote(parsed.path)))
    if "://" in url:
        raise ValueError(f"source.url: expected s3://bucket, file:///folder or a folder, found {url!r}")
    return FolderSource(Path(url))


class FolderSource:
    """A folder: a mirror of the gallery, or the user's own images."""

    def __init__(self, root: Path):
        self.root = Path(root)
        if not self.root.is_dir():
            raise ValueError(
                f"source.url: there is no folder {self.root}; create it or correct source.url in the config"
            )

    def describe(self, key: str) -> str:
        """Return the full name of a key, for messages."""
        return os.path.join(self.root, key)

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below `prefix`."""
        folder = self.root / prefix
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def walk(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Yield (key, entry), in no order, of every file below the folder `prefix` (which ends in /).

        Without the / it is of every file whose key begins so.
        """
        folder, slash, _ = prefix.rpartition("/")
        for path, size in _files_below(os.path.join(self.root, folder)):
            key = folder + slash + path
            if key.startswith(prefix):
                yield key, Entry(size)

    def list(self, prefix: str) -> dict[str, Entry]:
        """Return what `walk` yields, sorted."""
        return dict(sorted(self.walk(prefix), key=itemgetter(0)))

    def find(self, keys: Iterable[str]) -> Iterator[tuple[str, Entry]]:
        """Yield (key, entry) of those of `keys` that exist."""
        for key in keys:
            path = os.path.join(self.root, check_key(key))  # a Path would leave its name in memory
            if os.path.isfile(path):
                yield key, Entry(os.path.getsize(path))

    def open(self, key: str) -> BinaryIO:
        """Open a table for reading."""
        try:
            return open(os.path.join(self.root, check_key(key)), "rb")
        except FileNotFoundError:
            raise ValueError(f"{self.describe(key)}: there is no such file; run the rule index again") from None
        except PermissionError:
            raise ValueError(f"{self.describe(key)}: not readable; change its permissions") from None

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield a file's content piece by piece."""
        with self.open(key) as handle:
            while chunk := handle.read(CHUNK_BYTES):
                yield chunk

    def read(self, key: str) -> bytes:
        """Return a small file's content."""
        return b"".join(self.chunks(key))


class S3Source:
    """A bucket. Without a profile every request is unsigned, whatever credentials the environment holds."""

    def __init__(self, settings: dict, *, workers: int, attempts: int):
        import boto3
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        self.bucket, self.attempts = urlparse(settings["url"]).netloc, attempts
        if not self.bucket or urlparse(settings["url"]).path.strip("/"):
            raise ValueError(f"source.url: expected s3://bucket and nothing after it, found {settings['url']!r}")
        config = Config(
            signature_version="s3v4" if settings["profile"] else UNSIGNED,
            max_pool_connections=workers,
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=TIMEOUT_S[0],
            read_timeout=TIMEOUT_S[1],
            response_checksum_validation="when_required",  # fetch verifies size and ETag itself
        )
        try:
            core = botocore.session.Session(profile=settings["profile"])
            session = boto3.Session(botocore_session=core, region_name=settings["region"])
            self.client = session.client("s3", endpoint_url=settings["endpoint_url"], config=config)
        except (BotoCoreError, ValueError) as error:
            raise ValueError(
                f"source: cannot open {settings['url']}: {error}; correct the config's section source"
            ) from error
        self._http = URLLib3Session(
            verify=core.get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(self.client.meta.endpoint_url),
            timeout=TIMEOUT_S,
            max_pool_connections=workers,
        )

    def describe(self, key: str) -> str:
        """Return the full name of a key, for messages."""
        return f"s3://{self.bucket}/{key}"

    def _listed(self, kind: str, **query) -> Iterator[dict]:
        """Yield the items of `kind` in a listing, page by page; a page that fails is asked for again."""

        def read() -> dict:
            with self._explained(query["Prefix"]):
                return self.client.list_objects_v2(Bucket=self.bucket, **query)

        while True:
            page = patiently(read, query["Prefix"], self.attempts)
            yield from page.get(kind, [])
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below `prefix`."""
        below = prefix.rstrip("/") + "/" if prefix else ""
        found = self._listed("CommonPrefixes", Prefix=below, Delimiter="/")
        return sorted(item["Prefix"][len(below) : -1] for item in found)

    def walk(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Yield (key, entry) of every object whose key begins with `prefix`."""
        for item in self._listed("Contents", Prefix=prefix):
            yield item["Key"], Entry(item.get("Size", 0), item.get("ETag", "").strip('"'))

    def list(self, prefix: str) -> dict[str, Entry]:
        """Return what `walk` yields."""
        return dict(self.walk(prefix))

    def find(self, keys: Iterable[str]) -> Iterator[tuple[str, Entry]]:
        """Yield (key, entry) of those of `keys` that exist, and of what lies beside them.

        The folders that they lie in are listed: no request per file.
        """
        folders = sorted({check_key(key).rpartition("/")[0] + "/" for key in keys})
        if len(folders) > 50:  # one folder a well or a time point: one listing of what they share
            folders = [_shared_folder(folders)]
        for folder in folders:
            yield from self.walk("" if folder == "/" else folder)

    def open(self, key: str) -> BinaryIO:
        """Copy a table to a temporary file and open that for reading."""

        def copy() -> BinaryIO:
            handle = tempfile.TemporaryFile()
            for chunk in self.chunks(key):
                handle.write(chunk)
            handle.seek(0)
            return handle

        return patiently(copy, key, self.attempts)

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield an object's content piece by piece, by a plain GET: half the CPU of `client.get_object`."""
        from botocore.awsrequest import AWSRequest

        with self._explained(key):
            wanted = {"Bucket": self.bucket, "Key": check_key(key)}
            url = self.client.generate_presigned_url("get_object", Params=wanted)  # no network; unsigned where we are
            answer = self._http.send(AWSRequest(method="GET", url=url, stream_output=True).prepare())
            try:
                if answer.status_code != 200:
                    raise _client_error(answer)
                size = 0
                for chunk in answer.raw.stream(CHUNK_BYTES, decode_content=False):
                    size += len(chunk)
                    yield chunk
                expected = answer.headers.get("Content-Length")
                if expected and size != int(expected):
                    raise Interrupted(f"{self.describe(key)}: expected {expected} bytes, found {size}")
            finally:
                answer.raw.close()

    def read(self, key: str) -> bytes:
        """Return a small object's content."""
        return patiently(lambda: b"".join(self.chunks(key)), key, self.attempts)

    def _explained(self, key: str):
        return _Explained(self.describe(key))


def _client_error(answer):
    """Return what `client.get_object` would raise for an answer other than 200."""
    from botocore.exceptions import ClientError

    code = re.search(rb"<Code>(\w+)</Code>", answer.content or b"")
    region = answer.headers.get("x-amz-bucket-region", "")
    problem = {"Code": code[1].decode() if code else "", "Message": f"the bucket is in {region}" if region else ""}
    return ClientError({"Error": problem, "ResponseMetadata": {"HTTPStatusCode": answer.status_code}}, "GetObject")


def without_query(text: object) -> str:
    """Return a message without what follows the ? of its addresses: there a profile's signature stands."""
    return re.sub(r"\?[^\s\"'>)]*(X-Amz|AWSAccessKeyId|Signature)[^\s\"'>)]*", "", str(text))


class _Explained:
    """Turn botocore's exceptions into sentences; those that may pass into `Interrupted`."""

    def __init__(self, url: str):
        self.url = url

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status == 404:
                raise ValueError(
                    f"{self.url}: expected a file, found it not there (404, {code}); check source.url and the plate "
                    "table, then run the rule index again"
                ) from error
            if status in (301, 307):
                where = error.response["Error"].get("Message", "")
                raise ValueError(f"{self.url}: redirected ({status}, {where}); set source.region") from error
            if status in (401, 403):
                raise ValueError(
                    f"{self.url}: expected a file that may be read, found access refused ({status}, {code}); a private "
                    "bucket needs source.profile in the config; then run the same command again"
                ) from error
            if status < 500 and status != 429 and code not in ("SlowDown", "RequestTimeout", "Throttling"):
                raise ValueError(
                    f"{self.url}: refused ({status}, {without_query(error)}); check source.url and source.endpoint_url"
                ) from None
            raise Interrupted(f"{self.url}: expected a file, found the server failed ({status}, {code})") from error
        if isinstance(error, (BotoCoreError, HTTPError, ConnectionError, TimeoutError)):
            raise Interrupted(
                f"{self.url}: expected an answer, found {without_query(error)}; check the network, source.endpoint_url and "
                "source.profile, then run the same command again"
            ) from None  # the error itself holds the signed address


def _files_below(folder: str) -> Iterator[tuple[str, int]]:
    """Yield (path below it, size) of the files in a folder, without a list of them; links to folders are not followed.

    A folder that is not there, or may not be read, has none.
    """
    with contextlib.ExitStack() as opened:
        try:
            there = opened.enter_context(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        for entry in there:
            if entry.is_dir(follow_symlinks=False):
                yield from ((f"{entry.name}/{path}", size) for path, size in _files_below(entry.path))
            elif entry.is_file():
                yield entry.name, entry.stat().st_size


def _shared_folder(folders: Sequence[str]) -> str:
    first, last = min(folders).split("/"), max(folders).split("/")
    shared = 0
    while shared < len(first) and shared < len(last) and first[shared] == last[shared]:
        shared += 1
    return "/".join(first[:shared]) + "/"
