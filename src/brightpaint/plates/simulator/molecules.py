"""Real molecules whose made-up phenotype follows from a substructure, so that an unseen one's can be foretold.

`resources/molecules.tsv` holds 160 launched drugs: twelve of each substructure, which have that one and none of the
others, and forty with none, some of which come near. Which a molecule has was worked out from its SMILES by the
patterns below; at run time the table says so. What the drugs do in cells has no part in it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.seeds import seed_of

LIBRARY = Path(__file__).resolve().parents[4] / "resources" / "molecules.tsv"
# Daylight SMARTS.
SUBSTRUCTURES = {
    "aryloxypropanolamine": "cOC[CX4;H1]([OX2H])C[NX3]",
    "arylpiperazine": "cN1CCNCC1",
    "beta_lactam": "O=C1CCN1",
    "imidazoline": "C1=NCCN1",
    "n_alkylazole": "[CX4]n1cnc[c,n]1",
    "nitroaryl": "c[N+](=O)[O-]",
    "phenothiazine": "c1ccc2c(c1)Nc1ccccc1S2",
    "steroid": "C~1~C~C~C~2~C(~C~1)~C~C~C~1~C~2~C~C~C~2~C~C~C~C~1~2",
    "sulfonamide": "cS(=O)(=O)[NX3;!$(NC=O)]",
    "trifluoromethylaryl": "cC(F)(F)F",
}
DMSO = {"Metadata_smiles": "", "rule": ""}  # what a well of it has in the columns of molecules
NONE = "has none of the substructures: inert"


@lru_cache(maxsize=1)
def library() -> pd.DataFrame:
    """Return every molecule: sample, name, smiles, inchikey, and substructure ("" for none)."""
    return store.read_table(LIBRARY, ["sample", "name", "smiles", "inchikey", "substructure"])


def rule(substructure: str) -> str:
    """Say in words why a molecule does what it does."""
    if not substructure:
        return NONE
    return f"has {substructure} ({SUBSTRUCTURES[substructure]}): the phenotype of {substructure}"


def choose(count: int, *, seed: int) -> pd.DataFrame:
    """Choose molecules for a plate, as evenly over substructures as can be, at least two of each that is there.

    Returns
    -------
    `count` rows, or the whole library where it has fewer: Metadata_perturbation (the sample), Metadata_target (the
    substructure), Metadata_smiles and rule; one in every round of the substructures has none
    """
    rng = np.random.default_rng([seed, seed_of("molecules")])
    table = library().sample(frac=1, random_state=rng)
    kinds = list(rng.permutation(list(SUBSTRUCTURES)))[: max(1, (count - 1) // 3)]
    table = table[table["substructure"].isin([*kinds, ""])] if count < len(table) else table
    turn = table.groupby("substructure").cumcount()
    place = table["substructure"].map({name: number for number, name in enumerate([*kinds, ""])})
    table = table.assign(turn=turn, place=place).sort_values(["turn", "place"])[:count]
    return pd.DataFrame(
        {
            "Metadata_perturbation": table["sample"], "Metadata_target": table["substructure"],
            "Metadata_smiles": table["smiles"], "rule": table["substructure"].map(rule),
        }
    ).reset_index(drop=True)  # fmt: skip


def compound_metadata() -> pd.DataFrame:
    """Return the metadata of the whole library, in the columns of JUMP-Target's compound table."""
    table = library()
    drugs = pd.DataFrame(
        {
            "broad_sample": table["sample"], "pert_iname": table["name"], "target": table["substructure"],
            "pert_type": "trt", "control_type": "", "smiles": table["smiles"], "InChIKey": table["inchikey"],
        }
    )  # fmt: skip
    dmso = {"broad_sample": "", "pert_iname": "DMSO", "pert_type": "control", "control_type": "negcon"}
    return pd.concat([drugs, pd.DataFrame([dmso])], ignore_index=True).fillna("")
