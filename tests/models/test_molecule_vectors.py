import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.conditions import molecule_vectors as molecules
from brightpaint.models.conditions.molecule_vectors import canonical, canonical_of, encode, learn, unseen

ASPIRIN, NICOTINE, OTHER_NICOTINE = "CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "CN1CCC[C@@H]1c1cccnc1"
MORGAN = {"encoder": "morgan", "vectors": None}


def wells(smiles, perturbations=None):
    count = len(smiles)
    named = perturbations or [f"c{number}" for number in range(count)]
    return pd.DataFrame({"Metadata_Plate": "P1", "Metadata_Well": [f"B{number + 1:02d}" for number in range(count)],
                         "Metadata_perturbation": named, "Metadata_smiles": smiles})  # fmt: skip


def vectors(smiles, chosen=MORGAN):
    names = canonical_of(wells(smiles))
    return encode(names, learn(canonical_of(wells([ASPIRIN, NICOTINE, "CCO"])), chosen), chosen["vectors"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ASPIRIN, "OC(=O)c1ccccc1OC(C)=O"),  # another order of atoms
        (ASPIRIN, "O=C(C)OC1=CC=CC=C1C(O)=O"),  # Kekulé's
        (NICOTINE, "c1ncccc1[C@@H]1CCCN1C"),  # the same centre, written from another side
        ("CCN", "CCN.Cl"),  # a hydrochloride
        ("CCN", "CC[NH3+].[Cl-]"),
        ("CC(=O)O", "[Na+].CC(=O)[O-]"),
        (ASPIRIN, f"{ASPIRIN} |c:1,3|"),  # a CXSMILES tail
        (ASPIRIN, f" {ASPIRIN}\taspirin"),
    ],
)
def test_one_molecule_has_one_vector_however_it_is_written(one, other):
    first, second = vectors([one, other])
    assert canonical(one) == canonical(other) and np.array_equal(first, second) and first[:-1].sum() > 0


@pytest.mark.parametrize(("one", "other"), [(NICOTINE, OTHER_NICOTINE), ("C/C=C/C(=O)O", "C/C=C\\C(=O)O")])
def test_stereoisomers_have_two_vectors(one, other):
    first, second = vectors([one, other])
    assert not np.array_equal(first, second)


def test_dmso_is_a_class_of_its_own_and_a_well_of_no_molecule_has_none():
    table = wells(["", "CS(C)=O", "CS(=O)C", "", ASPIRIN], ["DMSO", "DMSO", "solvent", "an ORF", "aspirin"])
    names = canonical_of(table)
    assert names.tolist() == ["DMSO", "DMSO", "DMSO", "", canonical(ASPIRIN)]
    told = encode(names, learn(names, MORGAN))
    assert told.shape == (5, molecules.BITS + 1) and told.dtype == np.float32
    assert (
        told[:3, -1].tolist() == [1, 1, 1] and not told[:3, :-1].any() and np.isnan(told[3]).all() and told[4, -1] == 0
    )


@pytest.mark.parametrize("smiles", ["c1ccccc", "C(C)(C)(C)(C)C", "not a molecule", "SIM-M001", "[]"])
def test_what_is_no_molecule_is_an_error_that_names_plate_and_well(smiles):
    with pytest.raises(
        ValueError, match=r"plate P1, well B02, c1: the SMILES .* is no SMILES that RDKit can read; correct it"
    ):
        canonical_of(wells([ASPIRIN, smiles]))


def test_a_table_without_smiles_is_said_so():
    with pytest.raises(ValueError, match="condition molecule: the field table has no column Metadata_smiles; give"):
        canonical_of(wells(["CCO"]).drop(columns="Metadata_smiles"))
    with pytest.raises(ValueError, match="no training field has a molecule"):
        learn(["DMSO", ""], MORGAN)


def test_descriptors_are_scaled_by_the_training_molecules_and_are_finite():
    chosen = {"encoder": "descriptors", "vectors": None}
    trained = [canonical(text) for text in (ASPIRIN, NICOTINE, "CCO", "CCCCCCCC")]
    kept = learn(trained, chosen)
    told = encode(trained, kept)
    assert (
        told.shape == (4, kept["entries"] + 1) and np.isfinite(told).all() and np.abs(told).max() <= molecules.LARGEST
    )
    constant = np.array(kept["sd"]) == 0
    np.testing.assert_allclose(told[:, :-1][:, ~constant].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(told[:, :-1][:, ~constant].std(axis=0), 1, atol=1e-4)
    assert not told[:, :-1][:, constant].any()
    assert np.isfinite(encode([canonical("C" * 150)], kept)).all()  # one whose Ipc overflows


def test_vectors_of_ones_own_are_found_by_the_molecule_and_a_missing_one_is_named(tmp_path):
    path = str(tmp_path / "vectors.tsv")
    store.write_table(
        pd.DataFrame({"smiles": ["OC(=O)c1ccccc1OC(C)=O", NICOTINE, "OCC"], "a": [1.0, 2, 4], "b": [0, 1, 1]}), path
    )
    chosen = {"encoder": "vectors", "vectors": path}
    told = vectors([ASPIRIN, NICOTINE], chosen)
    assert told.shape == (2, 3) and told[0, 0] < told[1, 0] and told[0, 1] < told[1, 1]
    with pytest.raises(ValueError, match=r"vectors.tsv: no vector of CCC \(1 molecules are missing\); add their rows"):
        vectors(["CCC"], chosen)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"smiles": ["CCO", "OCC"], "a": [1.0, 2.0]}, "OCC is in it twice, with two vectors; leave one out"),
        ({"smiles": ["CCO"], "a": ["much"]}, "expected a column smiles and numbers beside it, found a that are none"),
        ({"smiles": ["CCO"]}, "expected a column smiles and numbers beside it"),
        ({"smiles": ["CCO"], "a": [np.inf]}, "the vector of CCO is not finite; leave the molecule out"),
        ({"smiles": ["C1CC"], "a": [1.0]}, "'C1CC' is no SMILES that RDKit can read; correct or leave out its row"),
        ({"structure": ["CCO"], "a": [1.0]}, r"columns \['smiles'\] are missing"),
    ],
)  # fmt: skip
def test_a_table_of_vectors_that_can_not_be_read_is_said_so(tmp_path, columns, said):
    path = str(tmp_path / "vectors.tsv")
    store.write_table(pd.DataFrame(columns), path)
    with pytest.raises(ValueError, match=said):
        learn(["CCO"], {"encoder": "vectors", "vectors": path})


def test_an_encoder_that_is_not_the_one_that_trained_is_refused_with_the_difference(tmp_path):
    kept = learn([canonical(ASPIRIN)], MORGAN)
    with pytest.raises(
        ValueError, match="the encoder morgan of RDKit .* does not say of molecules what it said in training"
    ):
        encode([canonical(ASPIRIN)], {**kept, "probe": "0123"})
    path = str(tmp_path / "vectors.tsv")
    chosen = {"encoder": "vectors", "vectors": path}
    for value in (1.0, 2.0):
        store.write_table(pd.DataFrame({"smiles": ["CCO", "CCN"], "a": [value, 0.0]}), path)
        kept = kept if value == 2 else learn(["CCO", "CCN"], chosen)
    with pytest.raises(ValueError, match="the vector of CCO is not the one that trained .*give the table that trained"):
        encode(["CCO"], kept, path)
    store.write_table(pd.DataFrame({"smiles": ["CCO", "CCN"], "a": [1.0, 0.0], "b": [1.0, 0.0]}), path)
    with pytest.raises(ValueError, match="vectors of 2 entries, the weights were trained on 1"):
        encode(["CCO"], kept, path)


def test_unseen_molecules_are_known_by_their_structure_not_their_spelling():
    kept = learn([canonical(ASPIRIN), "DMSO"], MORGAN)
    assert unseen([canonical("O=C(C)OC1=CC=CC=C1C(O)=O"), "DMSO", "", "CCO"], kept) == ["CCO"]


def test_nothing_loads_rdkit_until_a_molecule_is_read():
    code = (
        "import sys, brightpaint.models.fit, brightpaint.models.kinds.diffusion as d; sys.exit('rdkit' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
