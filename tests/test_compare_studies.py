"""Two studies that hold the same are found equal, and each kind of difference is named."""

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image

from brightpaint import store
from conftest import ROOT

found = importlib.util.spec_from_file_location("compare_studies", ROOT / "bench" / "compare_studies.py")
compare_studies = importlib.util.module_from_spec(found)
found.loader.exec_module(compare_studies)


def write(folder, *, shift=0.0, word="same", versions="1"):
    """Write one file of each kind; `shift` moves a value in it, `word` a word, `versions` what is not compared."""
    folder.mkdir()
    (folder / "metrics").mkdir()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 8, 8)).astype(np.float32)
    images[1, 3, 3] += shift
    tifffile.imwrite(folder / "stack.tif", images, metadata={"said": word})
    frame = pd.DataFrame({"arm": ["a", "b"], "value": [np.nan, 1.0 + shift]})
    store.write_table(frame, folder / "metrics" / "a.parquet")
    meta = {"settings": {"kind": word}, "versions": {"torch": versions}}
    store.write_weights(folder / "weights.safetensors", {"w": torch.tensor([1.0 + shift])}, meta)
    (folder / "table.tsv").write_text(f"arm\n{word}\n")
    (folder / "part.seconds.tsv").write_text(versions)
    Image.fromarray((255 * (images[1] > shift)).astype(np.uint8)).save(folder / "figure.png")
    return folder


def compared(before, after, capsys) -> tuple[int, list[dict]]:
    status = compare_studies.main([str(before), str(after)])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_same_content_is_equal_whatever_versions_and_times_say(tmp_path, capsys):
    status, lines = compared(write(tmp_path / "a"), write(tmp_path / "b", versions="2"), capsys)
    assert status == 0 and lines == [{"compared": 5, "differ": 0}]


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"shift": 0.5}, {"stack.tif", "metrics/a.parquet", "weights.safetensors", "figure.png"}),
        ({"word": "other"}, {"stack.tif", "weights.safetensors", "table.tsv"}),
    ],
)
def test_every_kind_of_difference_is_named(tmp_path, capsys, changes, named):
    status, (*lines, counts) = compared(write(tmp_path / "a"), write(tmp_path / "b", **changes), capsys)
    assert status == 1 and {line["file"] for line in lines} == named and counts["differ"] == len(named)


def test_by_how_much_and_what_is_there_once(tmp_path, capsys):
    before, after = write(tmp_path / "a"), write(tmp_path / "b", shift=0.5)
    (after / "more.tsv").write_text("")
    _, lines = compared(before, after, capsys)
    by_file = {line["file"]: line for line in lines[:-1]}
    assert by_file["metrics/a.parquet"]["differs"] == "column value: 1 of 2 values, by 0.5 at most"
    assert by_file["stack.tif"]["differs"] == "page 1: 1 of 64 values, by 0.5 at most"
    assert by_file["more.tsv"] == {"only": "after", "file": "more.tsv"} and lines[-1]["only_after"] == 1
