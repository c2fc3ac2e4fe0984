"""Bring crops of one's own, a folder of TIFFs or stacks of them with a CSV, into the crop store.

    python -m brightpaint.features.own_crops /data/cells --table cells.csv --file '{phenotype}.tif' --index '{index}' \\
        --label '{phenotype}' --group '{plate}/{position}' --channels DNA --pixel-um 0.32 --crops crops/mitocheck.tif

A row of the CSV is a crop. What is said in braces is taken from the row: the file, the crop's place in it (from 0), its
label, its group (what is kept together when crops are split: a well, a movie), its plate and its mask. A file holds
greyscale pages, C x D of them a crop, channel by channel. Memory does not grow with the rows.

Where no file has masks, `--threshold otsu` finds them: what is brighter than the crop's threshold, and of that the
component in the middle (features.middle_objects).
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import cli
from brightpaint.base.intensity import CUTOFF, normalise, standardise
from brightpaint.features import crop_windows, middle_objects
from brightpaint.plates.platemaps import open_text_table

log = logging.getLogger(__name__)


@dataclass
class OwnCrops:
    """The crops that a CSV lists, read one by one, as often as they are asked for.

    Attributes
    ----------
    said : {what: text with names of the CSV's columns in braces} for file, index, label, group, mask and plate
    channels, planes : C names, and D
    threshold : by which objects are found where no file has masks; None for masks of 1
    threshold_channel : in which they are found; None for the first
    """

    folder: Path
    table: Path
    said: dict[str, str]
    channels: list[str]
    planes: int
    threshold: str | None = None
    threshold_channel: str | None = None

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield what is said of each crop: file, index, label, group, mask, plate."""
        with store.open_bytes(self.table, "--table") as handle:
            rows = open_text_table(handle, str(self.table), separator=",").records()
            for number, row in enumerate(rows, 2):
                try:
                    yield {what: text.format_map(row) for what, text in self.said.items()} | {"where": f"row {number}"}
                except (KeyError, ValueError, IndexError) as error:
                    raise ValueError(
                        f"{self.table}: there is no column {error}; found {', '.join(row)}; say in braces which to take: "
                        "--file, --index, --label, --group, --mask, --plate"
                    ) from None

    def each(self) -> Iterator[tuple[dict[str, str], np.ndarray, np.ndarray | None]]:
        """Yield (row, image (C, D, H, W), label image (1 or D, H, W) or None) of each crop."""
        opened: dict[str, store.Pages] = {}
        try:
            for row in self.rows():
                for what in ("file", "mask"):
                    if row[what] and (what not in opened or opened[what].path != self.folder / row[what]):
                        if what in opened:
                            opened.pop(what).close()
                        opened[what] = store.Pages(self.folder / row[what])
                image = self._read(row, opened["file"], len(self.channels) * self.planes, image=True)
                image = image.reshape(len(self.channels), self.planes, *image.shape[1:])
                mask = self._read(row, opened["mask"], self._depth(opened["mask"])) if row["mask"] else None
                yield row, image, self._found(image) if mask is None and self.threshold else mask
        finally:
            for pages in opened.values():
                pages.close()

    def _found(self, image: np.ndarray) -> np.ndarray:
        """Return the objects of a crop (C, D, H, W) that has no mask, (D, H, W), the one in the middle alone or as well."""
        channel = self.channels.index(self.threshold_channel) if self.threshold_channel else 0
        return middle_objects.bright_objects(image[channel], self.threshold)

    def _read(self, row: dict[str, str], pages: store.Pages, count: int, image: bool = False) -> np.ndarray:
        """Return the pages of one crop, (count, H, W): of its `image`, or of its mask."""
        try:
            index = int(row["index"])
        except ValueError:
            raise ValueError(
                f"{self.table}: {row['where']}: expected a whole number as index, found {row['index']!r}"
            ) from None
        if not 0 <= index < len(pages) // count:
            raise ValueError(
                f"{self.table}: {row['where']}: there is no crop {index} in {pages.path}, whose {len(pages)} pages are "
                f"{len(pages) // count} crops of {count}; correct --index, --channels or --planes"
            )
        planes = []
        for number in range(count):
            try:
                planes.append(pages.read(index * count + number))
            except ValueError as error:
                channel = f", channel {self.channels[number // self.planes]}" if image else ", mask"
                raise ValueError(f"{self.table}: {row['where']}{channel}: {error}") from error
        return np.stack(planes)

    def _depth(self, pages: store.Pages) -> int:
        """Return how many pages a crop's mask has: as many as planes where the file holds so many, else one."""
        return self.planes if len(pages) % self.planes == 0 and len(pages) >= self.planes else 1


SAID = ("file", "index", "label", "group", "mask", "plate")


def of_entry(entry: dict) -> OwnCrops:
    """Return the crops that an entry of the config's `own_crops` names."""
    said = {what: entry[what] for what in SAID}
    masks = {key: entry[key] for key in ("threshold", "threshold_channel")}
    return OwnCrops(Path(entry["folder"]), Path(entry["table"]), said, entry["channels"], entry["planes"], **masks)


def own_masks(labels: np.ndarray | None, shape: tuple[int, ...], nearest: bool = False) -> np.ndarray:
    """Return (2, D, H, W) uint8: the object in the middle of a crop, and all; 1 everywhere where no mask is given.

    `nearest` takes the object nearest to the middle where none lies there.
    """
    if labels is None:
        return np.ones((2, *shape), np.uint8)
    middle = labels[middle_objects.middle_of(labels.shape)]
    if nearest and not middle:
        middle = middle_objects.nearest_object(labels)
    return np.broadcast_to(np.stack([(labels == middle) & (labels > 0), labels > 0]), (2, *shape)).astype(np.uint8)


def about_the_middle(image: np.ndarray, side: int) -> np.ndarray:
    """Return the middle `side` by `side` pixels of an image, (..., D, H, W); what lies outside is 0."""
    depth, height, width = image.shape[-3:]
    start = np.array([0, (height - side + 1) // 2, (width - side + 1) // 2])
    return crop_windows.cut(image, start, (depth, side, side))


def survey(own: OwnCrops, size_px: int | None, totals: dict) -> Iterator[dict]:
    """Yield the rows of the table of crops, and gather their pixels' moments and size in `totals`."""
    totals |= {"count": 0, "sums": np.zeros((3, len(own.channels))), "shape": None}
    for row, image, _ in own.each():
        shape = (own.planes, size_px, size_px) if size_px else image.shape[1:]
        if shape != (totals["shape"] or shape):
            raise ValueError(
                f"{own.table}: {row['where']}: {row['file']} has crops of {shape[1:]} px, those before {totals['shape'][1:]}; "
                "give --size-px, to which all are cut"
            )
        totals["shape"], totals["count"] = shape, totals["count"] + 1
        pixels = image.reshape(len(own.channels), -1).astype(np.float64)
        counts = np.full(len(pixels), pixels.shape[1])
        totals["sums"] += np.stack([counts, pixels.sum(axis=1), np.square(pixels).sum(axis=1)])
        plate = row["plate"] or own.table.stem
        keys = {"Metadata_Plate": plate, "Metadata_Well": row["group"], "Metadata_Site": 1, "Metadata_Tile": 1}
        places = {"y_px": (image.shape[2] - 1) / 2, "x_px": (image.shape[3] - 1) / 2, "border": 0}
        yield {**keys, **store.ROW_DEFAULTS, "Metadata_label": row["label"], "ObjectNumber": totals["count"], **places,
               "group": row["group"]}  # fmt: skip


def scaled(image: np.ndarray, how: str, sums: np.ndarray) -> np.ndarray:
    """Return a crop's z-scores, (C, D, H, W): by the mean and s.d. of `all` crops of a channel, or of the `crop` itself."""
    if how == "crop":
        return standardise(image.reshape(len(image), -1, image.shape[-1])).reshape(image.shape)
    count, means = sums[0], sums[1] / sums[0]
    deviations = np.sqrt(np.maximum(sums[2] / count - means**2, 0))
    return np.stack([normalise(one, mean, sd, cutoff=CUTOFF) for one, mean, sd in zip(image, means, deviations)])


def bring_in(own: OwnCrops, path: Path, *, how: str, size_px: int | None, pixel_um: float | None) -> None:
    """Write the store: the table in a first pass over the crops, images and masks in a second."""
    totals: dict = {}
    if next(own.rows(), None) is None:
        raise ValueError(f"{own.table}: it has no rows under its header; expected one a crop")
    store.write_rows(survey(own, size_px, totals), path.with_suffix(".parquet"))
    pixels = totals["sums"].tolist()  # tells whether a file has changed since a run that was killed
    masked = [own.threshold, own.threshold_channel] if own.threshold else []
    key = store.digest(own.said, own.channels, own.planes, how, size_px, store.file_digest(own.table), pixels, *masked)
    meta = {"pixel_um": pixel_um, "masks": bool(own.said["mask"] or own.threshold)}
    with store.CropWriter(path, totals["count"], own.channels, totals["shape"], key=key, meta=meta) as writer:
        for number, (_, image, labels) in enumerate(tqdm(own.each(), total=totals["count"], disable=None, unit="crop")):
            if writer.done[number]:
                continue
            masks = own_masks(labels, image.shape[1:], nearest=bool(own.threshold))
            image = scaled(image.astype(np.float32), how, totals["sums"])
            side = totals["shape"][1] if size_px else None
            writer.write(number, *((about_the_middle(one, side) if side else one) for one in (image, masks)))
    log.info("%d crops of %d x %d x %d", totals["count"], *totals["shape"])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the TIFFs")
    parser.add_argument("--table", type=Path, required=True, help="CSV, one row a crop")
    parser.add_argument("--file", default="{file}", help="of a crop, relative to the folder")
    parser.add_argument(
        "--index", default="{index}", help="of a crop in its file, from 0; 0 where each has its own file"
    )
    parser.add_argument("--label", default="{label}", help="what the cell is, Metadata_label")
    parser.add_argument("--group", default="{group}", help="what is kept together when crops are split")
    parser.add_argument(
        "--mask", default="", help="file of label images, in the crops' order; the middle object is the cell"
    )
    parser.add_argument("--plate", default="", help="plate of a crop; empty, the CSV's name stands for it")
    parser.add_argument("--threshold", choices=list(middle_objects.THRESHOLDS), help="find masks where none are given")
    parser.add_argument("--threshold-channel", help="channel in which they are found; else the first")
    parser.add_argument("--channels", required=True, help="names of the channels of a crop: DNA,RNA")
    parser.add_argument("--planes", type=int, default=1, help="of each channel")
    parser.add_argument(
        "--normalise", choices=["all", "crop"], default="all", help="mean and s.d. of all crops, or of each"
    )
    parser.add_argument("--size-px", type=int, help="height and width, cut about the middle; else the crops' own")
    parser.add_argument("--pixel-um", type=float, help="size of a pixel")
    parser.add_argument("--crops", type=Path, required=True, help="TIFF to write; masks and table go beside it")
    args = parser.parse_args(argv)
    said = {what: getattr(args, what) for what in SAID}
    channels = args.channels.split(",")
    sizes = [size for size in (args.planes, args.size_px) if size is not None]
    if not all(channels) or len(set(channels)) < len(channels) or min(sizes) < 1:
        raise ValueError(
            f"--channels {args.channels}, --planes {args.planes}, --size-px {args.size_px}: expected distinct names, and 1 "
            "or more"
        )
    if args.threshold_channel and args.threshold_channel not in channels:
        raise ValueError(f"--threshold-channel {args.threshold_channel}: expected one of {args.channels}")
    if args.threshold and args.mask:
        raise ValueError(
            f"--mask {args.mask} and --threshold {args.threshold}: both say what the cell is; leave one out"
        )
    own = OwnCrops(args.folder, args.table, said, channels, args.planes, args.threshold, args.threshold_channel)
    bring_in(own, args.crops, how=args.normalise, size_px=args.size_px, pixel_um=args.pixel_um)


if __name__ == "__main__":
    cli.run(main)
