"""The classifier of cells by its command: it knows cells of other wells, and goes on after a kill to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.base.seeds import seed_of
from brightpaint.features import own_volumes
from brightpaint.models import train_cellnet
from brightpaint.models.crop_images import CropImages
from brightpaint.models.fit import fit
from brightpaint.models.networks.cell_network import build_cell_network
from brightpaint.models.see_cells import CellReader, read_network
from brightpaint.models.trained import read_model
from cells_fixture import arguments, learnt, plate_wells, plates, write_cells


def accuracy(folder, roles=("test",)):
    tensors, meta = read_model(folder / "weights.safetensors", ("cellnet",))
    network = build_cell_network(meta["settings"], meta["channels"], len(meta["label_map"])).eval()
    network.load_state_dict(tensors)
    paths = sorted(folder.glob("P?.tif"))
    split = store.read_table(folder / "weights.tsv")
    groups = split.loc[split["role"].isin(roles), "group"]
    data = CropImages(paths, label="perturbation", groups=groups)
    with torch.no_grad():
        answers = network(torch.from_numpy(data.take(data.chosen))).argmax(1) + 1
    return float((answers == data.condition.labels[data.chosen]).float().mean())


def test_cells_of_unseen_wells_are_told_apart_and_by_shuffled_labels_they_are_not():
    found = learnt()
    assert accuracy(found) > 0.9
    assert 0.2 < accuracy(learnt("shuffled")) < 0.8
    assert (found / "weights.tsv").read_bytes() == (learnt("shuffled") / "weights.tsv").read_bytes()
    assert "validation_loss" in (found / "weights.jsonl").read_text().splitlines()[-1]


def test_no_cell_of_a_test_well_is_ever_shown(tmp_path, monkeypatch):
    """Every crop of a well bears the well's number in a pixel: what reaches the network is counted."""
    paths = plates(tmp_path)
    table = {path: store.open_crops(path).table(["group"])["group"].unique().tolist() for path in paths}
    known = [group for path in paths for group in table[path]]
    for path in paths:
        images = store.open_crops(path)
        rows = images.table(["group"])["group"].map(known.index).to_numpy()
        marked = np.array(images.images, np.float16)
        marked[:] = (rows + 1)[:, None, None, None, None]
        path.unlink()
        with store.CropWriter(
            path, len(marked), ["DNA", "RNA"], marked.shape[2:], key="marked", meta={"pixel_um": 1.0}
        ) as writer:
            for number, image in enumerate(marked):
                writer.write(number, image, np.ones((2, *image.shape[1:])))
    shown = set()

    def watched(training, data, validation, *rest):
        held = validation.data
        shown.update(np.unique(data.take(data.chosen)).astype(int).tolist())
        for first in range(0, 200, 50):
            shown.update(np.unique(data.batch(0, first, 50)[0]).astype(int).tolist())
        shown.update(np.unique(held.take(held.chosen)).astype(int).tolist())
        return fit(training, data, validation, *rest)

    monkeypatch.setattr(train_cellnet, "fit", watched)
    train_cellnet.main(arguments(tmp_path, paths))
    split = store.read_table(tmp_path / "weights.tsv")
    seen = {known[number - 1] for number in shown}
    assert seen == set(split.loc[split["role"].isin(["train", "validate"]), "group"]) and len(seen) < len(known)


def test_a_stopped_training_goes_on_to_the_same_bytes_however_it_is_computed(tmp_path, monkeypatch):
    paths = plates(tmp_path, cells=4)
    train_cellnet.main(arguments(tmp_path, paths))

    class Stopped(Exception):
        pass

    step = train_cellnet.Training.step

    def stopping(training, *rest):
        if training.seen == 48:
            raise Stopped
        step(training, *rest)

    monkeypatch.setattr(train_cellnet.Training, "step", stopping)
    with pytest.raises(Stopped):
        train_cellnet.main(arguments(tmp_path, paths, name="again", how={"save_every_s": 0}))
    monkeypatch.undo()
    assert (tmp_path / "again.safetensors.partial").exists() and not (tmp_path / "again.safetensors").exists()
    train_cellnet.main(arguments(tmp_path, paths[::-1], name="again", how={"prefetch": 2}))
    for end in (".safetensors", ".jsonl", ".tsv"):
        assert (tmp_path / f"again{end}").read_bytes() == (tmp_path / f"weights{end}").read_bytes()
    assert not (tmp_path / "again.safetensors.partial").exists()


def test_the_network_is_kept_at_points_of_its_training_whatever_stops_it(tmp_path, monkeypatch):
    paths = plates(tmp_path, cells=4)
    train_cellnet.main(arguments(tmp_path, paths))
    how = {"umap_at": [0, 20, 64]}
    train_cellnet.main(arguments(tmp_path, paths, name="kept", **how))
    plain, kept = (store.read_weights(tmp_path / f"{name}.safetensors")[0] for name in ("weights", "kept"))
    assert all(torch.equal(value, kept[name]) for name, value in plain.items())
    assert (tmp_path / "weights.jsonl").read_bytes() == (tmp_path / "kept.jsonl").read_bytes()
    points = {point: tmp_path / f"kept.at_{point}.safetensors" for point in how["umap_at"]}
    trained = read_network(points[0], torch.device("cpu"))
    torch.manual_seed(seed_of(0, "weights"))
    untrained = build_cell_network(trained.settings, {"target": ["DNA", "RNA"]}, 2).state_dict()
    assert all(torch.equal(value, untrained[name]) for name, value in trained.network.state_dict().items())
    step = train_cellnet.Training.step

    def stopping(training, *rest):
        if training.seen == 48:
            raise KeyboardInterrupt
        step(training, *rest)

    monkeypatch.setattr(train_cellnet.Training, "step", stopping)
    stopped = {"name": "again", "how": {"save_every_s": 0}, **how}
    with pytest.raises(KeyboardInterrupt):
        train_cellnet.main(arguments(tmp_path, paths, **stopped))
    assert not list(tmp_path.glob("again.at_*"))  # none stands before the training has ended
    monkeypatch.undo()
    train_cellnet.main(arguments(tmp_path, paths, name="again", **how))
    for point, path in points.items():
        assert (tmp_path / f"again.at_{point}.safetensors").read_bytes() == path.read_bytes()
    assert len({path.read_bytes() for path in points.values()}) == 3


def test_stacks_are_learnt_by_a_network_of_three_axes(tmp_path):
    path = write_cells(tmp_path / "P1.tif", wells=plate_wells(1), cells=3, size=(5, 16, 16))
    train_cellnet.main(arguments(tmp_path, [path], label="label"))
    tensors, meta = read_model(tmp_path / "weights.safetensors", ("cellnet",))
    assert meta["settings"]["size"] == [5, 16, 16] and tensors["layers.0.0.weight"].ndim == 5
    assert meta["channels"] == {"input": [], "target": ["DNA", "RNA"]} and meta["label_map"] == {"a": 1, "b": 2}


def test_the_20_real_nuclei_of_a_stack_become_crops_and_go_through_a_step_of_a_network_of_three_axes(
    real_data, tmp_path
):
    """cells3d names no classes: large and small nuclei stand for them, each a group of its own."""
    folder, path = real_data / "images" / "nuclei3d_cells3d", tmp_path / "cells3d.tif"
    image = f"DNA={folder / 'nuclei_z00-29.tif'},{folder / 'nuclei_z30-59.tif'}"
    own_volumes.main(["--image", image, "--labels", str(folder / "labels.tif"), "--size-um", "12.48", "--pixel-um", "0.26",
                      "--planes", "24", "--border", "pad", "--plate", "cells3d", "--crops", str(path)])  # fmt: skip
    crops = store.open_crops(path)
    size = crops.masks[:, 0].sum(axis=(1, 2, 3))
    table = crops.table().assign(Metadata_label=np.where(size > np.median(size), "large", "small"))
    store.write_table(
        table.assign(group=[f"cells3d/{number}" for number in table["ObjectNumber"]]), path.with_suffix(".parquet")
    )
    step = {"label": "label", "images": 8, "batch": 8, "validation_share": 0.0, "learning_rate": 1e-2}
    train_cellnet.main(arguments(tmp_path, [path], **step))
    trained = read_network(tmp_path / "weights.safetensors", torch.device("cpu"))
    assert (
        trained.settings["size"] == [24, 48, 48]
        and trained.network.axes == 3
        and trained.labels == {"large": 1, "small": 2}
    )
    reader = CellReader([path], trained)
    activations = reader.activations(range(20))
    assert activations.shape == (20, 32) and np.isfinite(activations).all() and activations.std(axis=0).min() > 0
    with torch.inference_mode():
        maps = trained.network.maps(torch.from_numpy(reader.crops.take([0, 1])))
    assert maps.ndim == 5 and min(maps.shape[3:]) >= 8
    torch.manual_seed(seed_of(0, "weights"))
    untrained = build_cell_network(trained.settings, {"target": ["DNA"]}, 2).state_dict()
    moved = [name for name, value in trained.network.state_dict().items() if not torch.equal(value, untrained[name])]
    assert "layers.0.0.weight" in moved and "out.weight" in moved  # the step reached the first layer and the last


def test_what_cannot_be_learnt_is_refused(tmp_path):
    path = write_cells(tmp_path / "P1.tif", wells={"A01": "a", "A02": "a", "A03": "b"}, cells=2)
    with pytest.raises(
        ValueError, match="label perturbation: expected two classes or more .* found 2 classes, 1 of them"
    ):
        train_cellnet.main(arguments(tmp_path, [path]))
    with pytest.raises(
        ValueError, match="P1.tif: the cells have no annotation phase, which cellnet.label names; there are: "
    ):
        train_cellnet.main(arguments(tmp_path, [path], label="phase"))
