import math

import numpy as np
import pandas as pd
import pytest
import torch

from brightpaint import store
from brightpaint.models import train, trained
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.encoder import ConditionEncoder
from brightpaint.models.conditions.labels import label_indices, label_map, swapped_names
from brightpaint.models.networks.unet import UNet
from brightpaint.models.paint import sample
from brightpaint.models.paint.walk import classifier_free
from brightpaint.study.conditions import Part
from brightpaint.study.presets import spec_of
from models_fixture import SETTINGS, make_plate, sample_arguments, train_arguments

NAN = float("nan")
PARTS = {"dose": Part("number", 1), "fingerprint": Part("molecule", 3), "line": Part("category", 2)}


def condition():
    """Return the condition of four images: a class and a dose, a class, a dose, a fingerprint and a line, nothing."""
    dose = torch.tensor([[0.5], [NAN], [2.0], [NAN]])
    print_ = torch.tensor([[NAN] * 3, [NAN] * 3, [1.0, 0, 1], [1.0, NAN, 0]])  # half a fingerprint is none
    return Condition(
        {"label": torch.tensor([1, 2, 0, 0]), "dose": dose, "fingerprint": print_, "line": torch.tensor([0, 0, 2, 0])}
    )


def encoder(numbers=True):
    torch.manual_seed(0)
    return ConditionEncoder(2, 8, 1.0, PARTS if numbers else None)


def same(one, other):
    return all(torch.equal(part.nan_to_num(99), other.parts[name].nan_to_num(99)) for name, part in one.parts.items())


def test_rows_joined_are_the_whole_and_null_is_nothing_of_each_part():
    whole = condition()
    assert len(whole) == 4 and len(whole.rows([2])) == 1 and len(whole.rows(slice(1, 3))) == 2
    assert same(Condition.join([whole.rows([0]), whole.rows(slice(1, 4))]), whole)
    assert same(whole.rows(np.array([3, 0])).rows([1]), whole.rows([0]))
    null = whole.null()
    assert null.labels.tolist() == [0] * 4 and all(null.parts[name].isnan().all() for name in ("dose", "fingerprint"))
    assert null.labels.dtype == torch.int64 and len(null) == 4


def test_dropped_images_are_told_nothing_and_the_others_what_they_were():
    whole, dropped = condition(), torch.tensor([True, False, True, False])
    left = whole.without(dropped)
    assert same(left.rows(dropped), whole.null().rows(dropped)) and same(left.rows(~dropped), whole.rows(~dropped))
    assert whole.labels.tolist() == [1, 2, 0, 0]  # the given one stays


def test_each_part_is_dropped_by_itself():
    whole = condition()
    dropped = torch.tensor([[True, False, False, False], [False] * 4, [False, True, False, True], [True] * 4])
    left = whole.without(dropped)
    assert left.labels.tolist() == [0, 2, 0, 0] and left.parts["line"].tolist() == [0] * 4
    assert (
        left.parts["dose"][0] == 0.5 and left.parts["dose"][2].isnan() and left.parts["fingerprint"][2].isfinite().all()
    )
    assert same(whole.lacking(["dose"]), whole.without(torch.tensor([[False, True, False, False]] * 4)))
    assert same(whole.lacking(whole.parts), whole.null())
    with pytest.raises(
        ValueError, match=r"dropped of shape \(4, 2\): expected 4 images by the parts label, dose, fingerprint"
    ):
        whole.without(dropped[:, :2])


def test_null_is_all_missing_bit_for_bit_and_a_change_of_one_number_leaves_the_others_embeddings_alone():
    torch.manual_seed(1)
    network, given = encoder(), torch.randn(4, 8)
    missing = Condition(
        {"label": torch.zeros(4, dtype=torch.int64), "dose": torch.full((4, 1), NAN), "fingerprint": torch.full((4, 3), NAN),
         "line": torch.zeros(4, dtype=torch.int64)}
    )  # fmt: skip
    with torch.no_grad():
        assert torch.equal(network(given, condition().null()), network(given, missing))
        whole = condition().rows([2])
        changed = Condition({**whole.parts, "dose": torch.tensor([[2.5]])})
        alone = [network(torch.zeros(1, 8), Condition({"dose": each.parts["dose"]})) for each in (whole, changed)]
        assert (alone[0] != alone[1]).all()
        for name in ("label", "fingerprint", "line"):
            one, other = (network(torch.zeros(1, 8), each.lacking(set(PARTS) - {name})) for each in (whole, changed))
            assert torch.equal(one, other)


def test_a_missing_part_is_the_zero_vector_and_is_never_trained():
    embed, zero = encoder(), torch.zeros(4, 8)
    with torch.no_grad():
        of_label = embed(zero, Condition({"label": condition().labels}))
        of_dose = embed(zero, Condition({"dose": condition().parts["dose"]}))
        of_print = embed(zero, Condition({"fingerprint": condition().parts["fingerprint"]}))
        of_line = embed(zero, Condition({"line": condition().parts["line"]}))
        assert (of_label[2:] == 0).all() and (of_dose[[1, 3]] == 0).all() and (of_print[[0, 1, 3]] == 0).all()
        assert (of_label[:2] != 0).all() and (of_dose[[0, 2]] != 0).all() and (of_print[2] != 0).all()
        assert (of_line[[0, 1, 3]] == 0).all() and (of_line[2] != 0).all()
        torch.testing.assert_close(embed(zero, condition()), of_label + of_dose + of_print + of_line)
        given = torch.randn(4, 8)
        assert torch.equal(embed(given, condition().null()), given)
    optimiser = torch.optim.Adam(embed.parameters(), lr=0.1)
    before = {name: value.clone() for name, value in embed.state_dict().items()}
    embed(zero, condition().rows([1, 3, 3, 3]).without(torch.tensor([False, True, True, True]))).sum().backward()
    optimiser.step()
    after = embed.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if not name.startswith("table."))
    assert torch.equal(after["table.weight"][:2], before["table.weight"][:2])
    assert (after["table.weight"][2] != before["table.weight"][2]).all()


def test_a_zero_dose_is_a_dose():
    with torch.no_grad():
        shown = encoder()(torch.zeros(1, 8), Condition({"dose": torch.zeros(1, 1)}))
    assert (shown != 0).all()


def test_no_gradient_of_a_missing_number_is_not_a_number():
    embed = encoder()
    embed(torch.zeros(4, 8), condition()).square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in embed.parameters())


def test_a_network_that_is_told_labels_alone_has_the_weights_it_always_had():
    names = dict(UNet(spec_of("fast", 8), 2, 2, 3).state_dict())
    assert [name for name in names if ".condition." in name and "encoder.condition" in name] == [
        "encoder.condition.table.weight"
    ]


def test_a_part_that_the_network_does_not_know_is_refused():
    with pytest.raises(ValueError, match="condition dose: this network knows label; retrain it"):
        encoder(numbers=False)(torch.zeros(4, 8), condition())


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_a_u_net_heeds_its_dose_and_guidance_goes_further_by_each_part_by_itself(preset):
    torch.manual_seed(0)
    unet = UNet(spec_of(preset, 8), 1, 1, 2, {"dose": Part("number", 1)}).eval().requires_grad_(False)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x, y, gamma = torch.randn(2, 1, 16, 16), torch.randn(2, 1, 16, 16), torch.full((2,), 0.5, dtype=torch.float64)
    told = Condition({"label": torch.tensor([1, 2]), "dose": torch.tensor([[1.0], [NAN]])})
    lower = Condition({**told.parts, "dose": torch.tensor([[300.0], [NAN]])})
    change = (unet(x, y, gamma, told) - unet(x, y, gamma, lower)).abs().amax((1, 2, 3))
    assert change[0] > 1e-4 and change[1] == 0

    def denoise(x, y, level, condition):
        return unet(x, y, torch.full((len(y),), level, dtype=torch.float64), condition)

    full = denoise(x, y, 0.5, told)
    without = {name: denoise(x, y, 0.5, told.lacking([name])) for name in told.parts}
    close = {"rtol": 0, "atol": 2e-5}
    for name, eps in without.items():
        guided = classifier_free(denoise, {name: 2.5})(x, y, 0.5, told)
        torch.testing.assert_close(guided, eps + 2.5 * (full - eps), **close)
    both = classifier_free(denoise, {"label": 2.5, "dose": 0.5})(x, y, 0.5, told)
    wanted = full + 1.5 * (full - without["label"]) - 0.5 * (full - without["dose"])
    torch.testing.assert_close(both, wanted, **close)
    assert torch.equal(classifier_free(denoise, {"label": 1.0, "dose": 1})(x, y, 0.5, told), full)
    with pytest.raises(ValueError, match="condition_scales: the model is not told batch; it is told label, dose"):
        classifier_free(denoise, {"batch": 2.0})(x, y, 0.5, told)


# --- a label is any annotation of the study ---


def lines():
    """Return a field table of two cell lines, without perturbations."""
    return pd.DataFrame({"Metadata_Plate": "P", "Metadata_line": ["HeLa", "U2OS", None, "HeLa"], "Metadata_dose": 0.1})


def test_any_annotation_may_be_the_label_and_needs_no_perturbation():
    numbers = label_map([lines()], "line")
    assert numbers == {"HeLa": 1, "U2OS": 2}
    assert label_indices(lines(), "line", numbers).tolist() == [1, 2, 0, 1]


def test_dmso_is_a_class_of_its_own_where_the_label_is_what_a_well_was_given_and_not_elsewhere():
    table = pd.DataFrame({"Metadata_perturbation": ["DMSO", "a"], "Metadata_treatment": ["DMSO@nanuM", "a@1uM"]})
    table["Metadata_line"] = "HeLa"
    assert label_map([table], "treatment") == {"DMSO": 1, "a@1uM": 2} and label_map([table], "line") == {"HeLa": 1}


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("batch", r"label batch: the field table has no column Metadata_batch; found \['Metadata_Plate'"),
        ("treatment", "label treatment: the field table has no column Metadata_treatment"),
        ("dose", "label dose: Metadata_dose holds numbers, which are no classes"),
    ],
)
def test_a_label_that_the_table_cannot_give_is_refused_with_a_sentence(label, said):
    with pytest.raises(ValueError, match=said):
        label_map([lines()], label)


def test_a_label_without_a_target_cannot_be_swapped():
    with pytest.raises(
        ValueError, match="sampling_label swapped: label line has no target; expected one of perturbation"
    ):
        swapped_names(lines(), "line", {"HeLa": 1})


def test_a_model_is_trained_and_paints_told_an_annotation_of_the_study(tmp_path):
    plates = [make_plate(tmp_path, name, 6, seed=number) for number, name in enumerate(("P1", "P2"))]
    for _, table in plates:
        fields = store.read_fields(table)
        store.write_table(fields.assign(Metadata_line=["HeLa", "U2OS"] * 3), table)
    train.main(
        train_arguments(tmp_path, plates[:1], {**SETTINGS, "label": "line", "images": 400, "learning_rate": 1e-2})
    )
    weights = tmp_path / "weights.safetensors"
    _, meta = trained.read_model(weights)
    assert meta["label_map"] == {"HeLa": 1, "U2OS": 2} and meta["settings"]["label"] == "line"
    painted = {}
    for shown in ("own", "none"):
        sample.main(sample_arguments(weights, plates[1], tmp_path / f"{shown}.tif", sampling_label=shown))
        painted[shown] = np.array(store.open_stack(tmp_path / f"{shown}.tif").images, dtype=float)
    assert np.abs(painted["own"] - painted["none"]).mean() > 1e-3 and math.isfinite(painted["own"].sum())
