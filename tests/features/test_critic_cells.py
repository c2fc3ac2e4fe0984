"""A critic's numbers of cells by their crops, and the median cells that make a space."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brightpaint import store
from brightpaint.features.embedders import critic_cells
from brightpaint.models import train_gan
from brightpaint.models.image_encoders import read_encoder
from brightpaint.models.see_critic import NAMES
from brightpaint.profiles import median_activations
from brightpaint.study.spaces import SPACES
from cells_fixture import plate_wells, write_cells
from gan_fixture import arguments
from models_fixture import made

SPACE = SPACES["critic_cells"]
CHANNELS = {"input": [], "target": ["DNA", "RNA"]}


def learnt():
    def train(folder):
        path = write_cells(folder / "P1.tif", wells=plate_wells(1), cells=3)
        words = {"examples": "crops", "channels": CHANNELS, "images": 8, "validate_every_images": 8}
        train_gan.main(arguments(folder, [(path, path.with_suffix(".parquet"))], **words))

    return made("gan-crops", train)


def run(folder, crops):
    keys = [*store.FIELD_KEYS, "Metadata_perturbation"]
    rows = store.read_table(crops.with_suffix(".parquet"), keys).drop_duplicates(ignore_index=True)
    store.write_table(rows, folder / "rows.parquet")
    words = ["--device", "cpu", "--weights", learnt() / "weights" / "weights.safetensors", "--crops", crops]
    words += [
        "--rows",
        folder / "rows.parquet",
        "--cells",
        folder / "cells.parquet",
        "--medians",
        folder / "P1.parquet",
    ]
    critic_cells.main([str(word) for word in words])
    return store.read_table(folder / "cells.parquet"), median_activations.read(folder / "P1.parquet", SPACE)


def test_each_cell_has_its_own_numbers_and_each_field_their_median(tmp_path):
    crops = learnt() / "P1.tif"
    cells, medians = run(tmp_path, crops)
    assert median_activations.numbers_of(list(medians.columns), SPACE) == NAMES
    seen = read_encoder(learnt() / "weights" / "weights.safetensors", torch.device("cpu"))
    images = np.asarray(store.open_crops(crops).images[:, :, 0], np.float32)
    np.testing.assert_array_equal(cells[NAMES].to_numpy(np.float32), seen.numbers(images))
    assert len(medians) == 8 and (medians["Metadata_cells"] == 3).all() and "Metadata_cellnet_role" not in cells
    own = cells[cells["Metadata_Well"] == medians["Metadata_Well"][5]]
    np.testing.assert_allclose(medians.loc[5, NAMES].to_numpy(float), own[NAMES].median(), rtol=1e-5)


def test_crops_of_another_size_are_refused(tmp_path):
    crops = write_cells(tmp_path / "P1.tif", wells=plate_wells(1), cells=1, size=(1, 24, 24))
    with pytest.raises(
        ValueError, match=r"P1.tif: crops of \(1, 24, 24\) \(D, H, W\), expected \(1, 16, 16\) as .* was trained on"
    ):
        run(tmp_path, crops)
