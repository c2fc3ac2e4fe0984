"""A critic's numbers of crops of one's own: one row a crop, as an encoder says them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_critic_cells import learnt

from brightpaint import store
from brightpaint.features.embedders import own_critic
from brightpaint.models.image_encoders import read_encoder
from brightpaint.models.see_critic import NAMES
from cells_fixture import plate_wells, write_cells


def run(folder, crops):
    words = ["--device", "cpu", "--weights", learnt() / "weights" / "weights.safetensors", "--crops", crops]
    own_critic.main([str(word) for word in [*words, "--cells", folder / "cells.parquet"]])
    return store.read_table(folder / "cells.parquet")


def test_every_crop_has_its_numbers_in_the_order_of_the_crops(tmp_path):
    crops = learnt() / "P1.tif"
    cells = run(tmp_path, crops)
    seen = read_encoder(learnt() / "weights" / "weights.safetensors", torch.device("cpu"))
    images = np.asarray(store.open_crops(crops).images[:, :, 0], np.float32)
    np.testing.assert_array_equal(cells[NAMES].to_numpy(np.float32), seen.numbers(images))
    assert cells["ObjectNumber"].tolist() == store.open_crops(crops).table(["ObjectNumber"])["ObjectNumber"].tolist()


def test_crops_of_another_size_are_refused(tmp_path):
    crops = write_cells(tmp_path / "P1.tif", wells=plate_wells(1), cells=1, size=(1, 24, 24))
    with pytest.raises(ValueError, match=r"P1.tif: crops of \(1, 24, 24\) .*, expected \(1, 16, 16\)"):
        run(tmp_path, crops)
