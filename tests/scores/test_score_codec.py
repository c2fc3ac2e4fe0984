"""What a codec loses and what its latents hold: known answers, and the command."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from brightpaint import store
from brightpaint.models.paint import gather, sample
from brightpaint.scores.images import score_codec
from brightpaint.scores.images.score_codec import Variance, latent_rows
from codec_fixture import of_kind, plate, trained
from models_fixture import CHANNELS, sample_arguments


def test_variances_are_numpys_by_element_and_by_channel():
    values = np.random.default_rng(0).normal(3, 2, size=(20, 3, 4, 5))
    found = Variance()
    for image in values.astype(np.float32):
        found.add(image)
    np.testing.assert_allclose(found.value(), values.var(0), rtol=1e-5)
    np.testing.assert_allclose(found.of_channels(), values.transpose(1, 0, 2, 3).reshape(3, -1).var(1), rtol=1e-5)


def test_active_latents_are_those_whose_mean_varies_over_images():
    """Channel 0 varies over images; 1 from place to place and not over images; 2 nowhere, but for a little."""
    rng, sums = np.random.default_rng(1), Variance()
    places = rng.normal(size=(4, 4))
    for _ in range(50):
        sums.add(np.stack([rng.normal(size=(4, 4)), places, 0.01 * rng.normal(size=(4, 4))]))
    rows = {row["metric"]: row for row in latent_rows(sums, np.full(50, 0.7), np.arange(50).astype(str), "seed")}
    assert rows["latents_active"]["value"] == pytest.approx(1 / 3) and rows["channels_active"]["value"] == 2
    assert rows["kl_element"]["value"] == pytest.approx(0.7) and rows["kl_element"]["n"] == 50


def test_one_image_has_no_variance():
    sums = Variance()
    sums.add(np.ones((2, 3, 3)))
    assert [row["metric"] for row in latent_rows(sums, np.array([0.1]), np.array(["A01"]), "seed")] == ["kl_element"]


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoded")
    sample.main(sample_arguments(trained() / "codec.safetensors", plate(), folder / "part.tif", inputs=[]))
    words = ["--parts", folder / "part.tif", "--part-seconds", folder / "part.tsv", "--fields", plate()[1]]
    words += ["--stack", folder / "P3.tif", "--rows", folder / "P3.parquet", "--seconds", folder / "P3.seconds.tsv"]
    gather.main([str(word) for word in words])
    return folder


def arguments(folder, weights):
    words = ["--settings", json.dumps({"channels": CHANNELS}), "--device", "cpu", "--arm", "ceiling", "--plates", "P3"]
    words += ["--weights", weights, "--real", plate()[0], "--predicted", folder / "P3.tif"]
    words += ["--fields", plate()[1]]
    return [str(word) for word in [*words, "--table", folder / "scores.parquet"]]


def test_the_command_scores_each_stain_and_the_latents(decoded):
    score_codec.main(arguments(decoded, trained() / "codec.safetensors"))
    table = store.read_table(decoded / "scores.parquet")
    assert set(table["metric"]) == {"l1", "kl_element", "latents_active", "channels_active"}
    assert set(table["arm"]) == {"ceiling"} and set(table["space"]) == {"images"} and set(table["subset"]) == {"full"}
    l1 = table[table["metric"] == "l1"].set_index("channel")
    real = np.array(store.open_stack(plate()[0]).images, np.float32)[:, 2:]
    painted = np.array(store.open_stack(decoded / "P3.tif").images, np.float32)
    np.testing.assert_allclose(l1.loc["DNA", "value"], np.abs(real - painted)[:, 0].mean(), rtol=1e-4)
    np.testing.assert_allclose(l1.loc["all", "value"], np.abs(real - painted).mean(), rtol=1e-4)
    assert (l1["value"] < l1["null"]).all() and (l1["low"] <= l1["value"]).all() and (l1["value"] <= l1["high"]).all()
    values = table.set_index("metric")["value"]
    assert values["kl_element"] > 0 and 0 < values["latents_active"] <= 1 and 1 <= values["channels_active"] <= 4
    assert torch.tensor(values["channels_active"]) == round(values["channels_active"])


def test_weights_of_another_kind_and_files_that_are_missing_are_said(decoded):
    other = of_kind("diffusion", decoded / "other.safetensors", trained() / "codec.safetensors")
    with pytest.raises(ValueError, match="it holds a model of kind diffusion; expected codec"):
        score_codec.main(arguments(decoded, other))
    words = arguments(decoded, trained() / "codec.safetensors")
    with pytest.raises(
        ValueError, match="--plates, --weights, --real, --predicted and --fields must name as many plates each"
    ):
        score_codec.main([*words, "--plates", "P3", "P4"])


def test_active_alone_is_scored_where_there_are_actives(decoded, tmp_path):
    actives = pd.DataFrame({"Metadata_perturbation": ["cpd1", "DMSO"], "active": [1, 0]})
    store.write_table(actives, tmp_path / "active.tsv")
    words = [*arguments(decoded, trained() / "codec.safetensors"), "--active", str(tmp_path / "active.tsv")]
    score_codec.main(words)
    counts = store.read_table(decoded / "scores.parquet").query("metric == 'kl_element'").set_index("subset")["n"]
    assert counts.to_dict() == {"full": 8, "active": 4}
