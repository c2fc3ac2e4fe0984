"""Files in an S3 bucket: listed page by page, read by plain GETs, with botocore's errors turned into sentences."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO
from urllib.parse import urlparse

from brightpaint.plates.keys import CHUNK_BYTES, Entry, check_key
from brightpaint.plates.patience import Interrupted, patiently

TIMEOUT_S = (20, 60)  # to connect, and between two pieces of an answer


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


def _shared_folder(folders: Sequence[str]) -> str:
    first, last = min(folders).split("/"), max(folders).split("/")
    shared = 0
    while shared < len(first) and shared < len(last) and first[shared] == last[shared]:
        shared += 1
    return "/".join(first[:shared]) + "/"
