"""The image files that a plate's tables name, in a temporary database on disk: memory does not grow with the plate."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from brightpaint import store
from brightpaint.plates.keys import Entry

FILES = """
CREATE TABLE files (number INTEGER PRIMARY KEY, well TEXT, site INTEGER, channel INTEGER, key TEXT);
CREATE INDEX by_field ON files (well, site, channel);
CREATE INDEX by_key ON files (key);
CREATE TABLE found (key TEXT PRIMARY KEY, size INTEGER, etag TEXT) WITHOUT ROWID;
"""
NAMES = "CREATE TABLE names (name BLOB, key BLOB, PRIMARY KEY (name, key)) WITHOUT ROWID;"


class Files:
    """Well, site, channel and key ("" where none is named) of each image, and what a source says about its file.

    Parameters
    ----------
    channels : in the order of the index
    """

    def __init__(self, channels: Sequence[str]):
        self.channels = list(channels)
        self._database = store.scratch_database(FILES)

    def add(self, files: Iterable[tuple[str, int, str, str]]) -> None:
        """Add (well, site, channel, key) of images, in the order in which a table names them."""
        number = {channel: n for n, channel in enumerate(self.channels)}
        rows = ((well, site, number[channel], key) for well, site, channel, key in files)
        with self._database:
            self._database.executemany("INSERT INTO files (well, site, channel, key) VALUES (?, ?, ?, ?)", rows)

    def note(self, entries: Iterable[tuple[str, Entry]]) -> None:
        """Note (key, entry) of the files that are there; those that no image names are passed over."""
        rows = ((key, entry.size, entry.etag, key) for key, entry in entries)
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO found SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM files WHERE key = ?)", rows
            )

    def _rows(self, query: str, *values) -> Iterator[tuple]:
        return self._database.execute(query, values)

    def __len__(self) -> int:
        return next(self._rows("SELECT count(*) FROM files"))[0]

    def wells(self) -> set[str]:
        return {well for (well,) in self._rows("SELECT DISTINCT well FROM files")}

    def sites(self) -> list[int]:
        return [site for (site,) in self._rows("SELECT DISTINCT site FROM files ORDER BY site")]

    def fields(self) -> list[tuple[str, int]]:
        """Return (well, site) of every field, sorted."""
        return list(self._rows("SELECT DISTINCT well, site FROM files ORDER BY well, site"))

    def keys(self) -> Iterator[str]:
        """Yield each key that is named, sorted."""
        for (key,) in self._rows("SELECT DISTINCT key FROM files WHERE key <> '' ORDER BY key"):
            yield key

    def of_field(self, well: str, site: int) -> dict[str, tuple[str, int | None]]:
        """Return {channel: (key, size in bytes, None where the file is not there)} of one field."""
        query = "SELECT channel, key, size FROM files LEFT JOIN found USING (key) WHERE well = ? AND site = ?"
        return {self.channels[channel]: (key, size) for channel, key, size in self._rows(query, well, site)}

    def _images(self, query: str, *values) -> list[dict]:
        """Return the images that a query finds, named as messages name them."""
        names = ["Metadata_Well", "Metadata_Site", "Channel", "key"]
        found = [dict(zip(names, row)) for row in self._rows(f"SELECT well, site, channel, key {query}", *values)]
        return [{**row, "Channel": self.channels[row["Channel"]]} for row in found]

    def of_well(self, well: str) -> dict:
        """Return the first image of a well."""
        return self._images("FROM files WHERE well = ? ORDER BY number LIMIT 1", well)[0]

    def listed_twice(self) -> dict | None:
        """Return the first image whose well, site and channel occurred before, if there is one."""
        twice = self._images(
            "FROM files AS this WHERE EXISTS (SELECT 1 FROM files WHERE well = this.well AND site = this.site "
            "AND channel = this.channel AND number < this.number) ORDER BY number LIMIT 1"
        )
        return twice[0] if twice else None

    def named_twice(self) -> list[dict]:
        """Return the first two images that have one key, if there are any."""
        key = (
            "SELECT key FROM files AS this WHERE key <> '' AND EXISTS "
            "(SELECT 1 FROM files WHERE key = this.key AND number > this.number) ORDER BY number LIMIT 1"
        )
        return self._images(f"FROM files WHERE key = ({key}) ORDER BY number LIMIT 2")

    def drop_wells(self, wells: Iterable[str]) -> None:
        with self._database:
            self._database.executemany("DELETE FROM files WHERE well = ?", ((well,) for well in wells))

    def drop_sites(self, sites: Iterable[int]) -> None:
        with self._database:
            self._database.executemany("DELETE FROM files WHERE site = ?", ((site,) for site in sites))

    def drop_fields(self, fields: Iterable[tuple[str, int]]) -> None:
        with self._database:
            self._database.executemany("DELETE FROM files WHERE well = ? AND site = ?", fields)

    def total_bytes(self) -> int:
        """Return the size of all files that are there."""
        return next(self._rows("SELECT coalesce(sum(size), 0) FROM files JOIN found USING (key)"))[0]

    def __iter__(self) -> Iterator[tuple[str, int, str, str, int, str]]:
        """Yield (well, site, channel, key, size, etag) of the files that are there, by well, site and channel."""
        query = (
            "SELECT well, site, channel, key, size, etag FROM files INDEXED BY by_field "
            "CROSS JOIN found USING (key) ORDER BY well, site, channel"  # found is looked up row by row: no sorting
        )
        for well, site, channel, *rest in self._rows(query):
            yield well, site, self.channels[channel], *rest


class Names:
    """The keys of a listing by the name of the file."""

    def __init__(self, keys: Iterable[str]):
        self._database = store.scratch_database(NAMES)
        rows = ((os.fsencode(key.rpartition("/")[2]), os.fsencode(key)) for key in keys)
        with self._database:
            self._database.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", rows)

    def of(self, name: str) -> list[str]:
        """Return the keys, sorted, of the files that bear this name."""
        found = self._database.execute("SELECT key FROM names WHERE name = ? ORDER BY key", (os.fsencode(name),))
        return [os.fsdecode(key) for (key,) in found]
