"""What molecules say of profiles without any image: the baselines that a model of unseen molecules has to beat.

A treatment's profile (a molecule, at a dose, in a cell line) is foretold from the others' by kernel ridge regression and by nearest
neighbours on its molecule, dose and cell line (`molecule_kernels`); beside them the mean of the training treatments, the ridge's
answer for another molecule of the same split (swapped), and DMSO. All profiles are centred by the mean of the training treatments,
or the effect common to all would win. Splits hold out scaffolds, doses, or combinations of molecule and cell line whose halves are
each trained on.

Several encoders of molecules are set side by side on the same treatments. With `--shuffles` the same is done, from the choice of
the penalty on, after the molecules of all treatments were dealt out at random: what doses, cell lines and chance give.

python -m brightpaint.scores.profiles.from_molecules --profiles real.parquet ... --split scaffold --scores scores.tsv
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.seeds import seed_of
from brightpaint.scores.profiles.molecule_kernels import MORGAN, likeness, neighbours, ridge
from brightpaint.scores.profiles.molecule_splits import SPLITS, TooFew, folds_of, groups_of, treatments_of
from brightpaint.study.annotations import DMSO

log = logging.getLogger(__name__)
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
NEIGHBOURS = (1, 3, 5, 10)
DRAWS = 1000  # of the bootstrap
MOST = 2000  # treatments: ridge regression takes their number to the third, a hundred times and more
METRICS = ("correlation", "rank")
BY_MOLECULE = ("ridge", "nearest neighbours")
COLUMNS = ["split", "encoder", "baseline", "metric", "value", "low", "high", "shuffled", "shuffled_bound", "encoder_gain",
           "encoder_gain_low", "encoder_gain_high", "ridge_gain", "ridge_gain_low", "ridge_gain_high", "treatments", "groups",
           "why"]  # fmt: skip
ALL = "all"  # every split that the treatments allow


def chosen(method: Callable, choices: Sequence, alike, wanted, train, groups, seed: int):
    """Return the choice with the least squared error over groups of `train` that were left out in turn."""
    inner = [fold for fold in folds_of(groups[train], 4, seed) if 0 < len(fold) < len(train)]
    errors = []
    for choice in choices:
        error = 0.0
        for fold in inner:
            left, kept = train[fold], np.delete(train, fold)
            centre = wanted[kept].mean(axis=0)
            error += ((method(alike, wanted - centre, kept, left, choice) - (wanted[left] - centre)) ** 2).sum()
        errors.append(error)
    return choices[int(np.argmin(errors))]


def foretell(
    keys: pd.DataFrame, profiles: np.ndarray, dmso: np.ndarray, split: str, *, folds: int = 5, seed: int = 0,
    encoder: Mapping = MORGAN, told: pd.DataFrame | None = None,
):  # fmt: skip
    """Yield, fold by fold, the tested rows, their centred profiles and what each baseline says of them.

    Parameters
    ----------
    encoder : of molecules, `encoder` and `vectors`
    told : treatments by which likeness goes, in the place of `keys`, by which they are split

    Returns
    -------
    rows (n,), truth (n, D), {baseline: (n, D)}, of `mean` zeros, since it is what all are centred by
    """
    groups, told = groups_of(keys, split), keys if told is None else told
    fixed = likeness(told, encoder) if encoder["encoder"] == MORGAN["encoder"] else None  # nothing in it is fitted
    for test in folds_of(groups, folds, seed):
        train = np.setdiff1d(np.arange(len(keys)), test)
        if split == "combination":  # either half must be trained on elsewhere
            known = [set(keys[name].iloc[train]) for name in ("molecule", "cell_line")]
            whole = [keys["molecule"].iloc[row] in known[0] and keys["cell_line"].iloc[row] in known[1] for row in test]
            test = test[np.array(whole, dtype=bool)]
        if len(test) < 2 or len(train) < 2:
            continue
        centre = profiles[train].mean(axis=0)
        alike = likeness(told, encoder, train) if fixed is None else fixed
        wanted = profiles - centre
        best = {method: chosen(method, choices, alike, profiles, train, groups, seed)
                for method, choices in ((ridge, PENALTIES), (neighbours, NEIGHBOURS))}  # fmt: skip
        said = {"ridge": ridge(alike, wanted, train, test, best[ridge]),
                "nearest neighbours": neighbours(alike, wanted, train, test, best[neighbours])}  # fmt: skip
        said["swapped molecules"] = said["ridge"][swapped(keys["molecule"].to_numpy(object)[test], seed)]
        said |= {"mean": np.zeros_like(said["ridge"]), "DMSO": np.tile(dmso - centre, (len(test), 1))}
        yield test, wanted[test], said


def swapped(molecules: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return for each row one of another molecule, (n,) int, where there is one: its place among them moved on by a half."""
    names = sorted(set(molecules), key=lambda name: seed_of(seed, "swap", name))
    other = {name: names[(place + max(1, len(names) // 2)) % len(names)] for place, name in enumerate(names)}
    return np.array([int(np.flatnonzero(molecules == other[name])[0]) for name in molecules])


def cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return cosines of rows (N, D) and (M, D): (N, M); 0 where one is all zeros."""
    norms = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)[None]
    return np.divide(one @ other.T, norms, out=np.zeros_like(norms), where=norms > 0)


def rows_of_scores(keys: pd.DataFrame, groups: np.ndarray, found) -> pd.DataFrame:
    """Return one row a tested treatment and baseline: `correlation` (cosine of centred profiles) and `rank` of the right treatment.

    rank : 1 where the right one of the fold's real profiles is the most alike, 0 where it is the least; ties count a half
    """
    rows = []
    for test, truth, said in found:
        for name, answers in said.items():
            alike = cosine(answers, truth)
            own = np.diag(alike)
            below, ties = (alike < own[:, None]).sum(axis=1), (alike == own[:, None]).sum(axis=1) - 1
            ranks = (below + ties / 2) / max(1, len(test) - 1)
            each = keys.iloc[test].assign(group=groups[test], baseline=name, correlation=own, rank=ranks)
            rows.append(each)
    if not rows:
        raise TooFew("no fold tests two treatments or more; give more treatments, or another split")
    return pd.concat(rows, ignore_index=True)


def summary(rows: pd.DataFrame, split: str, seed: int = 0) -> pd.DataFrame:
    """Return one row a baseline and metric: value, 95 % interval (bootstrap over groups), and the same of the ridge's advantage.

    Parameters
    ----------
    rows : of `rows_of_scores`; `encoder`, if there are several of molecules, makes them apart. `encoder_gain` is then what one
        has over the first on the same treatments, with its interval
    """
    rng = np.random.default_rng(seed)
    groups = sorted(set(rows["group"]))
    draws = [rng.choice(len(groups), len(groups)) for _ in range(DRAWS)]
    rows = rows if "encoder" in rows else rows.assign(encoder=MORGAN["encoder"])
    first, found = rows["encoder"].iloc[0], []
    for metric in METRICS:
        tables = {name: part.groupby("group")[metric].agg(["sum", "size"]).loc[groups].to_numpy(float)
                  for name, part in rows.groupby(["encoder", "baseline"], sort=False)}  # fmt: skip
        drawn = {name: np.array([table[draw].sum(axis=0) for draw in draws]) for name, table in tables.items()}
        means = {name: sums[:, 0] / sums[:, 1] for name, sums in drawn.items()}
        values = {name: table[:, 0].sum() / table[:, 1].sum() for name, table in tables.items()}
        for (encoder, baseline), value in values.items():
            own, others = (encoder, baseline), {"ridge_gain": ((encoder, "ridge"), 1)}
            others |= {"encoder_gain": ((first, baseline), -1)} if encoder != first else {}
            row = {"split": split, "encoder": encoder, "baseline": baseline, "metric": metric, "value": value,
                   "low": np.quantile(means[own], 0.025), "high": np.quantile(means[own], 0.975)}  # fmt: skip
            for name, (other, sign) in others.items():
                gains = sign * (means[other] - means[own])
                row |= {name: sign * (values[other] - value), f"{name}_low": np.quantile(gains, 0.025),
                        f"{name}_high": np.quantile(gains, 0.975)}  # fmt: skip
            found.append({**row, "treatments": int(tables[own][:, 1].sum()), "groups": len(groups)})
    return pd.DataFrame(found)


def name_of(encoder: Mapping) -> str:
    """Return an encoder's name in tables; of vectors of one's own with the file that they are from."""
    return f"{encoder['encoder']} {Path(encoder['vectors']).name}" if encoder.get("vectors") else encoder["encoder"]


def dealt_out(keys: pd.DataFrame, seed: int, draw: int) -> pd.DataFrame:
    """Return treatments among which the molecules were dealt out at random: each with all its doses."""
    names = sorted(set(keys["molecule"]))
    order = np.random.default_rng(seed_of(seed, "shuffled", draw)).permutation(len(names))
    return keys.assign(molecule=keys["molecule"].map({name: names[place] for name, place in zip(names, order)}))


def split_table(
    known: tuple[pd.DataFrame, np.ndarray, np.ndarray], split: str, encoders: Sequence[Mapping], *, folds: int, shuffles: int,
    seed: int,
) -> pd.DataFrame:  # fmt: skip
    """Return `summary` of encoders side by side, with `shuffled`, the mean of so many shuffles, and their 95 % quantile.

    Parameters
    ----------
    known : of `treatments_of`
    """
    keys, groups, parts, null = known[0], groups_of(known[0], split), [], {}
    for encoder in encoders:
        own, name = {"folds": folds, "seed": seed, "encoder": encoder}, name_of(encoder)
        parts.append(rows_of_scores(keys, groups, foretell(*known, split, **own)).assign(encoder=name))
        for draw in range(shuffles):
            rows = rows_of_scores(keys, groups, foretell(*known, split, **own, told=dealt_out(keys, seed, draw)))
            for baseline, part in rows[rows["baseline"].isin(BY_MOLECULE)].groupby("baseline"):
                for metric in METRICS:
                    null.setdefault((name, baseline, metric), []).append(part[metric].mean())
    found = summary(pd.concat(parts, ignore_index=True), split, seed)
    once = (found["encoder"] == name_of(encoders[0])) | ~found["baseline"].isin(["mean", DMSO])  # they know no molecule
    found = found[once].reset_index(drop=True)
    draws = [null.get(key, [np.nan]) for key in zip(found["encoder"], found["baseline"], found["metric"])]
    return found.assign(
        shuffled=[np.mean(each) for each in draws], shuffled_bound=[np.quantile(each, 0.95) for each in draws]
    )


def whole(profiles: pd.DataFrame) -> pd.DataFrame:
    """Return profiles without rows that no cell stands behind, and without features that are not finite in one of the others."""
    names = [name for name in profiles if not name.startswith("Metadata_")]
    finite = np.isfinite(profiles[names].to_numpy(np.float64))
    rows = finite.any(axis=1) & (profiles["Metadata_cells"] > 0 if "Metadata_cells" in profiles else True)
    lacking = [name for name, every in zip(names, finite[rows].all(axis=0)) if not every]
    log.info("%d profiles without cells, %d features that are not finite are left out", (~rows).sum(), len(lacking))
    return profiles[rows].drop(columns=lacking)


def drawn(known: tuple[pd.DataFrame, np.ndarray, np.ndarray], seed: int, most: int = MOST) -> tuple:
    """Return treatments of molecules drawn at random, of no more than `most`, with their profiles; all where there are no more."""
    keys, profiles, dmso = known
    if len(keys) <= most:
        return known
    names = sorted(set(keys["molecule"]), key=lambda name: seed_of(seed, "drawn", name))
    counts = keys["molecule"].value_counts()[names].cumsum()
    kept = keys["molecule"].isin(counts.index[counts <= most]).to_numpy()
    log.info("%d of %d treatments, of molecules drawn at random, are looked at", kept.sum(), len(keys))
    return keys[kept].reset_index(drop=True), profiles[kept], dmso


def tables_of(
    profiles: pd.DataFrame, splits: Sequence[str], encoders: Sequence[Mapping], *, every: bool, **chosen
) -> pd.DataFrame:
    """Return `split_table` of several splits; where `every` one is asked for, those that can't be made say `why` in a row."""
    parts = []
    for split in splits:
        try:
            parts.append(split_table(drawn(treatments_of(profiles), chosen["seed"]), split, encoders, **chosen))
        except TooFew as error:
            if not every:
                raise
            log.info("%s", error)
            parts.append(pd.DataFrame([{"split": split, "why": str(error)}]))
    found = pd.concat(parts, ignore_index=True)
    features = sum(not name.startswith("Metadata_") for name in profiles)
    return found.reindex(columns=COLUMNS).assign(features=features)


def main(argv: Sequence[str] | None = None) -> None:
    """Score what molecules say of real profiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--profiles", type=Path, nargs="+", required=True, help="tables of real profiles, with Metadata_smiles"
    )
    parser.add_argument(
        "--split", choices=[*SPLITS, ALL], default="scaffold", help="all: those that the treatments allow"
    )
    parser.add_argument(
        "--encoders", type=json.loads, default=[dict(MORGAN)], help="JSON list: encoder, vectors (a table)"
    )
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--shuffles", type=int, default=0, help="of the molecules, for the null")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--scores", type=Path, required=True, help="table to write, a row a split, encoder, baseline and metric"
    )
    args = parser.parse_args(argv)
    store.one_engine(args.profiles)
    profiles = whole(pd.concat([store.read_table(path) for path in args.profiles], ignore_index=True))
    splits, every = (SPLITS, True) if args.split == ALL else ([args.split], False)
    chosen = {"folds": args.folds, "shuffles": args.shuffles, "seed": args.seed}
    store.write_table(store.as_text(tables_of(profiles, splits, args.encoders, every=every, **chosen)), args.scores)


if __name__ == "__main__":
    run(main)
