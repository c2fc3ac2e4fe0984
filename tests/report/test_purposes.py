"""Which arm serves which purpose: the best is named, floors and told arms do not compete, and each verdict is right."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint.report.tables import metrics_table, purposes

KINDS = {"a": "network", "b": "network", "unet": "regression", "ridge": "pixel", "blank": "mean"}


def row(arm, metric, value, plate="P1", half=0.05, **more):
    numbers = {"low": value - half, "high": value + half, "null": np.nan, "null_bound": np.nan, "floor": np.nan}
    space = "images" if metric == "pcc" else "cellprofiler"
    return {"arm": arm, "metric": metric, "subset": "full", "space": space, "plate": plate, "channel": "all", "n": 9,
            "value": value, **numbers, **more}  # fmt: skip


def answer(rows, metric, leaking=(), kinds=KINDS):
    table = purposes.answers(pd.DataFrame(rows), kinds, leaking)
    names = {purpose.metric: purpose.words for purpose in purposes.PURPOSES}
    (found,) = table[table["purpose"] == names[metric]].to_dict("records")
    return found


def test_the_best_network_is_named_and_set_beside_every_reference():
    rows = [row("a", "map_target", 0.5, null_bound=0.3), row("b", "map_target", 0.7, null_bound=0.3)]
    rows += [row("lookup", "map_target", 0.72), row("real", "map_target", 0.6), row("unet", "map_target", 0.9 - 0.4)]
    found = answer(rows, "map_target")
    assert found["best arm"] == "b" and found["reaches"] == "0.700 [0.650, 0.750]"
    assert found["chance"] == "better than 0.300" and found["look-up, no image"] == "not told from 0.720"
    assert found["real replicate plates"] == "better than 0.600"
    assert found["regression, same network"] == "better than 0.500"
    assert found["regression, pixel by pixel"] == "not measured"


def test_less_is_better_where_it_is_a_distance_and_replicates_are_its_chance_column():
    rows = [row("a", "feature_distance", 2.0, null=0.5), row("b", "feature_distance", 3.0, null=0.5)]
    found = answer(rows, "feature_distance")
    assert found["best arm"] == "a" and found["measure"] == "feature distance (less is better)"
    assert found["real replicate plates"] == "worse than 0.500" and found["chance"] == "no chance level"


def test_regression_may_be_the_best_and_floors_never_are():
    rows = [row("a", "pcc", 0.6, null_bound=0.1), row("unet", "pcc", 0.8, null_bound=0.1)]
    rows += [row("ridge", "pcc", 0.9), row("blank", "pcc", 0.95)]
    found = answer(rows, "pcc")
    assert found["look-up, no image"] == found["real replicate plates"] == "–"
    assert found["best arm"] == "unet" and found["regression, same network"] == "is the best arm"
    assert found["regression, pixel by pixel"] == "worse than 0.900"


def test_an_arm_that_is_told_the_target_competes_for_all_but_targets():
    rows = [row(arm, metric, value) for metric in ("pcc", "map_target") for arm, value in (("a", 0.4), ("b", 0.9))]
    assert answer(rows, "map_target", ["b"])["best arm"] == "a" and answer(rows, "pcc", ["b"])["best arm"] == "b"


def test_plates_that_disagree_are_said_to():
    rows = [
        row("a", "cpcor", value, plate, null_bound=0.3) for plate, value in (("P1", 0.5), ("P2", 0.25), ("P3", 0.25))
    ]
    rows += [row("lookup", "cpcor", 0.4, plate) for plate in ("P1", "P2", "P3")]
    found = answer(rows, "cpcor")
    assert found["look-up, no image"] == "better than on 1, worse than on 2 of 3 plates (0.400)"
    assert found["chance"] == "better on 1 of 3 plates (0.300)" and found["reaches"] == "0.333, 3 plates"


def variety(low, high, kinds, **more):
    """The arm `a` at 1.4, regression at 3, its noise at 1.5, and the gain over the latter between `low` and `high`."""
    rows = [
        row("a", "energy", 1.4, **more),
        row("b", "energy", 1.6),
        row("unet", "energy", 3.0),
        row("noised", "energy", 1.5),
    ]
    gain = {"space": "cellprofiler", "value": (low + high) / 2, "low": low, "high": high}
    return answer([*rows, {**row("a", "energy_gain_floor", 0), **gain}], "energy", kinds=kinds)


def test_variety_is_set_beside_regression_s_own_noise_by_pairs():
    kinds = {**KINDS, "noised": "noise"}
    words = "regression and its error's noise"
    found = variety(0.01, 0.2, kinds)
    assert found["best arm"] == "a" and found["measure"] == "energy score (less is better)"
    assert found[words] == "better than 1.500" and found["regression, same network"] == "better than 3.000"
    assert (
        variety(-0.1, 0.3, kinds)[words] == "not told from 1.500"
    )  # though the mean lies beyond the arm's own interval
    assert variety(-0.2, -0.1, kinds)[words] == "worse than 1.500"


def test_regression_s_own_noise_competes_for_nothing_and_has_a_column_only_where_it_is_an_arm():
    rows = [row("a", "pcc", 0.6), row("unet", "pcc", 0.7), row("noised", "pcc", 0.9)]
    found = answer(rows, "pcc", kinds={**KINDS, "noised": "noise"})
    assert found["best arm"] == "unet" and found["regression and its error's noise"] == "worse than 0.900"
    assert "regression and its error's noise" not in answer(rows, "pcc")


def test_within_chance_is_said_and_marked():
    rows = [row("a", "cpcor", 0.1, null_bound=0.2)]
    assert answer(rows, "cpcor")["chance"] == "within chance (0.200)"
    assert '<td class="against">within chance (0.200)</td>' in purposes.table(pd.DataFrame(rows), KINDS, []).__html__()


def test_the_metrics_page_opens_with_it_and_does_without():
    rows = [row("a", "pcc", 0.6), row("b", "pcc", 0.5)]
    page = metrics_table.page(pd.DataFrame(rows), ["a", "b"], roles={"kinds": KINDS})
    assert page.index("Which arm for which purpose") < page.index("All perturbations")
    assert "Which arm" not in metrics_table.page(pd.DataFrame(rows), ["a", "b"])
