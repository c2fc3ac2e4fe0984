import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.conditions.molecule_vectors import canonical, fingerprint
from brightpaint.models.conditions.scaffolds import scaffold
from brightpaint.plates.simulator.molecules import library
from brightpaint.scores.profiles.from_molecules import (
    ALL,
    dealt_out,
    drawn,
    foretell,
    main,
    name_of,
    rows_of_scores,
    summary,
    swapped,
    tables_of,
    whole,
)
from brightpaint.scores.profiles.molecule_kernels import MORGAN, alike_molecules, gaussian, neighbours, tanimoto
from brightpaint.scores.profiles.molecule_splits import SPLITS, folds_of, groups_of, treatments_of

D = 12


def profiles(seed=0, *, told=1.0, doses=(1.0,), lines=("U2OS",), plates=("P1",), count=60, noise=0.3, common=3.0):
    """Return profiles of real drugs whose phenotype follows from their substructure, at doses, in lines, with DMSO."""
    rng = np.random.default_rng(seed)
    drugs = library().groupby("substructure").head(max(1, count // 11)).reset_index(drop=True)
    ways = {name: rng.normal(size=D) * (name != "") for name in sorted(set(drugs["substructure"]))}
    shared, of_line = common * rng.normal(size=D), {line: rng.normal(size=D) for line in lines}
    rows = []
    for plate in plates:
        for line in lines:
            for drug in drugs.itertuples():
                for dose in doses:
                    effect = told * 3 * ways[drug.substructure] * dose / (dose + 0.5)
                    rows.append((plate, drug.sample, drug.smiles, dose, line, effect + shared + of_line[line]))
            rows.append((plate, "DMSO", "", np.nan, line, of_line[line]))
    names = ["Metadata_Plate", "Metadata_perturbation", "Metadata_smiles", "Metadata_dose", "Metadata_cell_line"]
    table = pd.DataFrame([row[:-1] for row in rows], columns=names)
    features = np.array([row[-1] for row in rows]) + noise * rng.normal(size=(len(rows), D))
    return table.join(pd.DataFrame(features, columns=[f"Cells_{number}" for number in range(D)]))


def scores(table, split, folds=4):
    keys, means, dmso = treatments_of(table)
    groups = groups_of(keys, split)
    return summary(rows_of_scores(keys, groups, foretell(keys, means, dmso, split, folds=folds)), split)


def value(found, baseline, metric="correlation", column="value"):
    return found[(found["baseline"] == baseline) & (found["metric"] == metric)].iloc[0][column]


def test_structure_foretells_unseen_scaffolds_where_the_phenotype_follows_it_and_not_where_it_does_not():
    found = scores(profiles(), "scaffold")
    assert value(found, "ridge") > 0.4 and value(found, "nearest neighbours") > 0.3
    assert value(found, "ridge", "rank") > 0.65 and abs(value(found, "swapped molecules")) < 0.3
    assert value(found, "mean") == 0 and value(found, "mean", "rank") == 0.5
    assert value(found, "swapped molecules", column="ridge_gain_low") > 0
    assert (found["low"] <= found["value"] + 1e-12).all() and (found["value"] <= found["high"] + 1e-12).all()
    deaf = scores(profiles(told=0.0), "scaffold")
    assert abs(value(deaf, "ridge")) < 0.25 and 0.35 < value(deaf, "ridge", "rank") < 0.65


def test_an_effect_common_to_all_treatments_wins_nothing():
    """Uncentred, the mean would correlate with everything; centred by the training mean it is 0, and DMSO lies the other way."""
    found = scores(profiles(told=0.3, common=20.0), "scaffold")
    assert value(found, "mean") == 0 and value(found, "DMSO", "rank") < 0.65


def test_held_out_doses_are_told_from_the_same_molecule_at_others():
    found = scores(profiles(doses=(0.1, 1.0, 10.0), count=33), "dose")
    assert value(found, "ridge") > 0.7 and value(found, "nearest neighbours") > 0.6
    assert set(found["groups"]) == {3}


def test_held_out_combinations_have_both_halves_in_training():
    table = profiles(lines=("U2OS", "A549"), count=33)
    keys, means, dmso = treatments_of(table)
    groups = groups_of(keys, "combination")
    tested = 0
    for test, _, _ in foretell(keys, means, dmso, "combination", folds=4):
        train = np.setdiff1d(np.arange(len(keys)), np.flatnonzero(np.isin(groups, groups[test])))
        for row in test:
            assert keys["molecule"][row] in set(keys["molecule"][train]) and keys["cell_line"][row] in set(
                keys["cell_line"][train]
            )
        tested += len(test)
    assert tested > len(keys) / 3
    assert value(scores(table, "combination"), "ridge") > 0.6


def test_no_scaffold_stands_on_both_sides_and_all_are_tested_once():
    keys, _, _ = treatments_of(profiles())
    groups = groups_of(keys, "scaffold")
    folds = folds_of(groups, 4)
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(keys)))
    assert all(not set(groups[one]) & set(groups[other]) for one in folds for other in folds if one is not other)
    assert max(map(len, folds)) - min(map(len, folds)) <= max(np.unique(groups, return_counts=True)[1])


def test_a_scaffold_is_its_rings_and_linkers():
    assert scaffold("CC(=O)Oc1ccccc1C(=O)O") == scaffold("Oc1ccccc1") == "c1ccccc1"
    assert scaffold("CN1CCC[C@H]1c1cccnc1") == scaffold("CN1CCC[C@@H]1c1cccnc1.Cl")
    assert scaffold("CCO") == "CCO" != scaffold("CCN")


def test_tanimoto_of_known_bits():
    bits = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(tanimoto(bits, bits), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])
    from rdkit import DataStructs
    from rdkit.DataStructs import CreateFromBitString

    one, other = (fingerprint(canonical(text)) for text in ("CC(=O)Oc1ccccc1C(=O)O", "Oc1ccccc1"))
    made = [CreateFromBitString("".join(str(int(bit)) for bit in bits)) for bits in (one, other)]
    assert tanimoto(one[None], other[None])[0, 0] == pytest.approx(DataStructs.TanimotoSimilarity(*made), abs=1e-6)


def test_a_swapped_molecule_is_never_its_own():
    molecules = np.array(["a", "b", "a", "c", "b"], dtype=object)
    assert (molecules[swapped(molecules)] != molecules).all()


def test_treatments_are_means_over_plates_in_one_spelling():
    table = profiles(plates=("P1", "P2"), noise=0.0, count=11)
    keys, means, dmso = treatments_of(table)
    spelt = table.assign(Metadata_smiles=[f"{text} |c:1|" if text else "" for text in table["Metadata_smiles"]])
    again = treatments_of(spelt)
    assert keys.equals(again[0]) and np.allclose(means, again[1])
    assert len(keys) == (table["Metadata_perturbation"] != "DMSO").sum() / 2 and keys["molecule"].notna().all()
    np.testing.assert_allclose(
        dmso, table[table["Metadata_perturbation"] == "DMSO"].filter(like="Cells_").to_numpy().mean(axis=0)
    )


@pytest.mark.parametrize(
    ("changes", "split", "said"),
    [
        ({}, "dose", "split dose: the treatments have 1 doses, expected two or more; choose another split"),
        ({}, "combination", "split combination: the treatments have 1 cell lines"),
        ({}, "plate", "split 'plate': expected one of scaffold, dose, combination"),
        ({"drop": "DMSO"}, "scaffold", "no DMSO among them; it is one of the baselines"),
        ({"smiles": ""}, "scaffold", "profiles: 0 treatments of known molecules; expected 4 or more"),
        ({"smiles": "C1CC"}, "scaffold", r"plate P1, well \(mean\), SIM-.*: the SMILES 'C1CC' is no SMILES"),
        ({"nan": True}, "scaffold", r"profiles: Cells_3 is not finite \(1 features\)"),
    ],
)
def test_what_can_not_be_foretold_is_said(changes, split, said):
    table = profiles(count=22)
    if "drop" in changes:
        table = table[table["Metadata_perturbation"] != changes["drop"]]
    if "smiles" in changes:
        table = table.assign(Metadata_smiles=changes["smiles"])
    if "nan" in changes:
        table.loc[0, "Cells_3"] = np.nan
    with pytest.raises(ValueError, match=said):
        scores(table, split)


def test_the_command_writes_one_row_a_baseline_and_metric(tmp_path):
    store.write_table(profiles(count=33), tmp_path / "real.parquet")
    main(["--profiles", str(tmp_path / "real.parquet"), "--folds", "3", "--scores", str(tmp_path / "scores.tsv")])
    found = store.read_table(tmp_path / "scores.tsv")
    assert len(found) == 10 and set(found["baseline"]) == {
        "ridge",
        "nearest neighbours",
        "swapped molecules",
        "mean",
        "DMSO",
    }
    first = (tmp_path / "scores.tsv").read_bytes()
    main(["--profiles", str(tmp_path / "real.parquet"), "--folds", "3", "--scores", str(tmp_path / "scores.tsv")])
    assert (tmp_path / "scores.tsv").read_bytes() == first


def told_by_vectors(folder, count=60, seed=3):
    """Return profiles that follow three numbers of each molecule, whatever its structure, and the table of these numbers."""
    table, rng = profiles(told=0.0, count=count, common=0.0), np.random.default_rng(seed)
    names = table["Metadata_smiles"].unique()
    numbers = {name: rng.normal(size=3) for name in names if name}
    shown = rng.normal(size=(3, D))
    effect = np.array([3 * numbers[name] @ shown if name else np.zeros(D) for name in table["Metadata_smiles"]])
    features = [f"Cells_{number}" for number in range(D)]
    table[features] = table[features].to_numpy() + effect
    path = folder / "vectors.csv"
    frame = pd.DataFrame(
        [{"smiles": name, **{f"v{n}": value for n, value in enumerate(row)}} for name, row in numbers.items()]
    )
    frame.to_csv(path, index=False)
    return table, {"encoder": "vectors", "vectors": str(path)}


def test_the_encoder_that_knows_what_profiles_follow_is_told_from_those_that_do_not(tmp_path):
    table, own = told_by_vectors(tmp_path)
    encoders = [dict(MORGAN), {"encoder": "descriptors", "vectors": None}, own]
    found = tables_of(table, ["scaffold"], encoders, every=False, folds=3, shuffles=5, seed=0)
    assert found["why"].isna().all() and set(found["features"]) == {D}
    names = [name_of(encoder) for encoder in encoders]
    assert names == ["morgan", "descriptors", "vectors vectors.csv"] and set(found["encoder"]) == set(names)
    chosen = found[(found["baseline"] == "ridge") & (found["metric"] == "correlation")].set_index("encoder")
    best = chosen.loc[names[2]]
    assert best["value"] > 0.8 and best["low"] > best["shuffled_bound"] and abs(best["shuffled"]) < 0.2
    assert best["encoder_gain_low"] > 0.3 and best["encoder_gain"] == pytest.approx(
        best["value"] - chosen.loc["morgan", "value"]
    )
    assert chosen.loc["morgan", "value"] < chosen.loc["morgan", "shuffled_bound"] + 0.15
    assert np.isnan(chosen.loc["morgan", "encoder_gain"])
    # What knows no molecule stands there once, and has no shuffles.
    for baseline in ("mean", "DMSO"):
        assert list(found.loc[found["baseline"] == baseline, "encoder"]) == ["morgan", "morgan"]
        assert found.loc[found["baseline"] == baseline, "shuffled"].isna().all()


def test_descriptors_foretell_what_follows_from_structure():
    found = tables_of(profiles(), ["scaffold"], [{"encoder": "descriptors"}], every=False, folds=4, shuffles=0, seed=0)
    assert value(found, "ridge") > 0.2 and value(found, "swapped molecules") < 0.1


def test_every_split_says_why_it_is_not_made(tmp_path):
    store.write_table(profiles(count=33, doses=(0.5, 2.0)), tmp_path / "real.parquet")
    main(
        [
            "--profiles",
            str(tmp_path / "real.parquet"),
            "--split",
            ALL,
            "--folds",
            "2",
            "--scores",
            str(tmp_path / "s.tsv"),
        ]
    )
    found = store.read_table(tmp_path / "s.tsv")
    assert list(dict.fromkeys(found["split"])) == list(SPLITS)
    assert (
        found.loc[found["split"] == "combination", "why"]
        .item()
        .startswith("split combination: the treatments have 1 cell")
    )
    assert (found.loc[found["split"] != "combination", "why"] == "").all()
    none = tables_of(profiles(count=33).query("Metadata_perturbation != 'DMSO'"), SPLITS, [dict(MORGAN)], every=True, folds=2,
                     shuffles=0, seed=0)  # fmt: skip
    assert len(none) == len(SPLITS) and none["why"].str.contains("no DMSO among them").all()


def test_profiles_without_cells_and_features_with_gaps_are_left_out():
    table = profiles(count=11).assign(Metadata_cells=5)
    table.loc[0, "Metadata_cells"] = 0
    table.loc[1, "Cells_3"] = np.nan
    features = [f"Cells_{number}" for number in range(D)]
    table.loc[2, features] = np.nan
    kept = whole(table)
    assert len(kept) == len(table) - 2 and "Cells_3" not in kept and np.isfinite(kept[features[:3]].to_numpy()).all()


def test_of_very_many_treatments_whole_molecules_are_drawn():
    known = treatments_of(profiles(doses=(0.5, 2.0), count=22))
    assert drawn(known, 0) is known
    keys, found, dmso = drawn(known, 0, most=11)
    assert len(keys) == 10 and keys.groupby("molecule").size().eq(2).all() and dmso is known[2]
    whole_keys = known[0].reset_index().merge(keys, on=["molecule", "dose", "cell_line"])
    np.testing.assert_array_equal(found, known[1][whole_keys["index"]])
    assert not drawn(known, 1, most=11)[0].equals(keys)


def test_molecules_are_dealt_out_whole():
    keys, _, _ = treatments_of(profiles(doses=(0.5, 2.0), lines=("U2OS", "A549"), count=22))
    dealt = dealt_out(keys, 0, 0)
    pairs = set(zip(keys["molecule"], dealt["molecule"]))
    assert len(pairs) == keys["molecule"].nunique() == dealt["molecule"].nunique()
    assert dealt[["dose", "cell_line"]].equals(keys[["dose", "cell_line"]])
    assert not dealt.equals(keys) and not dealt.equals(dealt_out(keys, 0, 1)) and dealt.equals(dealt_out(keys, 0, 0))


def test_a_gaussian_of_vectors_is_scaled_by_trained_molecules_alone(tmp_path):
    vectors = np.array([[0.0], [1.0], [3.0], [100.0]])
    found = gaussian(vectors, np.array([0, 1, 2]))  # distances 1, 2, 3: squares 1, 4, 9
    np.testing.assert_allclose(found[0, :3], np.exp([0, -1 / 8, -9 / 8]))
    table, own = told_by_vectors(tmp_path, count=22)
    names = sorted(set(treatments_of(table)[0]["molecule"]))
    trained = set(names[:-1])
    one = alike_molecules(names, own, trained)
    frame = pd.read_csv(own["vectors"])
    frame.loc[[canonical(text) == names[-1] for text in frame["smiles"]], "v0"] = 50.0
    frame.to_csv(tmp_path / "other.csv", index=False)
    other = alike_molecules(names, {**own, "vectors": str(tmp_path / "other.csv")}, trained)
    np.testing.assert_array_equal(one[:-1, :-1], other[:-1, :-1])
    assert not np.allclose(one[-1, :-1], other[-1, :-1])


def test_a_table_of_vectors_that_lacks_a_molecule_is_refused(tmp_path):
    table, own = told_by_vectors(tmp_path, count=22)
    frame = pd.read_csv(own["vectors"])
    frame.iloc[1:].to_csv(own["vectors"], index=False)
    with pytest.raises(ValueError, match=r"vectors.csv: no vector of .* \(1 molecules are missing\); add their rows"):
        tables_of(table, ["scaffold"], [own], every=False, folds=2, shuffles=0, seed=0)


def test_nearest_neighbours_are_a_mean_weighted_by_likeness():
    alike = np.array([[1.0, 0.2, 0.6, 0.5], [0.2, 1, 0.1, 0.9], [0.6, 0.1, 1, 0.3], [0.5, 0.9, 0.3, 1]])
    wanted = np.array([[1.0, 0], [0, 1], [4, 4], [2, 2]])
    found = neighbours(alike, wanted, np.array([0, 1, 2]), np.array([3]), 2)
    np.testing.assert_allclose(found, [(0.5 * wanted[0] + 0.9 * wanted[1]) / 1.4])
