"""What a network holds in a card's memory while it paints, and the batch that the plan suggests by it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import yaml

from brightpaint.plan import card_memory
from brightpaint.study.study import Study
from conftest import ROOT, TINY

SCHEMAS = ROOT / "workflow" / "schemas"
MB = 10**6


def study_of(folder, arms=({},), models=({},), size_px=64, **changes):
    (folder / "plates.tsv").write_text("plate\trole\tbatch\nP1\tstudy\tB1\nP2\tstudy\tB2\n")
    config = {key: TINY[key] for key in ("plates", "pixel_size_um")} | {
        "source": {"layout": "simulated"},
        "folds": [{"name": "A", "test": ["P2"]}],
        "models": [{"name": f"m{n}", "width": 16, "label": "perturbation", **model} for n, model in enumerate(models)],
        "arms": [
            {"name": f"a{n}", "model": f"m{n % len(models)}", "folds": ["A"], **arm} for n, arm in enumerate(arms)
        ],
        "prepare": {"size_px": size_px},
        **changes,
    }
    return Study.load(config, SCHEMAS, folder)


def test_what_lives_at_once_is_counted_and_what_is_let_go_is_not():
    def chain():
        a = torch.empty(1000)  # 4 kB each
        b = a + 1
        del a
        c = b * 2
        return c.view(10, 100)  # no memory of its own

    with card_memory.META:
        assert card_memory.most_bytes(chain) == 8000
        assert card_memory.most_bytes(lambda: [torch.empty(1000) for _ in range(3)]) == 12000
        q = torch.empty(1, 2, 4096, 8)
        assert card_memory.most_bytes(lambda: F.scaled_dot_product_attention(q, q, q)) == q.nbytes  # and no 4096 x 4096


def test_memory_grows_with_pixels_and_images_and_not_below_what_the_network_must_hold(tmp_path):
    one, middle, large = (card_memory.painting_bytes(study_of(tmp_path, size_px=px), "a0") for px in (64, 256, 512))
    assert large[0] == middle[0] == one[0] and large[1] == pytest.approx(4 * middle[1], rel=0.02)
    told = study_of(tmp_path, arms=({"label_scale": 2.0},), size_px=512)
    assert card_memory.painting_bytes(told, "a0")[1] == pytest.approx(2 * large[1], rel=0.05)
    # Preset fast at width 16: two maps of 16 channels at half the size are kept for the way up, and joined to another.
    assert one[1] > 4 * 3 * 16 * 32 * 32 + 4 * 8 * 64 * 64
    assert one[1] < 30 * 4 * 16 * 32 * 32


def test_the_gradient_of_a_classifier_holds_what_a_pass_without_one_lets_go(tmp_path):
    guided = study_of(
        tmp_path, arms=({}, {"classifier": "c"}), classifiers=[{"name": "c", "label": "perturbation", "width": 16}]
    )
    plain, judged = (card_memory.painting_bytes(guided, name) for name in ("a0", "a1"))
    assert judged[0] > plain[0] and judged[1] > 1.5 * plain[1]


def test_floors_need_no_card_and_what_stands_on_a_network_needs_its_own(tmp_path):
    models = (
        {"kind": "regression"},
        {"kind": "residual_noise", "base": "m0", "width": None},
        {"kind": "mean", "label": "none"},
    )
    study = study_of(tmp_path, arms=({}, {}, {}), models=models)
    assert card_memory.painting_bytes(study, "a2") is None
    assert card_memory.painting_bytes(study, "a1") == card_memory.painting_bytes(study, "a0")
    alone = study_of(tmp_path, models=({"kind": "mean", "label": "none"},))
    assert card_memory.batch_said(alone, 10, 1e9) == []


@pytest.mark.parametrize(
    ("weights", "one", "card", "fields", "batch"),
    [
        (0, MB, 100 * MB, 1000, 64),  # 70 MB are filled
        (60 * MB, MB, 100 * MB, 1000, 8),
        (0, MB, 100 * MB, 5, 8),  # a part of five
        (0, MB, 100 * MB, 1, 1),
        (69 * MB, MB, 100 * MB, 1000, 1),
        (70 * MB, MB, 100 * MB, 1000, 0),
        (90 * MB, MB, 100 * MB, 1000, 0),
    ],
)
def test_the_batch_that_fits_is_a_power_of_two_within_the_card_and_the_part(weights, one, card, fields, batch):
    assert card_memory.fitting(weights, one, card, fields) == batch


def test_the_plan_says_what_the_batch_takes_and_which_would_fit(tmp_path):
    study = study_of(tmp_path, sample={"batch": 4})
    weights, one = card_memory.painting_bytes(study, "a0")
    (larger,) = card_memory.batch_said(study, 100, (weights + 40 * one) / card_memory.FILLED)
    assert larger.startswith("sample.batch: 4 takes 0.0 of 0 GB at most (arm a0); 32 would fit")
    (smaller,) = card_memory.batch_said(study, 100, (weights + 3 * one) / card_memory.FILLED)
    assert "; 2 would fit" in smaller
    (none,) = card_memory.batch_said(study, 100, weights)
    assert "not even 1 fits: take a larger card" in none
    (part,) = card_memory.batch_said(study, 2, 1e12)
    assert "; 2 is enough for the 2 fields of a part" in part


def test_the_paper_s_network_at_its_size(tmp_path):
    """512 px, width 64: nine maps of 64 channels of the full size at the least, for what is kept for the way up is joined."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    study = Study.load(config, SCHEMAS, ROOT)
    weights, one = card_memory.painting_bytes(study, "unlabelled")
    assert weights == pytest.approx(4 * 62.7e6, rel=0.01)
    assert 9 * 4 * 64 * 512**2 < one < 2e9
