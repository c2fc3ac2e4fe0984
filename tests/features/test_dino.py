"""Embeddings: the crops, the scale, known answers of a small network, resuming, profiles."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from brightpaint import store
from brightpaint.base.intensity import eight_bit, in_window, standardise
from brightpaint.features.embedders import dino, vectors
from brightpaint.profiles import embedding_profiles, lookup
from brightpaint.report.tables import metrics_table
from conftest import write_transformer
from scores_fixture import score_arm

CHANNELS = {"input": ["BF"], "target": ["DNA", "ER"]}


def settings_of(weights, **changes):
    windows = {"window": [-1.5, 6], "brightfield_window": [-5, 5]}
    return {"weights": str(weights), **windows, "cutoff": 15, "renormalise": True, "channels": CHANNELS, **changes}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A vision transformer of the right structure, small and random."""
    return write_transformer(tmp_path_factory.mktemp("dino") / "tiny")


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    """Four fields of 96 px on two wells: the stack and the table of its rows."""
    folder = tmp_path_factory.mktemp("plate")
    rng = np.random.default_rng(0)
    images = standardise(rng.normal(size=(4, 3, 96, 96)))
    rows = pd.DataFrame({
        "Metadata_Plate": "P", "Metadata_Well": ["A01", "A01", "A02", "A02"], "Metadata_Site": [1, 2, 1, 2],
        "Metadata_Tile": 1, "Metadata_perturbation": ["c0", "c0", "DMSO", "DMSO"], "Metadata_target": ["T", "T", "", ""],
        "Metadata_control_type": ["", "", "negcon", "negcon"],
    })  # fmt: skip
    with store.StackWriter(folder / "P.tif", images.shape, ["BF", "DNA", "ER"], key="x") as writer:
        for row, image in enumerate(images):
            writer.write(row, image)
    store.write_table(rows, folder / "P.parquet")
    return folder


def embedded(plate, weights, out, arm="real", **changes):
    dino.main(
        ["--settings", json.dumps(settings_of(weights, **changes)), "--device", "cpu", "--arm", arm]
        + ["--stack", str(plate / "P.tif"), "--rows", str(plate / "P.parquet"), "--table", str(out)]
    )
    return store.read_fields(out)


def test_a_window_maps_z_scores_to_eight_bits_and_cuts_off_what_lies_beyond():
    assert in_window(np.array([-9.0, -1.5, 2.25, 6.0, 15.0]), [-1.5, 6]).tolist() == [0, 0, 0.5, 1, 1]
    assert eight_bit(np.array([-9.0, -1.5, 2.25, 6.0]), [-1.5, 6]).tolist() == [0, 0, 128, 255]


def test_the_four_crops_are_the_quarters_of_the_middle_and_small_fields_are_brought_to_512():
    field = torch.arange(512 * 512, dtype=torch.float32).reshape(1, 512, 512)
    crops = dino.four_crops(dino.middle(field))
    assert crops.shape == (4, 1, 224, 224)
    assert [int(crop[0, 0, 0]) for crop in crops] == [
        32 * 512 + 32, 32 * 512 + 256, 256 * 512 + 32, 256 * 512 + 256,
    ]  # fmt: skip
    ramp = torch.linspace(0, 1, 256).repeat(256, 1)[None]
    small = dino.middle(ramp)
    assert small.shape == (1, 448, 448)
    assert small[0, 0, 0] == pytest.approx(1 / 16, abs=5e-3)  # 32 of 512 px are cut off each side, as in the paper
    assert small[0, 0, -1] == pytest.approx(15 / 16, abs=5e-3)


def test_an_embedding_is_the_median_over_crops_of_each_channel_side_by_side_of_length_one(plate, weights, tmp_path):
    table = embedded(plate, weights, tmp_path / "P.parquet")
    names = embedding_profiles.embedding_names(table)
    assert len(table) == 4 and len(names) == 2 * 16 and names[0] == "DINO_DNA_000" and names[-1] == "DINO_ER_015"
    np.testing.assert_allclose(np.linalg.norm(table[names], axis=1), 1, atol=1e-6)
    brightfield = embedded(plate, weights, tmp_path / "brightfield.parquet", arm="brightfield")
    assert len(embedding_profiles.embedding_names(brightfield)) == 16
    # naive: one crop and channel at a time, by the network itself
    from transformers import ViTModel

    network = ViTModel.from_pretrained(weights, add_pooling_layer=False).eval()
    stack = store.open_stack(plate / "P.tif")
    said = []
    for channel in (1, 2):
        z = torch.from_numpy(standardise(stack.images[2][channel][None].astype(np.float32)))
        big = torch.nn.functional.interpolate(z[None], size=(512, 512), mode="bicubic", align_corners=False)[0, 0]
        crops = []
        for y in (32, 256):
            for x in (32, 256):
                grey = ((big[y : y + 224, x : x + 224] + 1.5) / 7.5).clip(0, 1)
                mean, sd = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
                shown = (grey[None] - mean[:, None, None]) / sd[:, None, None]
                with torch.no_grad():
                    crops.append(network(pixel_values=shown[None]).last_hidden_state[0, 0].numpy())
        said.append(np.median(crops, axis=0))
    naive = np.concatenate(said) / np.linalg.norm(np.concatenate(said))
    np.testing.assert_allclose(table.loc[2, names].to_numpy(float), naive, atol=1e-5)


def test_a_killed_job_goes_on_where_it_stopped_and_other_settings_begin_anew(plate, weights, tmp_path, monkeypatch):
    whole = embedded(plate, weights, tmp_path / "whole.parquet")
    seen = []
    see = dino.embedder

    def dying(network, window, limit=2):
        look = see(network, window)

        def once(images):
            if len(seen) == limit:
                raise KeyboardInterrupt
            seen.append(1)
            return look(images)

        return once

    monkeypatch.setattr(dino, "embedder", dying)
    with pytest.raises(KeyboardInterrupt):
        embedded(plate, weights, tmp_path / "P.parquet")
    monkeypatch.setattr(dino, "embedder", lambda *args: dying(*args, limit=4))
    pd.testing.assert_frame_equal(embedded(plate, weights, tmp_path / "P.parquet"), whole)
    assert len(seen) == 4  # two before, two after
    assert [path.name for path in tmp_path.iterdir() if ".tif" in path.name] == []
    monkeypatch.setattr(dino, "embedder", see)
    other = embedded(plate, weights, tmp_path / "P.parquet", window=[-3, 3])
    assert not np.allclose(other.filter(like="DINO"), whole.filter(like="DINO"))


def test_weights_that_are_none_are_refused_with_a_sentence(tmp_path, weights):
    device = torch.device("cpu")
    with pytest.raises(ValueError, match="is no folder and no owner/name of the hub"):
        dino.load_network("/not/here", device)
    (tmp_path / "config.json").write_text((weights / "config.json").read_text())
    with pytest.raises(ValueError, match="cannot load"):
        dino.load_network(str(tmp_path), device)
    torch.save({}, tmp_path / "pytorch_model.bin")  # a pickle is not read
    with pytest.raises(ValueError, match="cannot load"):
        dino.load_network(str(tmp_path), device)
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights / "model.safetensors")
    del tensors["layernorm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lacks .'layernorm.weight'"):
        dino.load_network(str(tmp_path), device)


def test_numbers_that_are_not_finite_name_their_field(plate, tmp_path):
    stack, rows = vectors.open_rows(plate / "P.tif", plate / "P.parquet")
    bad = lambda images: np.full((2, 3), np.nan, np.float32)  # noqa: E731
    with pytest.raises(ValueError, match="plate P, well A01, site 1, tile 1: the network answers"):
        vectors.plate_vectors(
            stack, rows, bad, 3, tmp_path / "x.parquet", arm="real", settings=settings_of("w"), made_from=[]
        )


def test_profiles_of_embeddings_are_medians_and_a_lookup_needs_no_cells():
    rng = np.random.default_rng(1)
    plates = []
    for name in ("P0", "P1"):
        frame = pd.DataFrame(rng.normal(size=(6, 3)), columns=["DINO_DNA_000", "DINO_DNA_001", "DINO_DNA_002"])
        wells = ["A01", "A01", "A02", "A02", "A03", "A03"]
        frame.insert(0, "Metadata_Plate", name)
        frame["Metadata_Well"], frame["Metadata_Site"], frame["Metadata_Tile"] = wells, [1, 2] * 3, 1
        frame["Metadata_perturbation"] = ["c0", "c0", "c0", "c0", "", ""]
        plates.append(frame)
    wells, perturbations = embedding_profiles.profiles(plates, normalise="none")
    assert len(wells) == 6 and len(perturbations) == 2 and wells["Metadata_fields"].eq(2).all()
    middle = plates[0]["DINO_DNA_001"].to_numpy()
    assert wells["DINO_DNA_001"].iloc[0] == pytest.approx(np.median(middle[:2]))
    assert perturbations["DINO_DNA_001"].iloc[0] == pytest.approx(
        np.median([np.median(middle[:2]), np.median(middle[2:4])])
    )
    found = lookup.lookup(perturbations, "P0", ["P1"])
    assert found["Metadata_Plate"].tolist() == ["P0"]
    assert found["DINO_DNA_001"].iloc[0] == pytest.approx(perturbations["DINO_DNA_001"].iloc[1])
    scaled, _ = embedding_profiles.profiles([plates[0].assign(DINO_DNA_000=4.0)], normalise="plate")
    assert scaled["DINO_DNA_000"].eq(0).all()  # constant
    standard = embedding_profiles.standardise_plate(plates[0])
    assert standard["DINO_DNA_002"].mean() == pytest.approx(0, abs=1e-9)
    assert standard["DINO_DNA_002"].std(ddof=0) == pytest.approx(1)
    with pytest.raises(ValueError, match="differ in their columns"):
        embedding_profiles.profiles([plates[0], plates[1].drop(columns="DINO_DNA_001")], normalise="none")


def paint(folder, plate, arm, change):
    """Write an arm's stack of the plate's stains, changed, its rows in another order."""
    real, rows = store.open_stack(plate / "P.tif"), store.read_fields(plate / "P.parquet").iloc[::-1]
    images = change(np.asarray(real.images[::-1, 1:], np.float32))
    (folder / arm).mkdir()
    with store.StackWriter(folder / arm / "P.tif", images.shape, CHANNELS["target"], key=arm) as writer:
        for row, image in enumerate(images):
            writer.write(row, image)
    store.write_table(rows.reset_index(drop=True), folder / arm / "P.parquet")


def test_what_is_embedded_arrives_in_the_metrics_table_of_the_report(plate, weights, tmp_path):
    """From stacks to the page: a copy is at 0, stains without grain are not."""
    paint(tmp_path, plate, "copy", lambda images: images)
    paint(tmp_path, plate, "smooth", lambda images: gaussian_filter(images, (0, 0, 4, 4)))
    embedded(plate, weights, tmp_path / "embeddings" / "real" / "P.parquet")
    written = []
    for arm in ("copy", "smooth"):
        table = tmp_path / "embeddings" / arm / "P.parquet"
        embedded(tmp_path / arm, weights, table, arm=arm)
        images = {"real": plate / "P.tif", "predicted": tmp_path / arm / "P.tif", "fields": plate / "P.parquet"}
        distances = {"dino": {"real": tmp_path / "embeddings" / "real" / "P.parquet", "painted": table}}
        settings = {"channels": CHANNELS, "cutoff": 15}
        written.append(score_arm(tmp_path / "metrics", arm, ["P"], settings, images=images, distances=distances))
    html, tsv = tmp_path / "metrics.html", tmp_path / "metrics.tsv"
    words = ["--arms", "copy", "smooth", "--metrics", *map(str, written), "--html", str(html), "--tsv", str(tsv)]
    metrics_table.main(words)
    table = store.read_table(tsv).set_index(["arm", "metric"])
    for metric in ("embedding_distance", "embedding_mmd2"):
        copy, smooth = (table.loc[(arm, metric)] for arm in ("copy", "smooth"))
        assert float(copy["value"]) == pytest.approx(0, abs=1e-6) and float(smooth["value"]) > 0.1
        assert (smooth["space"], smooth["subset"], int(smooth["n"])) == ("dino", "full", 4)
    page = html.read_text()
    assert "DINO distance ↓" in page and "DINO MMD² ↓" in page
