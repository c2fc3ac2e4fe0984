"""Set images of treatments painted from conditions alone beside real ones: the sliced Wasserstein distance of their patches.

All treatments of a split together, level by level of a pyramid (`scores.generation.patches`), of the model and of real images in
their place: of training treatments drawn at random, of DMSO and of the treatment itself, all of training plates, and of the model's
images of another molecule. The same real images of the test plate are what all are held to.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.scores.generation import foretold, gains, patches
from brightpaint.scores.generation.foretold import MODEL
from brightpaint.scores.generation.gains import COLUMNS, POOLED_DRAWS, SEEN
from brightpaint.scores.generation.tested_plate import populations_of, treatments_tested
from brightpaint.scores.generation.treatment_effects import KEYS, Fields, fields_of
from brightpaint.scores.rows import one_of

log = logging.getLogger(__name__)
PATCHES, MOST_PATCHES = 32, 60_000  # of an image and level; of all images that are compared
PLACE = "place"


@dataclass
class Images:
    """Images of several stacks, each under one number."""

    channels: Sequence[str]
    rows: list = field(default_factory=list)

    def add(self, stack: store.Stack, table: pd.DataFrame, where: Path) -> pd.DataFrame:
        """Take in a stack whose row n is row n of a table; return the table with the number of each image as `place`."""
        if len(stack) != len(table):
            raise ValueError(f"{where}: {len(stack)} fields where its table has {len(table)}; delete both and rerun")
        which, first = stack.channel_indices(self.channels), len(self.rows)
        self.rows += [(stack, which, row, self._name(table.iloc[row])) for row in range(len(table))]
        return table.assign(**{PLACE: np.arange(first, first + len(table), dtype=np.float64)})

    @property
    def side_px(self) -> int:
        """How wide the finest level is: all stacks of a study are of one size."""
        return patches.reduced_px(*self.rows[0][0].images.shape[-2:])

    def _name(self, row: pd.Series) -> tuple:
        draw = row.get("Metadata_draw", "real")
        return (*(row[key] for key in store.FIELD_KEYS), draw)

    def patches(self, place: int, count: int) -> list[np.ndarray]:
        """Return `count` patches of each level of an image, drawn by its name."""
        stack, which, row, name = self.rows[place]
        image = patches.reduced(np.asarray(stack.images[row])[None, which])[0]
        rng = resampling.seeded("patches", *name)
        return [patches.patches_of(level, count, rng) for level in patches.pyramid(image)]


def measured(
    images: Images, tested: pd.DataFrame, real: Sequence[np.ndarray], shown: dict[str, list[np.ndarray]], where: str
) -> pd.DataFrame:
    """Return the distances of T treatments' images from the real ones, with intervals and gains: rows of `gains.COLUMNS`.

    Parameters
    ----------
    images : that the numbers in `real` and `shown` name
    tested : T treatments with `split` and `group`
    real, shown : T sets of images (n, 1), and {baseline: T sets}, empty where there are none
    """
    places = sorted({int(place) for sets in (real, *shown.values()) for each in sets for place in each.ravel()})
    count = max(1, min(PATCHES, MOST_PATCHES // max(1, len(places))))
    drawn = {place: images.patches(place, count) for place in places}
    rows, levels = [], len(drawn[places[0]])
    for level in range(levels):
        sides = {name: _side(drawn, sets, level) for name, sets in shown.items()}
        truth = _side(drawn, real, level)
        along = patches.directions_of(truth[0].shape[1], resampling.seeded(where, "directions", level))
        for split in sorted(set(tested["split"]), key=lambda name: (name != SEEN, name)):
            own = np.flatnonzero(tested["split"] == split)
            rows += _rows(
                f"patch_distance_{images.side_px // 2**level}px", split, own, tested, real, shown, (truth, sides), along
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _side(drawn: dict, sets: Sequence[np.ndarray], level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the scaled patches of a level of all sets, (n, L) float32, and the treatment of each, (n,) int."""
    found = [(drawn[int(place)][level], row) for row, each in enumerate(sets) for place in each.ravel()]
    if not found:
        return np.empty((0, 0), np.float32), np.empty(0, int)
    owners = np.concatenate([np.full(len(part), row) for part, row in found])
    return patches.scaled(np.concatenate([part for part, _ in found])).astype(np.float32), owners


def _rows(metric, split, own, tested, real, shown, sides, along) -> Iterator[dict]:
    """Yield one row a baseline of a split and level."""
    truth, others = sides
    _, codes = np.unique(tested["group"].to_numpy(str)[own], return_inverse=True)
    draws = resampling.resample_counts(codes.max() + 1, resampling.seeded("generation", split))[:POOLED_DRAWS, codes]
    weights = np.zeros((1 + len(draws), len(tested)))
    weights[0, own], weights[1:, own] = 1.0, draws
    there = {
        name: np.array([len(one) > 0 and len(two) > 0 for one, two in zip(sets, real)]) for name, sets in shown.items()
    }

    @functools.cache
    def distances(name: str, rows: tuple[int, ...]) -> np.ndarray:
        """Return the distance once and in each draw, of these treatments: (1 + B,); NaN where none is drawn."""
        part = np.zeros_like(weights)
        part[:, rows] = weights[:, rows]
        if not part[0].any():
            return np.full(len(part), np.nan)
        kept = [np.isin(owners, rows) for _, owners in (truth, others[name])]
        values, owners = zip(*((side[0][own] @ along, side[1][own]) for side, own in zip((truth, others[name]), kept)))
        return np.where(part.any(axis=1), patches.sliced(values, owners, part), np.nan)

    for name in shown:
        alone, both = (tuple(own[part[own]].tolist()) for part in (there[name], there[name] & there[MODEL]))
        groups = len(set(codes[there[name][own]]))
        row = {
            "split": split,
            "baseline": name,
            "metric": metric,
            "treatments": int(there[name][own].sum()),
            "groups": groups,
        }
        value = distances(name, alone)
        row |= gains.interval("", value[:1], value[1:], groups)
        if name != MODEL:
            gain = distances(name, both) - distances(MODEL, both)
            row |= gains.interval("gain", gain[:1], gain[1:], len(set(codes[np.isin(own, both)])))
        yield row


def score(args: argparse.Namespace) -> pd.DataFrame:
    """Read what a command line names, and score it."""
    settings, where = args.settings, f"arm {args.arm}"
    images, found = Images(settings["channels"]), []
    trained = dict.fromkeys(name for plates in settings["training"].values() for name in plates)
    real = {}
    for plate in dict.fromkeys([*args.plates, *trained]):
        path, table = (
            one_of(plate, "real", args.real, "images"),
            store.read_fields(one_of(plate, "real", args.fields, "fields")),
        )
        real[plate] = fields_of(images.add(store.open_stack(path).select(table), table, path), [PLACE])
    for place, plate in enumerate(args.plates):
        path = one_of(plate, args.arm, args.painted, "images")
        rows = store.read_fields(one_of(plate, args.arm, args.rows, "painted fields"))
        held_out = store.read_table(args.held_out[place])
        painted = fields_of(images.add(store.open_stack(path), rows, path), [PLACE])
        tested = treatments_tested(rows, held_out, plate, settings["by"][plate])
        training = {name: real[name] for name in settings["training"][plate]}
        found.append(
            _of_plate(
                tested, painted, real[plate], training, held_out, settings["molecules"], f"{where}, plate {plate}"
            )
        )
    tested = pd.concat([part[0] for part in found], ignore_index=True)
    sets = {name: [one for part in found for one in part[2][name]] for name in found[0][2]}
    return measured(images, tested, [one for part in found for one in part[1]], sets, where)


def _of_plate(
    tested: pd.DataFrame,
    painted: Fields,
    real: Fields,
    training: dict[str, Fields],
    held_out: pd.DataFrame,
    molecules: bool,
    where: str,
) -> tuple[pd.DataFrame, list[np.ndarray], dict[str, list[np.ndarray]]]:
    """Return the treatments of a plate with real fields, and the numbers of their images, real and in their place."""
    keys = [tuple(row) for row in tested[KEYS].to_numpy()]
    there = np.array([len(real.of(key)) > 0 for key in keys], dtype=bool)
    if not there.any():
        raise ValueError(f"{where}: no treatment that was painted has real fields; look at the plate's field table")
    tested = tested[there].reset_index(drop=True)
    spelled = foretold.molecules_of(tested) if molecules else None
    other = foretold.swapped_with(tested, foretold.names_of(tested, spelled))
    return tested, *populations_of(tested, painted, real, training, held_out, other, None)


def main(argv: Sequence[str] | None = None) -> None:
    """Set images of treatments painted from conditions alone beside real ones."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    keys = "training {plate: its training plates}, by {plate: how its fold holds out}, molecules (whether they are read), channels"
    parser.add_argument("--settings", type=json.loads, required=True, help=f"JSON: {keys}")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--plates", nargs="+", required=True, help="test plates")
    parser.add_argument("--painted", type=Path, nargs="+", required=True, help="the arm's stacks, one a plate")
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="tables of their rows")
    parser.add_argument(
        "--real", type=Path, nargs="+", required=True, help="real stacks of these and their training plates"
    )
    parser.add_argument("--fields", type=Path, nargs="+", required=True, help="tables of their fields")
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="what each plate's fold holds out")
    parser.add_argument("--table", type=Path, required=True, help="to write: a row a split, baseline and level")
    args = parser.parse_args(argv)
    found = score(args)
    store.write_table(store.as_text(found), args.table)
    log.info("%d rows of %d plates", len(found), len(args.plates))


if __name__ == "__main__":
    run(main)
