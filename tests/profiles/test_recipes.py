"""The standard recipe: against DMSO, sphered, one map for all arms; real tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.features import cells_part, median
from brightpaint.profiles import cell_profiles as profile
from brightpaint.profiles import select

NAMES = [f"Cells_Intensity_{n}" for n in range(6)]


def plate(name, *, wells=30, dmso=12, sites=2, seed=0, shift=0.0, names=NAMES, mixing=None):
    """Return field medians: correlated features, treated wells moved by `shift` in the first."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(len(names), len(names))) if mixing is None else mixing
    rows, values = [], []
    for well in range(wells):
        own = rng.normal(size=len(names)) @ mixing
        for site in range(1, sites + 1):
            control = well < dmso
            rows.append({
                "Metadata_Plate": name, "Metadata_Well": f"{'ABCDE'[well // 6]}{well % 6 + 1:02d}", "Metadata_Site": site,
                "Metadata_Tile": 1, "Metadata_perturbation": "DMSO" if control else f"c{well:02d}",
                "Metadata_target": "" if control else f"T{well // 2}", "Metadata_control_type": "negcon" if control else "",
                "Metadata_cells": 10,
            })  # fmt: skip
            values.append(50 + own + (0 if control else shift) * mixing[0])
    return pd.concat([pd.DataFrame(rows), pd.DataFrame(values, columns=list(names))], axis=1)


def controls(wells):
    return wells.loc[wells["Metadata_control_type"] == "negcon", NAMES].to_numpy()


def test_each_plate_is_normalised_by_the_median_and_mad_of_its_own_dmso_wells():
    fields = plate("P", shift=5.0)
    fields[NAMES] = 1000 * fields[NAMES] + 7
    wells = profile.standard_wells(fields, NAMES)
    values = controls(wells)
    np.testing.assert_allclose(np.median(values, axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(1.4826 * np.median(np.abs(values), axis=0), 1, atol=1e-6)
    again = profile.standard_wells(fields.sample(frac=1, random_state=1), NAMES).set_index("Metadata_Well")
    np.testing.assert_allclose(again.loc[wells["Metadata_Well"], NAMES], wells[NAMES])


def test_sphered_dmso_has_no_correlation_left_and_what_is_treated_stands_out():
    plates = [plate("P", seed=1, shift=6.0), plate("Q", seed=2, shift=6.0)]
    wells, perturbations = profile.profiles(plates, NAMES, recipe="standard", reference=plates)
    np.testing.assert_allclose(np.cov(controls(wells).T), np.eye(len(NAMES)), atol=1e-3)
    treated = wells[wells["Metadata_control_type"] == ""]
    assert np.linalg.norm(treated[NAMES], axis=1).mean() > 1.5 * np.linalg.norm(controls(wells), axis=1).mean()
    assert len(perturbations) == 2 * 19 and list(wells.columns) == list(profile.profiles(plates, NAMES)[0].columns)


def test_the_map_is_fitted_on_the_reference_alone_and_is_the_same_for_every_arm():
    reference = [plate("P", seed=1), plate("Q", seed=2)]
    arm = [plate("R", seed=3, shift=4.0)]
    one = profile.profiles(arm, NAMES, recipe="standard", reference=reference)[0]
    both = profile.profiles([*arm, plate("S", seed=4)], NAMES, recipe="standard", reference=reference)[0]
    pd.testing.assert_frame_equal(one, both[both["Metadata_Plate"] == "R"].reset_index(drop=True))
    assert np.abs(np.cov(controls(one).T) - np.eye(6)).max() > 0.05  # its own DMSO would have given the identity


def test_constant_and_missing_features_and_empty_wells_are_counted_and_never_huge(caplog):
    reference, fields = [plate("P", seed=1)], plate("R", seed=3)
    fields.loc[fields["Metadata_control_type"] == "negcon", NAMES[0]] = 3.0 + 1e-12 * np.arange(24)
    empty = fields["Metadata_Well"] == "E06"
    fields.loc[empty, NAMES], fields.loc[empty, "Metadata_cells"] = np.nan, 0
    fields.loc[fields["Metadata_Well"] == "E05", NAMES[2]] = np.nan
    with caplog.at_level("INFO"):
        wells = profile.profiles([fields], NAMES, recipe="standard", reference=reference)[0].set_index("Metadata_Well")
    assert "R: 1 features do not vary among DMSO wells and become 0 (Cells_Intensity_0)" in caplog.text
    assert "1 values missing in wells with cells are taken to be DMSO's median" in caplog.text
    assert wells.loc["E06", NAMES].isna().all() and wells.at["E06", "Metadata_fields_empty"] == 2
    assert wells.drop(index="E06")[NAMES].abs().to_numpy().max() < 100


def test_a_plate_with_too_few_dmso_wells_is_an_error():
    with pytest.raises(ValueError, match="plate P: 2 DMSO wells with cells.*profile.recipe: paper"):
        profile.standard_wells(plate("P", dmso=2), NAMES)


def test_selection_names_what_dmso_cannot_normalise_and_what_lies_far_out():
    names = [*NAMES, "Cells_flat", "Cells_far", "Cells_copy"]
    plates = [plate(name, seed=seed, names=names) for seed, name in enumerate("PQ")]
    for fields in plates:
        control = fields["Metadata_control_type"] == "negcon"
        fields.loc[control, "Cells_flat"] = 1.0
        fields["Cells_far"] = np.random.default_rng(5).normal(size=len(fields)) * np.where(control, 1, 1e4)
        fields["Cells_copy"] = 2 * fields[NAMES[0]]
    reasons = select.select(plates, 0.9, "standard").set_index("feature")["reason"]
    assert reasons["Cells_flat"] == "dmso_constant" and reasons["Cells_far"] == "drop_outliers"
    assert "correlation_threshold" in {reasons[NAMES[0]], reasons["Cells_copy"]}


# --- real tables ---------------------------------------------------------------------------------


def real_cells(real_data, well):
    folder = real_data / "profiles" / "target2_BR00121431"
    tables = {name: pd.read_csv(folder / f"BR00121431-{well}-1.{name}.csv.gz") for name in cells_part.COMPARTMENTS}
    return cells_part.join_compartments(
        *(table.select_dtypes("number").astype(float) for table in tables.values())
    ), tables


def test_single_cells_of_two_wells_of_a_real_target2_plate_reduce_to_medians(real_data):
    medians, found = [], []
    for well in ("A01", "A02"):
        joined, tables = real_cells(real_data, well)
        joined = joined.assign(Metadata_Plate="BR00121431", Metadata_Well=well, Metadata_Site=1, Metadata_Tile=1)
        features = median.features_of(list(joined.columns))
        medians.append(median.field_medians(joined, features))
        found.append(len(joined))
        area = tables["Nuclei"].set_index("ObjectNumber")["AreaShape_Area"]
        own = area[joined["Cells_Parent_Nuclei"].astype(int)]
        assert medians[-1]["Nuclei_AreaShape_Area"].iloc[0] == pytest.approx(np.median(own))
    assert (
        sum(len(table.columns) for table in tables.values()) - 2 * 2 == 5794
    )  # ImageNumber and ObjectNumber are common
    assert [frame["Metadata_cells"].iloc[0] for frame in medians] == found and min(found) > 20
    assert len(features) > 5000 and set(medians[0].columns) == set(medians[1].columns)


def as_fields(table):
    """A real plate's wells as field medians: the seeding density stands for the perturbation, the lowest for DMSO."""
    density = table["Metadata_seeding_density"].astype(str)
    fields = pd.DataFrame({
        "Metadata_Plate": table["Metadata_Plate"].astype(str), "Metadata_Well": table["Metadata_Well"], "Metadata_Site": 1,
        "Metadata_Tile": 1, "Metadata_perturbation": np.where(density == density.min(), "DMSO", density), "Metadata_target": "",
        "Metadata_control_type": np.where(density == density.min(), "negcon", ""), "Metadata_cells": 100,
    })  # fmt: skip
    features = median.features_of(list(table.columns))[::5]  # for speed
    return pd.concat([fields, table[features].astype(float).reset_index(drop=True)], axis=1), features


@pytest.mark.long
def test_a_real_plates_wells_are_profiled_by_both_recipes(real_data):
    table = pd.read_parquet(real_data / "profiles" / "pccma_bulk" / "BR00147001_bulk_annotated.parquet")
    fields, features = as_fields(table)
    kept = [name for name in select.select([fields], 0.9, "standard").query("kept == 1")["feature"]]
    assert 50 < len(kept) < len(features)
    wells, perturbations = profile.profiles([fields], kept, recipe="standard", reference=[fields])
    values = wells[kept].to_numpy()
    assert np.isfinite(values).all() and np.abs(values).max() < 1e5
    assert len(wells) == len(table) and len(perturbations) == fields["Metadata_perturbation"].nunique()
    paper = profile.profiles([fields], select.kept_features(select.select([fields], 0.9)))[0]
    assert np.isfinite(paper.filter(regex="^(Cells|Nuclei|Cytoplasm)_").to_numpy()).mean() > 0.95  # gaps stay gaps
