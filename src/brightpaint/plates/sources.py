"""Open where files lie: an S3 bucket (`S3Source`), or a mirror of it or the user's own folder (`FolderSource`)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

from brightpaint.plates.folder import FolderSource
from brightpaint.plates.s3 import S3Source


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
