"""Real fields through illumination, prepare, quality and flag, as the rules call them: planes stay in their order."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.plates import flag, illumination, prepare, quality
from brightpaint.study.annotations import REQUIRED
from brightpaint.study.schema import validate
from conftest import ROOT, TINY

PLANES = {"Brightfield_L": "under", "Brightfield": "focus", "Brightfield_H": "over"}
PCCMA = {"Brightfield": 1, "DNA": 5, "RNA": 6, "ER": 2, "AGP": 3, "Mito": 4}


def through(folder, raw, files: dict[str, str], channels: dict) -> tuple[store.Stack, list[tuple]]:
    """Bring one field from its raw images to its stack and flags; return (stack, [(channel, flag)])."""
    keys = {
        "Metadata_Plate": "P1",
        "Metadata_Well": "A01",
        "Metadata_Site": 1,
        **dict.fromkeys([*prepare.ORIGIN, *REQUIRED], ""),
    }
    rows = [{**keys, "Channel": name, "key": file, "file": file} for name, file in files.items()]
    store.write_table(pd.DataFrame(rows), folder / "index.parquet")

    def call(module, settings, **paths):
        words = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
        module.main(["--settings", json.dumps(settings), *words])

    names, source = list(files), {"index": folder / "index.parquet", "raw": raw}
    light = {"illumination": folder / "light.tif"}
    call(illumination, {"method": "jump", "size_px": 20, "channels": names}, **source, **light)
    size = {"size_px": 256, "grid": [1, 1], "cutoff": 15, "region": None, "pixel_size_um": None, "normalise": "image"}
    call(prepare, {**size, "channels": names}, **source, **light, stack=folder / "s.tif", fields=folder / "p.parquet")
    call(quality, {"channels": names}, **source, quality=folder / "q.parquet")
    limits = validate(TINY, ROOT / "workflow" / "schemas" / "config.schema.yaml", "config")["quality"]
    call(flag, {**limits, "exclude": False, "channels": {**channels, "here": names}}, quality=folder / "q.parquet",
         prepared=folder / "p.parquet", fields=folder / "f.parquet", flags=folder / "flags.tsv")  # fmt: skip
    flags = store.read_table(folder / "flags.tsv")
    return store.open_stack(folder / "s.tif"), list(zip(flags["Channel"], flags["flag"]))


def test_the_jump_crop_keeps_its_three_planes_in_order(real_data, tmp_path):
    """Each prepared plane is most like its own raw one, and the planes are flagged only once two are exchanged."""
    raw = real_data / "images" / "jump_BR00116991_A01_s1_bf3z_crop512"
    files = {name: f"brightfield_{kind}.tiff" for name, kind in PLANES.items()}
    channels = {"input": list(PLANES), "target": []}
    stack, flags = through(tmp_path, raw, files, channels)
    assert flags == [] and stack.channels == tuple(PLANES)
    images = [store.read_raw(raw / file).reshape(256, 2, 256, 2).mean((1, 3)) for file in files.values()]
    alike = np.array(
        [[np.corrcoef(z.ravel(), image.ravel())[0, 1] for image in images] for z in stack.images[0].astype(float)]
    )
    assert list(alike.argmax(axis=1)) == [0, 1, 2], alike
    # a function estimated from this one field is the field's own blur, and takes some of the plane with it
    assert (np.diag(alike) > 0.8).all(), alike
    exchanged = {**files, "Brightfield": files["Brightfield_H"], "Brightfield_H": files["Brightfield"]}
    (tmp_path / "exchanged").mkdir()
    assert {name for _, name in through(tmp_path / "exchanged", raw, exchanged, channels)[1]} == {"planes"}


@pytest.mark.parametrize(("spoil", "expected"), [("saturated", "saturated"), ("blank", "blank"), (None, None)])
def test_a_saturated_or_blank_channel_of_the_pccma_field_is_flagged(real_data, tmp_path, spoil, expected):
    folder = real_data / "images" / "pccma_BR00143976_C03_s3"
    files = {name: f"r03c03f03p01-ch{n}sk1fk1fl1.tiff" for name, n in PCCMA.items()}
    (tmp_path / "raw").mkdir()
    for file in files.values():
        (tmp_path / "raw" / file).symlink_to(folder / file)
    if spoil:
        image = store.read_raw(folder / files["DNA"])
        (tmp_path / "raw" / files["DNA"]).unlink()
        spoiled = np.minimum(image, 4095) if spoil == "saturated" else np.full_like(image, 150)
        store.write_raw(tmp_path / "raw" / files["DNA"], spoiled)
    channels = {"input": ["Brightfield"], "target": list(PCCMA)[1:]}
    if spoil == "blank":  # nothing is left where the only field is left out, and nothing may stay that is constant
        with pytest.raises(
            ValueError, match="well A01, site 1, tile 1, channel DNA: expected an image, but every pixel is 150"
        ):
            through(tmp_path, tmp_path / "raw", files, channels)
        measures = store.read_table(tmp_path / "q.parquet")
        assert measures.loc[measures["Channel"] == "DNA", "sd"].tolist() == [0]
        return
    stack, flags = through(tmp_path, tmp_path / "raw", files, channels)
    assert flags == ([("DNA", expected)] if expected else [])
    assert len(stack) == 1
