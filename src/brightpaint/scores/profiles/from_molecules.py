"""What molecules say of profiles without any image: the baselines that a model of unseen molecules has to beat.

A treatment's profile (a molecule, at a dose, in a cell line) is foretold from the others' by kernel ridge regression and by nearest
neighbours on its Morgan fingerprint, dose and cell line; beside them the mean of the training treatments, the ridge's answer for
another molecule of the same split (swapped), and DMSO. All profiles are centred by the mean of the training treatments, or the
effect common to all would win. Splits hold out scaffolds, doses, or combinations of molecule and cell line whose halves are each
trained on.

python -m brightpaint.scores.profiles.from_molecules --profiles real.parquet ... --split scaffold --scores scores.tsv
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.seeds import seed_of
from brightpaint.models.conditions.molecule_vectors import canonical_of, fingerprint
from brightpaint.models.conditions.scaffolds import scaffold
from brightpaint.study.annotations import DMSO

log = logging.getLogger(__name__)
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
NEIGHBOURS = (1, 3, 5, 10)
KEYS = ["molecule", "dose", "cell_line"]
SPLITS = ("scaffold", "dose", "combination")
DRAWS = 1000  # of the bootstrap


def treatments_of(profiles: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return treatments of known molecules, their mean profiles over plates, and the mean profile of DMSO.

    Parameters
    ----------
    profiles : one row a plate and treatment: Metadata_Plate, Metadata_smiles, Metadata_perturbation, features

    Returns
    -------
    keys : T rows: molecule (canonical SMILES), dose (log10 of micromolar, NaN where none is known), cell_line
    (T, D) and (D,) float64

    Raises
    ------
    ValueError
        naming plate and well, or what is missing
    """
    names = [name for name in profiles if not name.startswith("Metadata_")]
    features = profiles[names].to_numpy(np.float64)
    if not np.isfinite(features).all():
        bad = [name for name, column in zip(names, features.T) if not np.isfinite(column).all()]
        raise ValueError(f"profiles: {bad[0]} is not finite ({len(bad)} features); give profiles after selection")
    placed = profiles if "Metadata_Well" in profiles else profiles.assign(Metadata_Well="(mean)")
    molecules = canonical_of(placed)
    if not (vehicle := molecules == DMSO).any():
        raise ValueError(
            f"profiles: no {DMSO} among them; it is one of the baselines, so give the table of all treatments"
        )
    blank = pd.Series("", index=profiles.index)
    doses = profiles["Metadata_dose"] if "Metadata_dose" in profiles else pd.Series(np.nan, index=profiles.index)
    keys = pd.DataFrame(
        {"molecule": molecules, "dose": np.log10(doses.where(doses > 0).astype(float)).round(3),
         "cell_line": profiles.get("Metadata_cell_line", blank).fillna("").to_numpy()}
    )  # fmt: skip
    kept = ~vehicle & (molecules != "")
    if keys[kept].drop_duplicates().shape[0] < 4:
        raise ValueError(
            f"profiles: {keys[kept].drop_duplicates().shape[0]} treatments of known molecules; expected 4 or more"
        )
    own = keys[kept].reset_index(drop=True)
    means = pd.DataFrame(features[kept]).groupby([own[name] for name in KEYS], dropna=False, sort=True).mean()
    return means.index.to_frame(index=False, name=KEYS), means.to_numpy(), features[vehicle].mean(axis=0)


def groups_of(keys: pd.DataFrame, split: str) -> np.ndarray:
    """Return what is held out together, (T,) object: a scaffold, a dose, or a molecule in a cell line.

    Raises
    ------
    ValueError
        where the treatments have no two of it
    """
    if split == "scaffold":
        known = {name: scaffold(name) for name in keys["molecule"].unique()}
        groups = keys["molecule"].map(known).to_numpy(object)
    elif split == "dose":
        groups = keys["dose"].map(lambda dose: "" if np.isnan(dose) else f"{10**dose:.3g}").to_numpy(object)
    elif split == "combination":
        groups = (keys["molecule"] + " in " + keys["cell_line"]).to_numpy(object)
    else:
        raise ValueError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    needed = keys["cell_line"].nunique() if split == "combination" else len(set(groups) - {""})
    if needed < 2:
        word = "cell lines" if split == "combination" else f"{split}s"
        raise ValueError(
            f"split {split}: the treatments have {needed} {word}, expected two or more; choose another split"
        )
    return groups


def folds_of(groups: np.ndarray, folds: int, seed: int = 0) -> list[np.ndarray]:
    """Return the rows that each fold tests: whole groups, the largest first to the smallest fold; "" is never tested."""
    names, counts = np.unique(groups[groups != ""].astype(str), return_counts=True)
    order = sorted(zip(-counts, [seed_of(seed, name) for name in names], names))
    sizes, places = np.zeros(min(folds, len(names)), int), {}
    for count, _, name in order:
        places[name] = int(np.argmin(sizes))
        sizes[places[name]] -= count
    return [np.flatnonzero([places.get(name) == fold for name in groups]) for fold in range(len(sizes))]


def tanimoto(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the Tanimoto similarity of bit vectors (N, B) and (M, B): (N, M), 1 of two without a bit."""
    both = one @ other.T
    union = one.sum(axis=1)[:, None] + other.sum(axis=1)[None] - both
    return np.divide(both, union, out=np.ones_like(both), where=union > 0)


def likeness(keys: pd.DataFrame) -> np.ndarray:
    """Return how alike treatments are, (T, T), in [0, 1]: Tanimoto of their molecules, by dose and cell line.

    A Gaussian of a tenfold dose, and one half for another cell line: a positive definite kernel, so that ridge regression in it is
    that on all products of bits, dose and line.
    """
    names = list(keys["molecule"].unique())
    prints = np.array([fingerprint(name) for name in names], dtype=np.float64)
    place = keys["molecule"].map({name: number for number, name in enumerate(names)}).to_numpy()
    doses = np.nan_to_num(keys["dose"].to_numpy(np.float64), nan=0.0)
    lines = keys["cell_line"].to_numpy(object)
    by_dose = np.exp(-0.5 * (doses[:, None] - doses[None]) ** 2)
    by_line = np.where(lines[:, None] == lines[None], 1.0, 0.5)
    return tanimoto(prints, prints)[np.ix_(place, place)] * by_dose * by_line


def ridge(alike: np.ndarray, wanted: np.ndarray, train: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
    """Return kernel ridge regression's answer for `test`, (n, D), from centred profiles `wanted` (T, D) of `train`."""
    gram = alike[np.ix_(train, train)] + penalty * np.eye(len(train))
    return alike[np.ix_(test, train)] @ np.linalg.solve(gram, wanted[train])


def neighbours(alike: np.ndarray, wanted: np.ndarray, train: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
    """Return the mean of the `count` most alike training profiles, weighted by their likeness: (n, D)."""
    answers = []
    for row in test:
        nearest = train[np.argsort(-alike[row, train], kind="stable")[:count]]
        weights = np.maximum(alike[row, nearest], 1e-9)
        answers.append(weights @ wanted[nearest] / weights.sum())
    return np.array(answers).reshape(len(test), wanted.shape[1])


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


def foretell(keys: pd.DataFrame, profiles: np.ndarray, dmso: np.ndarray, split: str, *, folds: int = 5, seed: int = 0):
    """Yield, fold by fold, the tested rows, their centred profiles and what each baseline says of them.

    Returns
    -------
    rows (n,), truth (n, D), {baseline: (n, D)}, of `mean` zeros, since it is what all are centred by
    """
    groups, alike = groups_of(keys, split), likeness(keys)
    for test in folds_of(groups, folds, seed):
        train = np.setdiff1d(np.arange(len(keys)), test)
        if split == "combination":  # either half must be trained on elsewhere
            known = [set(keys[name].iloc[train]) for name in ("molecule", "cell_line")]
            whole = [keys["molecule"].iloc[row] in known[0] and keys["cell_line"].iloc[row] in known[1] for row in test]
            test = test[np.array(whole, dtype=bool)]
        if len(test) < 2 or len(train) < 2:
            continue
        centre = profiles[train].mean(axis=0)
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
        raise ValueError("no fold tests two treatments or more; give more treatments, or another split")
    return pd.concat(rows, ignore_index=True)


def summary(rows: pd.DataFrame, split: str, seed: int = 0) -> pd.DataFrame:
    """Return one row a baseline and metric: value, 95 % interval (bootstrap over groups), and the same of the ridge's advantage."""
    rng = np.random.default_rng(seed)
    groups = sorted(set(rows["group"]))
    draws = [rng.choice(len(groups), len(groups)) for _ in range(DRAWS)]
    found = []
    for metric in ("correlation", "rank"):
        tables = {name: part.groupby("group")[metric].agg(["sum", "size"]).loc[groups].to_numpy(float)
                  for name, part in rows.groupby("baseline", sort=False)}  # fmt: skip
        for name, table in tables.items():
            drawn = np.array([table[draw].sum(axis=0) for draw in draws])
            best = np.array([tables["ridge"][draw].sum(axis=0) for draw in draws])
            means, gains = drawn[:, 0] / drawn[:, 1], best[:, 0] / best[:, 1] - drawn[:, 0] / drawn[:, 1]
            (total, size), (own, own_size) = table.sum(axis=0), tables["ridge"].sum(axis=0)
            found.append(
                {"split": split, "baseline": name, "metric": metric, "value": total / size,
                 "low": np.quantile(means, 0.025), "high": np.quantile(means, 0.975), "ridge_gain": own / own_size - total / size,
                 "ridge_gain_low": np.quantile(gains, 0.025), "ridge_gain_high": np.quantile(gains, 0.975),
                 "treatments": int(size), "groups": len(groups)}
            )  # fmt: skip
    return pd.DataFrame(found)


def main(argv: Sequence[str] | None = None) -> None:
    """Score what molecules say of real profiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--profiles", type=Path, nargs="+", required=True, help="tables of real profiles, with Metadata_smiles"
    )
    parser.add_argument("--split", choices=SPLITS, default="scaffold")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scores", type=Path, required=True, help="table to write, a row a baseline and metric")
    args = parser.parse_args(argv)
    store.one_engine(args.profiles)
    keys, profiles, dmso = treatments_of(
        pd.concat([store.read_table(path) for path in args.profiles], ignore_index=True)
    )
    groups = groups_of(keys, args.split)
    rows = rows_of_scores(keys, groups, foretell(keys, profiles, dmso, args.split, folds=args.folds, seed=args.seed))
    log.info("%d treatments of %d molecules, %d groups", len(keys), keys["molecule"].nunique(), rows["group"].nunique())
    store.write_table(store.as_text(summary(rows, args.split, args.seed)), args.scores)


if __name__ == "__main__":
    run(main)
