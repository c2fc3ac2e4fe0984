"""Molecules as numbers: Morgan fingerprints, RDKit descriptors, or vectors that somebody else computed.

A SMILES is read up to its first blank (a CXSMILES tail or a name follows there). Of several fragments the largest organic one is
the molecule, and it is written without charges, so that a salt and its free base are one; tautomers are not made one. Two
spellings of a molecule give one vector, two stereoisomers two (descriptors may not tell them apart). DMSO, the vehicle, is a class
of its own: the last entry of a vector, all others 0. RDKit is loaded where a molecule is read, and nowhere else.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.study.annotations import DMSO
from brightpaint.study.conditions import VECTORS

RADIUS, BITS = 2, 1024  # of the Morgan fingerprint (Rogers & Hahn 2010), with chirality
VEHICLE = "CS(C)=O"  # DMSO's own structure
LARGEST = 10.0  # s.d. of a descriptor, beyond which it is cut off
# What an encoder says of these tells whether it is the one that trained.
PROBES = ("CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "CCN(CC)CCNC(=O)c1ccc(N)cc1", "C/C=C/C(=O)O")


class BadMolecule(ValueError):
    """A SMILES that is none."""


@functools.lru_cache(maxsize=1)
def _rdkit():
    """Return RDKit's modules, quiet."""
    try:
        from rdkit import Chem, RDLogger
        from rdkit.Chem import Descriptors, rdFingerprintGenerator
        from rdkit.Chem.MolStandardize import rdMolStandardize
    except ImportError as error:
        raise ValueError(
            "no package rdkit, which reads molecules: run `make environments`, or leave the condition molecule out"
        ) from error
    RDLogger.DisableLog("rdApp.*")
    return Chem, Descriptors, rdFingerprintGenerator, rdMolStandardize


def version() -> str:
    """Return RDKit's version."""
    return str(_rdkit()[0].rdBase.rdkitVersion)


@functools.lru_cache(maxsize=65536)
def canonical(smiles: str) -> str:
    """Return the one spelling of a molecule, without its counter-ions and charges; DMSO for the vehicle.

    Raises
    ------
    BadMolecule
        for text that is no molecule
    """
    chem, _, _, standardise = _rdkit()
    words = smiles.split()
    if words == [DMSO]:
        return DMSO
    molecule = chem.MolFromSmiles(words[0], sanitize=True) if words else None
    if molecule is None or not molecule.GetNumAtoms():
        raise BadMolecule(f"{smiles!r} is no SMILES that RDKit can read")
    parent = standardise.Uncharger().uncharge(standardise.LargestFragmentChooser(True).choose(molecule))
    # Written and read again: the order of atoms, in which stereo is perceived, is then that of the spelling.
    text = chem.MolToSmiles(chem.MolFromSmiles(chem.MolToSmiles(parent)))
    return DMSO if text == VEHICLE else text


def canonical_of(fields: pd.DataFrame) -> np.ndarray:
    """Return each field's molecule in its one spelling, "" where none is known, (N,) object.

    Parameters
    ----------
    fields : Metadata_smiles and Metadata_perturbation; a well of DMSO has DMSO, whatever its SMILES

    Raises
    ------
    ValueError
        naming plate and well of a SMILES that is none
    """
    if "Metadata_smiles" not in fields:
        raise ValueError(
            "condition molecule: the field table has no column Metadata_smiles; give source.molecules, or smiles in the "
            "metadata of compounds or in your own CSV, and run `index` again"
        )
    texts = fields["Metadata_smiles"].fillna("").astype(str).str.strip().to_numpy(object)
    vehicle = (fields["Metadata_perturbation"] == DMSO).to_numpy()
    known = {"": ""}
    for place in np.flatnonzero(~vehicle):
        text = texts[place]
        if text in known:
            continue
        try:
            known[text] = canonical(text)
        except BadMolecule as error:
            row = fields.iloc[place]
            raise ValueError(
                f"plate {row['Metadata_Plate']}, well {row['Metadata_Well']}, {row['Metadata_perturbation']}: the SMILES "
                f"{error}; correct it in the compounds' metadata, or write nothing there"
            ) from None
    return np.array([DMSO if own else known[text] for own, text in zip(vehicle, texts)], dtype=object)


def fingerprint(text: str) -> np.ndarray:
    """Return the Morgan fingerprint of a canonical SMILES: (BITS,) float32, 0 or 1."""
    chem, _, generators, _ = _rdkit()
    made = generators.GetMorganGenerator(radius=RADIUS, fpSize=BITS, includeChirality=True)
    return made.GetFingerprintAsNumPy(chem.MolFromSmiles(text)).astype(np.float32)


def descriptor_names() -> list[str]:
    """Return the names of RDKit's descriptors, in order."""
    return [name for name, _ in _rdkit()[1].descList]


@functools.lru_cache(maxsize=16384)  # some milliseconds each, and asked for in every fold of a comparison
def descriptors(text: str) -> np.ndarray:
    """Return RDKit's descriptors of a canonical SMILES, those of many digits by their logarithm: (K,) float64.

    sign(x) log(1 + |x|) of each, since some grow exponentially with a molecule; 0 for one that has no value.
    """
    chem, catalogue, _, _ = _rdkit()
    values = catalogue.CalcMolDescriptors(chem.MolFromSmiles(text), missingVal=0.0)
    plain = np.nan_to_num(np.array([values[name] for name in descriptor_names()], dtype=np.float64), posinf=0, neginf=0)
    return np.sign(plain) * np.log1p(np.abs(plain))


@functools.lru_cache(maxsize=4)
def _vectors(path: str, _digest: str) -> dict[str, np.ndarray]:
    """Return {canonical SMILES: (K,)} of a table of vectors: a column `smiles`, all others numbers."""
    frame = store.read_table(path, required=["smiles"])
    numbers = frame.drop(columns="smiles")
    texts = [name for name in numbers if not pd.api.types.is_numeric_dtype(numbers[name])]
    if texts or not len(numbers.columns):
        raise ValueError(
            f"{path}: expected a column smiles and numbers beside it, found {', '.join(texts) or 'none'} that are none"
        )
    values = numbers.to_numpy(np.float64)
    if bad := np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
        raise ValueError(f"{path}: the vector of {frame['smiles'].iloc[bad[0]]} is not finite; leave the molecule out")
    found: dict[str, np.ndarray] = {}
    for text, row in zip(frame["smiles"].astype(str), values):
        try:
            name = canonical(text)
        except BadMolecule as error:
            raise ValueError(f"{path}: {error}; correct or leave out its row") from None
        if name in found and not np.array_equal(found[name], row):
            raise ValueError(f"{path}: {text} is in it twice, with two vectors; leave one out")
        found[name] = row
    return found


def raw_vectors(names: Sequence[str], encoder: str, path: str | None = None) -> np.ndarray:
    """Return what an encoder says of molecules, before it is scaled: (M, K) float64.

    Parameters
    ----------
    names : canonical SMILES, none of them DMSO or empty
    encoder : `morgan`, `descriptors` or `vectors`, a table at `path`

    Raises
    ------
    ValueError
        naming a molecule that the table of vectors lacks
    """
    if encoder == VECTORS:
        table = _vectors(str(path), store.file_digest(path))
        if lacking := sorted(set(names) - set(table)):
            raise ValueError(
                f"{path}: no vector of {lacking[0]} ({len(lacking)} molecules are missing); add their rows"
            )
        width = len(next(iter(table.values()))) if table else 0
        return np.array([table[name] for name in names], dtype=np.float64).reshape(len(names), width)
    of_one = {"morgan": fingerprint, "descriptors": descriptors}[encoder]
    width = BITS if encoder == "morgan" else len(descriptor_names())
    return np.array([of_one(name) for name in names], dtype=np.float64).reshape(len(names), width)


def digest_of(values: np.ndarray | str) -> str:
    """Return a short digest of a molecule's vector, or of its spelling."""
    given = values.encode() if isinstance(values, str) else np.ascontiguousarray(values, dtype="<f4").tobytes()
    return hashlib.sha256(given).hexdigest()[:16]


def probe(encoder: str) -> str:
    """Return a digest of what an encoder says of `PROBES`; "" of one that reads a table."""
    if encoder == VECTORS:
        return ""
    names = [canonical(smiles) for smiles in PROBES]
    return digest_of(" ".join([*names, *(digest_of(row) for row in raw_vectors(names, encoder))]))


def learn(names: Iterable[str], chosen: Mapping) -> dict:
    """Return what the weights keep of a molecule condition, from the molecules that are trained on.

    Parameters
    ----------
    names : canonical SMILES of the training fields, DMSO and "" among them
    chosen : `encoder` and `vectors` of the config

    Returns
    -------
    encoder; entries (K, without DMSO's); probe; molecules: {digest of a spelling: digest of its vector}; mean and sd: of each
    entry over the molecules, for encoders that are scaled
    """
    drugs = sorted(set(names) - {"", DMSO})
    if not drugs:
        raise ValueError(
            "condition molecule: no training field has a molecule; leave the condition out, or check the SMILES"
        )
    encoder, path = chosen["encoder"], chosen.get("vectors")
    raw = raw_vectors(drugs, encoder, path)
    kept = {"encoder": encoder, "entries": int(raw.shape[1]), "probe": probe(encoder)}
    kept["molecules"] = {digest_of(name): digest_of(row) for name, row in zip(drugs, raw)}
    if encoder != "morgan":
        sd = raw.std(axis=0)
        kept |= {"mean": raw.mean(axis=0).tolist(), "sd": np.where(sd > 1e-9, sd, 0.0).tolist()}
    return kept


def encode(names: Sequence[str], kept: Mapping, path: str | None = None) -> np.ndarray:
    """Return the vectors that a network is told: (N, K + 1) float32, not a number where no molecule is known.

    Parameters
    ----------
    names : canonical SMILES, DMSO, or ""
    kept : of `learn`

    Raises
    ------
    ValueError
        where the encoder is not the one that trained, with the difference
    """
    encoder = kept["encoder"]
    if (here := probe(encoder)) != kept["probe"]:
        raise ValueError(
            f"condition molecule: the encoder {encoder} of RDKit {version()} does not say of molecules what it said in training "
            f"(digest {here}, the weights have {kept['probe']}); use the RDKit that trained, or train again"
        )
    drugs = sorted(set(names) - {"", DMSO})
    raw = raw_vectors(drugs, encoder, path)
    if drugs and raw.shape[1] != kept["entries"]:
        raise ValueError(
            f"condition molecule: vectors of {raw.shape[1]} entries, the weights were trained on {kept['entries']}"
        )
    for name, row in zip(drugs, raw):
        trained = kept["molecules"].get(digest_of(name))
        if trained and trained != digest_of(row):
            raise ValueError(
                f"condition molecule: the vector of {name} is not the one that trained ({path or encoder}: digest "
                f"{digest_of(row)}, the weights have {trained}); give the table that trained, or train again"
            )
    if "mean" in kept:
        mean, sd = np.array(kept["mean"]), np.array(kept["sd"])
        raw = np.divide(raw - mean, sd, out=np.zeros_like(raw), where=sd > 0).clip(-LARGEST, LARGEST)
    known = {"": np.full(kept["entries"] + 1, np.nan), DMSO: np.append(np.zeros(kept["entries"]), 1.0)}
    known |= {name: np.append(row, 0.0) for name, row in zip(drugs, raw)}
    return np.array([known[name] for name in names], dtype=np.float32).reshape(len(names), kept["entries"] + 1)


def unseen(names: Iterable[str], kept: Mapping) -> list[str]:
    """Return the molecules that were not trained on."""
    return [name for name in sorted(set(names) - {"", DMSO}) if digest_of(name) not in kept["molecules"]]
