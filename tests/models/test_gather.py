import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.paint import gather
from brightpaint.models.paint.sample import rows_digest
from models_fixture import make_plate

CHANNELS = ("DNA", "ER")


def make_parts(folder, fields, count, size_px=8, channels=CHANNELS):
    """Write parts whose pixel values are their row numbers."""
    paths = []
    for part in range(1, count + 1):
        rows = store.part_rows(len(fields), part, count)
        path = folder / f"{part:03d}.tif"
        meta = {"rows": rows_digest(fields.iloc[rows])}
        shape = (len(rows), len(channels), size_px, size_px)
        with store.StackWriter(path, shape, channels, key="part", meta=meta) as writer:
            for place, row in enumerate(rows):
                writer.write(place, np.full(shape[1:], row))
        cost = {"part": part, "fields": len(rows), "wall_s": 2.5, "computed": "cpu, float32"}
        store.write_table(pd.DataFrame([cost]), path.with_suffix(".tsv"))
        paths.append(path)
    return paths


def run(folder, parts, table, active=()):
    words = ["--parts", *parts, "--part-seconds", *[part.with_suffix(".tsv") for part in parts], "--fields", table]
    words += ["--active", *active, "--stack", folder / "all.tif", "--rows", folder / "all.parquet"]
    gather.main([str(word) for word in [*words, "--seconds", folder / "seconds.tsv"]])
    return store.open_stack(folder / "all.tif"), store.read_fields(folder / "all.parquet")


@pytest.fixture
def plate(tmp_path):
    _, table = make_plate(tmp_path, "P1", 6)
    return table, store.read_fields(table)


@pytest.mark.parametrize("count", [1, 4, 8])
def test_parts_are_joined_in_the_order_of_the_field_table(tmp_path, plate, count):
    table, fields = plate
    stack, rows = run(tmp_path, make_parts(tmp_path, fields, count), table)
    assert stack.images[:, 0, 0, 0].tolist() == list(range(6)) and stack.channels == CHANNELS
    assert rows["Metadata_Well"].tolist() == fields["Metadata_Well"].tolist()
    seconds = store.read_table(tmp_path / "seconds.tsv")
    assert seconds["fields"].sum() == 6 and seconds["part"].tolist() == list(range(1, count + 1))
    assert set(seconds["computed"]) == {"cpu, float32"}
    annotations = {"Source", "Batch", "perturbation", "target", "control_type"}
    assert set(rows.columns) == set(store.FIELD_KEYS) | {f"Metadata_{name}" for name in annotations}


def test_active_subset_has_the_rows_of_active_perturbations(tmp_path, plate):
    table, fields = plate
    actives = tmp_path / "perturbations.tsv"
    store.write_table(pd.DataFrame({"Metadata_perturbation": ["cpd1", "DMSO"], "active": [1, 0]}), actives)
    chosen = fields[fields["Metadata_perturbation"] == "cpd1"]
    stack, rows = run(tmp_path, make_parts(tmp_path, chosen, 2), table, [actives])
    assert len(stack) == 3 and rows["Metadata_Well"].tolist() == ["A02", "A04", "A06"]


def test_same_parts_same_bytes(tmp_path, plate):
    table, fields = plate
    parts = make_parts(tmp_path, fields, 2)
    run(tmp_path, parts, table)
    first = [(tmp_path / name).read_bytes() for name in ("all.tif", "all.parquet")]
    run(tmp_path, parts, table)
    assert [(tmp_path / name).read_bytes() for name in ("all.tif", "all.parquet")] == first


def test_parts_that_do_not_fit_are_refused(tmp_path, plate):
    table, fields = plate
    parts = make_parts(tmp_path, fields, 3)
    with pytest.raises(ValueError, match="002.tif holds 2 fields where 3 are expected"):
        run(tmp_path, [parts[1], parts[2]][::-1][1:] + [parts[1]], table)
    with pytest.raises(ValueError, match="painted for other fields than the expected plate P1, well A01"):
        run(tmp_path, parts[::-1], table)


def test_parts_of_other_channels_or_size_are_refused(tmp_path, plate):
    table, fields = plate
    parts = make_parts(tmp_path, fields, 2)
    (tmp_path / "other").mkdir()
    for changes in ({"size_px": 16}, {"channels": ("DNA", "RNA")}):
        other = make_parts(tmp_path / "other", fields, 2, **changes)
        with pytest.raises(ValueError, match="rerun `sample`"):
            run(tmp_path, [parts[0], other[1]], table)
