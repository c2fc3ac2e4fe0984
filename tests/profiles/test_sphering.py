"""Sphering on controls in any space: known answers, one map for all arms, too few controls refused; off by default."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from brightpaint.profiles import cell_profiles, embedding_profiles, profile, recipes
from brightpaint.profiles.sphering import sphere_on_controls
from brightpaint.store import read_table, write_table
from brightpaint.study import spaces
from brightpaint.study.study import Study
from conftest import ROOT, snakemake, write_study

HOW = {"method": "ZCA-cor", "epsilon": 1e-6, "least_wells": 8}
NAMES = [f"DINO_DNA_{n}" for n in range(5)]


def fields(plate, *, wells=30, controls=12, names=NAMES, seed=0, shift=0.0, cells=None):
    """Return fields of one plate, two a well, whose numbers are correlated; treated wells are moved by `shift`."""
    rng, mixing = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(len(names), len(names)))
    rows, values = [], []
    for well in range(wells):
        own = rng.normal(size=len(names)) @ mixing + (shift if well >= controls else 0)
        for site in (1, 2):
            keys = {"Metadata_Plate": plate, "Metadata_Well": f"A{well:02d}", "Metadata_Site": site, "Metadata_Tile": 1}
            control = well < controls
            given = {"Metadata_perturbation": "DMSO" if control else f"c{well % 6}", "Metadata_target": ""}
            rows.append({**keys, **given, "Metadata_control_type": "negcon" if control else ""})
            values.append(own + rng.normal(0, 0.01, len(names)))
    table = pd.concat([pd.DataFrame(rows), pd.DataFrame(values, columns=names)], axis=1)
    return table if cells is None else table.assign(Metadata_cells=cells)


def of_controls(wells, names=NAMES):
    return wells.loc[wells["Metadata_control_type"] == "negcon", names].to_numpy(float)


@pytest.mark.parametrize("method", ["ZCA-cor", "ZCA", "PCA-cor", "PCA"])
def test_sphered_controls_have_s_d_1_and_no_correlation_and_treatments_keep_their_distance(method):
    plates = [fields("P", seed=1, shift=9.0), fields("Q", seed=2, shift=9.0)]
    wells, perturbations = embedding_profiles.profiles(plates, reference=plates, sphering={**HOW, "method": method})
    np.testing.assert_allclose(np.cov(of_controls(wells).T), np.eye(5), atol=1e-3)
    np.testing.assert_allclose(of_controls(wells).mean(axis=0), 0, atol=1e-9)
    plain = embedding_profiles.profiles(plates)[0]
    raw, ours = of_controls(plain), wells[NAMES].to_numpy()
    inverse = np.linalg.inv(np.cov(raw.T))  # Mahalanobis distances from the controls are what sphering makes plain
    far = plain[NAMES].to_numpy() - raw.mean(axis=0)
    np.testing.assert_allclose((ours**2).sum(axis=1), np.einsum("ij,jk,ik->i", far, inverse, far), rtol=1e-4)
    treated = wells[wells["Metadata_perturbation"] == "c3"]
    one = perturbations.set_index(["Metadata_Plate", "Metadata_perturbation"]).loc[("P", "c3"), NAMES]
    np.testing.assert_allclose(one.astype(float), treated[treated["Metadata_Plate"] == "P"][NAMES].median())


def test_the_map_is_fitted_on_the_reference_alone_and_is_the_same_for_every_arm():
    reference, arm = [fields("P", seed=1), fields("Q", seed=2)], fields("R", seed=3)
    alone = embedding_profiles.profiles([arm], reference=reference, sphering=HOW)[0]
    beside = embedding_profiles.profiles([arm, fields("S", seed=4)], reference=reference, sphering=HOW)[0]
    pd.testing.assert_frame_equal(alone, beside[beside["Metadata_Plate"] == "R"].reset_index(drop=True))
    assert np.abs(np.cov(of_controls(alone).T) - np.eye(5)).max() > 0.05


def test_without_the_key_profiles_are_as_they_were():
    plates = [fields("P", seed=1)]
    plain = embedding_profiles.profiles(plates, normalise="plate")
    for one, other in zip(
        plain, embedding_profiles.profiles(plates, normalise="plate", reference=plates, sphering=None)
    ):
        pd.testing.assert_frame_equal(one, other)


def test_measured_cells_are_sphered_by_the_papers_recipe_too_and_wells_without_cells_stay_empty():
    names = [f"Cells_Intensity_{n}" for n in range(5)]
    plate = fields("P", names=names, cells=10)
    empty = plate["Metadata_Well"] == "A20"
    plate.loc[empty, names], plate.loc[empty, "Metadata_cells"] = np.nan, 0
    plate.loc[plate["Metadata_Well"] == "A21", names[2]] = np.nan
    wells = cell_profiles.profiles([plate], names, reference=[plate], sphering=HOW)[0].set_index("Metadata_Well")
    np.testing.assert_allclose(np.cov(of_controls(wells, names).T), np.eye(5), atol=1e-3)
    assert wells.loc["A20", names].isna().all() and wells.drop(index="A20")[names].notna().all(axis=None)


def test_more_numbers_than_controls_and_numbers_that_stay_put_are_said(caplog):
    names = [f"DINO_DNA_{n:02d}" for n in range(20)]
    plate = fields("P", names=names, controls=9)
    plate[names[4]] = np.where(plate["Metadata_control_type"] == "negcon", 2.0, 7.0)
    with caplog.at_level("INFO"):
        wells = embedding_profiles.profiles([plate], reference=[plate], sphering=HOW)[0]
    assert "fitted on 9 control wells of 1 real plates, 19 numbers; they span 8 directions" in caplog.text
    assert "1 numbers do not vary among control wells and become 0" in caplog.text
    assert (wells[names[4]] == 0).all() and np.isfinite(wells[names].to_numpy()).all()
    np.testing.assert_allclose(
        np.cov(of_controls(wells, names)), np.eye(9) * 19 / 8, atol=5
    )  # no direction is blown up
    assert np.abs(wells[names].to_numpy()).max() < 100


def test_too_few_controls_are_refused_by_plate():
    wells = embedding_profiles.profiles([fields("P", controls=7)])[0]
    with pytest.raises(
        ValueError, match=r"sphering: 7 control wells \(control_type negcon\) on the real plates P, expected 8 or"
    ):
        sphere_on_controls(wells, NAMES, wells, **HOW)
    empty = wells.assign(Metadata_cells=0)
    with pytest.raises(ValueError, match="sphering: 0 control wells"):
        sphere_on_controls(empty, NAMES, empty, **{**HOW, "least_wells": 3})
    still = wells.assign(**dict.fromkeys(NAMES, 1.0))
    with pytest.raises(ValueError, match="sphering: none of 5 numbers varies among 7 control wells"):
        sphere_on_controls(still, NAMES, still, **{**HOW, "least_wells": 3})


def test_numbers_that_depend_on_one_another_are_refused():
    wells = embedding_profiles.profiles([fields("P")])[0]
    wells[NAMES[3]] = wells[NAMES[0]]
    with pytest.raises(
        ValueError, match="sphering: 5 numbers of 12 control wells span 4 directions, so that some follow from"
    ):
        sphere_on_controls(wells, NAMES, wells, **HOW)


def test_the_command_spheres_where_its_settings_say_so(tmp_path):
    for name, seed in (("P", 1), ("R", 3)):
        write_table(fields(name, seed=seed), tmp_path / f"{name}.parquet")
    words = ["--space", "dino", "--tables", str(tmp_path / "R.parquet"), "--reference", str(tmp_path / "P.parquet")]
    words += ["--wells", str(tmp_path / "w.parquet"), "--perturbations", str(tmp_path / "p.parquet")]
    profile.main(
        [*words, "--settings", '{"normalise": "none", "sphering": {"method": "ZCA", "epsilon": 0, "least_wells": 3}}']
    )
    wells = read_table(tmp_path / "w.parquet")
    expected = embedding_profiles.profiles([fields("R", seed=3)], reference=[fields("P", seed=1)],
                                           sphering={"method": "ZCA", "epsilon": 0, "least_wells": 3})[0]  # fmt: skip
    np.testing.assert_allclose(wells[NAMES], expected[NAMES])
    assert recipes.control_wells(wells).sum() == 12


def load(folder, changes):
    write_study(folder, {"source": {"layout": "simulated"}, "embed": {"weights": "a/b"}, **changes})
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), ROOT / "workflow" / "schemas", folder)


def test_it_is_off_and_where_it_is_asked_for_the_plan_hands_real_training_plates_over(tmp_path):
    off = load(tmp_path, {})
    assert not any(spaces.sphering_of(space, off.config) for space in spaces.SPACES.values())
    on = load(tmp_path, {"sphering": {"spaces": ["dino"]}})
    assert spaces.sphering_of(spaces.SPACES["dino"], on.config) == {"sphering": HOW}
    assert spaces.seen_of(on, spaces.SPACES["dino"]) == {"the sphering on DMSO wells": ["T1"]}
    assert list(spaces.sphering_problems(on)) == []
    plan = snakemake(tmp_path, "-n", "-p", "results/profiles/pert/dino/wells.parquet").stdout
    command = next(line for line in plan.splitlines() if "profiles.profile --space dino" in line)
    assert "--reference results/embeddings/real/T1.parquet" in command and '"sphering": {"epsilon": 1e-06' in command


REFUSED = {
    "space": ({"sphering": {"spaces": ["dini"]}}, "sphering.spaces: no space is called dini; there are: cellprofiler, dino"),
    "unplanned": ({"sphering": {"spaces": ["cellnet"]}}, "the study does not plan cellnet, which makes the space cellnet; ask"),
    "twice": ({"sphering": {"spaces": ["cellprofiler"]}, "profile": {"recipe": "standard"}}, "cellprofiler is sphered already"),
    "plates": (
        {"sphering": {"spaces": ["dino"]}, "folds": [{"name": "A", "test": ["T2"]}, {"name": "B", "test": ["T1"]}]},
        "sphering: every study plate is tested by a fold, and none is left to fit on; set select.plates: all",
    ),
    "held out": (
        {"sphering": {"spaces": ["cellnet"]}, "crops": {"size_um": 32}, "cellnet": {"label": "treatment", "test_plates": ["T2"]}},
        "sphering.spaces: cellnet has no wells on the plates on which sphering is fitted (T1); leave it out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_sphered_is_refused(tmp_path, name):
    changes, said = REFUSED[name]
    problems = list(spaces.sphering_problems(load(tmp_path, changes)))
    assert len(problems) == 1 and re.search(re.escape(said), problems[0])
