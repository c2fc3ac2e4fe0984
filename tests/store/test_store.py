"""The store: whole files or none, stacks that survive kills, and errors that name the file."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from brightpaint import store
from conftest import code_of_a_fork

SHAPE = (5, 2, 8, 6)
NAMES = ["Brightfield", "DNA"]


def field(n: int, shape=SHAPE[1:]) -> np.ndarray:
    return np.random.default_rng(n).normal(size=shape).astype(np.float16)


def write(path, shape=SHAPE, *, key="key", **options):
    with store.StackWriter(path, shape, NAMES, key=key, **options) as writer:
        for n in range(shape[0]):
            writer.write(n, field(n))


# --- names, digests, parts ---


def test_a_field_is_described_as_errors_do():
    row = {"Metadata_Plate": "P", "Metadata_Well": "A01", "Metadata_Site": 2, "Metadata_Tile": 3, "other": 1}
    assert store.describe_field(row, "DNA") == "plate P, well A01, site 2, tile 3, channel DNA"
    assert store.describe_field(pd.Series(row)) == "plate P, well A01, site 2, tile 3"


def test_a_field_is_found_by_its_keys_or_named(tmp_path):
    keys = {"Metadata_Plate": "P", "Metadata_Well": ["A01", "A02"], "Metadata_Site": 1, "Metadata_Tile": 1}
    table = pd.DataFrame(keys, index=[7, 3])
    assert [store.place_of(row, table) for _, row in table.iloc[::-1].iterrows()] == [1, 0]
    absent = table.iloc[0].replace("A01", "A03")
    with pytest.raises(ValueError, match="x.parquet: plate P, well A03, site 1, tile 1 is not in it; delete it"):
        store.place_of(absent, table, "x.parquet")
    with pytest.raises(ValueError, match="the table of its fields: .*well A01.* is in it 2 times"):
        store.place_of(table.iloc[0], table.iloc[[0, 1, 0]])


def test_a_gathered_stack_fits_its_table_or_is_refused(tmp_path):
    write(tmp_path / "P.tif")
    keys = {"Metadata_Plate": "P", "Metadata_Well": "A01", "Metadata_Site": np.arange(5), "Metadata_Tile": 1}
    store.write_table(pd.DataFrame(keys), tmp_path / "P.parquet")
    stack, rows = store.open_gathered(tmp_path / "P.tif")
    assert np.array_equal(stack.images[3], field(3)) and list(rows["Metadata_Site"]) == [0, 1, 2, 3, 4]
    store.write_table(pd.DataFrame(keys).iloc[:4], tmp_path / "P.parquet")
    with pytest.raises(ValueError, match="P.tif: 5 fields where its table has 4; delete both and rerun"):
        store.open_gathered(tmp_path / "P.tif")


def test_digests(tmp_path):
    assert store.digest({"b": 1, "a": 2}) == store.digest({"a": 2, "b": 1}) != store.digest({"a": 2, "b": 2})
    (tmp_path / "x").write_bytes(b"abc")
    assert store.file_digest(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_parts_cover_every_row_once():
    for n, parts in ((0, 3), (2, 3), (10, 3), (384, 16)):
        rows = [store.part_rows(n, part, parts) for part in range(1, parts + 1)]
        assert np.concatenate(rows).tolist() == list(range(n))
        assert max(map(len, rows)) - min(map(len, rows)) <= 1
    for part in (0, 4):
        with pytest.raises(ValueError, match=f"part {part} of 3: expected a part from 1 to 3"):
            store.part_rows(10, part, 3)


# --- whole files ---


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "below" / "x.txt"
    with store.atomic(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), store.atomic(path) as temporary:
        temporary.write_text("new, cut sh")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(path.parent) == ["x.txt"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@pytest.mark.parametrize("name", ["t.parquet", "t.tsv", "t.csv"])
def test_tables_come_back_the_same_bytes_each_time(tmp_path, name):
    frame = pd.DataFrame(
        {"Metadata_Plate": ["001", "002"], "Metadata_Well": ["A01", ""], "x": [1.5, -2.0], "n": [1, 2]}
    )
    store.write_table(frame, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    pd.testing.assert_frame_equal(store.read_table(tmp_path / name), frame)
    pd.testing.assert_frame_equal(store.read_table(tmp_path / name, ["x"]), frame[["x"]])
    store.write_table(frame, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    with pytest.raises(ValueError, match=rf"{name}: columns \['y'\] are missing"):
        store.read_table(tmp_path / name, ["x", "y"])


@pytest.mark.parametrize("name", ["t.parquet", "t.tsv", "t.csv"])
def test_annotations_come_back_as_they_were_written(tmp_path, name):
    """A compound may be called 0012, NA or 1e5: names that pandas takes for numbers, gaps and truths."""
    odd = ["0012", "NA", "nan", "1e5", "TRUE", "", " x"]
    text = ["Metadata_Plate", "Metadata_Well", "Metadata_Batch", "Metadata_perturbation", "Metadata_target", "Metadata_mine",
            "Channel", "feature", "plate", "arm"]  # fmt: skip
    frame = pd.DataFrame(dict.fromkeys(text, odd)).assign(
        Metadata_Site=range(7), Metadata_cells=[1, np.nan, 2, 3, 4, 5, 6], y_px=[0.5] * 6 + [2], active=[0, 1] * 3 + [1]
    )
    store.write_table(frame, tmp_path / name)
    pd.testing.assert_frame_equal(store.read_table(tmp_path / name), frame)
    for one in ("0012", "NA", ""):
        alone = frame.assign(**dict.fromkeys(text, one))
        store.write_table(alone, tmp_path / name)
        pd.testing.assert_frame_equal(store.read_table(tmp_path / name, required=["active"]), alone)


def test_every_column_of_the_tables_of_actives_is_what_it_was(tmp_path):
    frame = pd.DataFrame({"Metadata_perturbation": ["0012", "NA"], "shift": [np.nan, 1.5], "active": [0, 1]})
    store.write_table(store.as_text(frame), tmp_path / "a.tsv")
    found = store.read_actives(tmp_path / "a.tsv")
    assert found["Metadata_perturbation"].tolist() == ["0012", "NA"] and np.isnan(found["shift"][0])


def test_a_broken_parquet_is_named(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(ValueError, match="t.parquet: not a readable parquet file .*; delete it and rerun"):
        store.read_table(tmp_path / "t.parquet")


def test_field_tables_have_whole_unique_keys(tmp_path):
    frame = pd.DataFrame([["P", "A01", 1, 1], ["P", "A01", 1, 2]], columns=store.FIELD_KEYS)
    store.write_table(frame, tmp_path / "f.parquet")
    assert len(store.read_fields(tmp_path / "f.parquet")) == 2
    store.write_table(frame.assign(Metadata_Tile=1), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match="f.parquet: plate P, well A01, site 1, tile 1 occurs twice"):
        store.read_fields(tmp_path / "f.parquet")
    store.write_table(frame.drop(columns="Metadata_Tile"), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match=r"field keys \['Metadata_Tile'\] are missing"):
        store.read_fields(tmp_path / "f.parquet")


def test_files_that_the_user_names_are_read_or_named(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert store.read_bytes(tmp_path / "x", "source.exclude") == b"abc"
    with pytest.raises(ValueError, match="source.exclude: cannot read .*none .No such file.*correct its path"):
        store.read_bytes(tmp_path / "none", "source.exclude")


# --- locks and journals ---


def test_a_lock_keeps_others_out_and_goes_with_its_block(tmp_path):
    path = tmp_path / "x.tif"
    with store.locked(path):
        with pytest.raises(ValueError, match="x.tif is being made by another process; wait for it, or stop it"):
            with store.locked(path):
                pass
    assert os.listdir(tmp_path) == []
    with store.locked(path):
        pass


def test_a_lock_dies_with_its_process(tmp_path):
    def die():
        with store.locked(tmp_path / "x"):
            os._exit(9)

    assert code_of_a_fork(die) == 9
    assert (tmp_path / "x.lock").exists()
    with store.locked(tmp_path / "x"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_journal_is_read_back_but_for_a_line_cut_short(tmp_path):
    journal = store.Journal(tmp_path / "j", "key")
    rows = [{"row": 0, "mean": 0.1 + 0.2}, {"row": 1, "mean": 1e-300}]
    assert not journal.begun
    places = [journal.add(row) for row in rows]
    journal.close()
    with open(tmp_path / "j", "ab") as handle:
        handle.write(b'{"row": 2, "me')
    journal = store.Journal(tmp_path / "j", "key")
    assert journal.begun and list(journal.lines()) == list(zip(places, rows))  # floats to the last bit
    places.append(journal.add({"row": 2}))
    assert [journal.at(place) for place in places[::-1]] == [{"row": 2}, *rows[::-1]] and min(places) > 0
    journal.close()
    again = store.Journal(tmp_path / "j", "key")
    assert list(again.lines()) == list(zip(places, [*rows, {"row": 2}]))
    again.remove()
    assert os.listdir(tmp_path) == []


def test_a_journal_of_another_key_begins_anew(tmp_path):
    journal = store.Journal(tmp_path / "j", "one")
    journal.add({"row": 0})
    journal.close()
    for key in ("two", "one"):
        other = store.Journal(tmp_path / "j", key)
        assert not other.begun and list(other.lines()) == []


def test_rows_are_read_and_written_in_batches_as_a_whole_table_would_be(tmp_path, monkeypatch):
    monkeypatch.setattr(store.tables, "BATCH_ROWS", 7)
    frame = pd.DataFrame({"a": [f"w{n}" for n in range(20)], "b": range(20), "c": np.arange(20) / 3})
    frame.loc[3, "c"] = np.nan
    records = frame.to_dict("records")
    assert store.write_rows(iter(records), tmp_path / "x.parquet") == 20
    pd.testing.assert_frame_equal(store.read_table(tmp_path / "x.parquet"), frame)
    read = store.Rows(tmp_path / "x.parquet", ["b", "a"])
    assert len(read) == 20
    for _ in range(2):
        assert [(row["a"], row["b"]) for row in read] == [(row["a"], row["b"]) for row in records]
    assert all(set(row) == {"a", "b"} for row in read)
    store.write_rows(iter(records), tmp_path / "one.tsv", columns=["b", "a"])
    store.write_table(frame[["b", "a"]], tmp_path / "two.tsv")
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()


def test_rows_name_the_file_that_lacks_a_column_and_refuse_an_empty_table(tmp_path):
    store.write_rows([{"a": 1}], tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"x.parquet: columns \['b'\] are missing; delete it and rerun"):
        store.Rows(tmp_path / "x.parquet", ["a", "b"])
    (tmp_path / "y.parquet").write_bytes(b"no")
    with pytest.raises(ValueError, match="y.parquet: not a readable parquet file"):
        store.Rows(tmp_path / "y.parquet", ["a"])
    with pytest.raises(ValueError, match="z.parquet: there are no rows to write"):
        store.write_rows([], tmp_path / "z.parquet")
    assert not (tmp_path / "z.parquet").exists()


# --- stacks ---


def test_a_stack_comes_back_by_channel_name(tmp_path):
    write(tmp_path / "s.tif", meta={"method": "x"})
    stack = store.open_stack(tmp_path / "s.tif")
    assert stack.images.shape == SHAPE and stack.images.dtype == np.float16 and len(stack) == 5
    assert stack.channels == tuple(NAMES) and stack.meta["method"] == "x"
    for n in range(5):
        np.testing.assert_array_equal(stack.images[n], field(n))
    assert stack.channel_indices(["DNA", "Brightfield"]) == [1, 0]
    with pytest.raises(ValueError, match=r"s.tif: channels \['RNA'\] are missing; it holds \['Brightfield', 'DNA'\]"):
        stack.channel_indices(["DNA", "RNA"])
    assert os.listdir(tmp_path) == ["s.tif"]


def test_a_stack_is_an_ordinary_tiff(tmp_path):
    write(tmp_path / "s.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "s.tif")[3], field(3))


def test_the_same_bytes_whatever_the_order_of_writing(tmp_path):
    write(tmp_path / "one.tif")
    with store.StackWriter(tmp_path / "two.tif", SHAPE, NAMES, key="another") as writer:
        for n in (4, 0, 3, 1, 2):
            writer.write(n, field(n).astype(np.float64))
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "two.tif").read_bytes()


def test_a_stack_of_no_fields(tmp_path):
    write(tmp_path / "s.tif", (0, *SHAPE[1:]))
    stack = store.open_stack(tmp_path / "s.tif")
    assert stack.images.shape == (0, *SHAPE[1:]) and len(stack) == 0


def test_float32_for_illumination(tmp_path):
    with store.StackWriter(tmp_path / "s.tif", (1, 2, 8, 6), NAMES, key="k", dtype="float32") as writer:
        writer.write(0, np.full((2, 8, 6), 1 / 3))
        np.testing.assert_array_equal(writer.read(0), np.float32(1 / 3))
    assert store.open_stack(tmp_path / "s.tif").images.dtype == np.float32


def test_bad_fields_are_refused(tmp_path):
    writer = store.StackWriter(tmp_path / "s.tif", SHAPE, NAMES, key="k")
    with pytest.raises(ValueError, match=r"field 0 has shape \(2, 8, 7\), expected \(2, 8, 6\)"):
        writer.write(0, field(0, (2, 8, 7)))
    for bad in (np.nan, np.inf, 1e6):  # 1e6 is infinite in float16
        with pytest.raises(ValueError, match="field 1 holds values that are not finite"), np.errstate(over="ignore"):
            writer.write(1, np.full((2, 8, 6), bad))
    with pytest.raises(ValueError, match="field 5 is outside the stack of 5"):
        writer.write(5, field(5))
    with pytest.raises(ValueError, match="5 of 5 fields were not written"):
        writer.finish()
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="3 channels in shape .* but 2 names"):
        store.StackWriter(tmp_path / "s.tif", (5, 3, 8, 6), NAMES, key="k")


def test_a_second_writer_is_refused_until_the_first_lets_go(tmp_path):
    first = store.StackWriter(tmp_path / "s.tif", SHAPE, NAMES, key="k")
    with pytest.raises(ValueError, match="s.tif is being made by another process"):
        store.StackWriter(tmp_path / "s.tif", SHAPE, NAMES, key="k")
    first.close()
    write(tmp_path / "s.tif", key="k")


@pytest.fixture
def killed(tmp_path):
    """The path of a stack whose writer was killed after fields 0 and 3."""
    path = tmp_path / "s.tif"

    def die():
        writer = store.StackWriter(path, SHAPE, NAMES, key="k")
        writer.write(0, field(0))
        writer.write(3, field(3))
        os._exit(9)

    assert code_of_a_fork(die) == 9
    assert not path.exists() and (tmp_path / "s.tif.partial").exists()
    return path


def test_a_killed_stack_is_continued_to_the_same_bytes(killed):
    with store.StackWriter(killed, SHAPE, NAMES, key="k") as writer:
        assert writer.done.tolist() == [True, False, False, True, False]
        np.testing.assert_array_equal(writer.read(3), field(3))
        for n in (1, 2, 4):
            writer.write(n, field(n))
    write(killed.with_name("whole.tif"))
    assert killed.read_bytes() == killed.with_name("whole.tif").read_bytes()
    assert sorted(os.listdir(killed.parent)) == ["s.tif", "whole.tif"]


@pytest.mark.parametrize(
    "change", [{"key": "other"}, {"dtype": "float32"}, {"meta": {"x": 1}}, {"shape": (6, 2, 8, 6)}]
)
def test_unfinished_work_of_another_key_is_set_aside(killed, change):
    options = {"shape": SHAPE, "key": "k", **change}
    writer = store.StackWriter(killed, options.pop("shape"), NAMES, **options)
    assert not writer.done.any()
    assert killed.with_name("s.tif.stale").exists()
    writer.close()


def test_a_journal_cut_short_is_not_trusted(killed):
    journal = killed.with_name("s.tif.partial.done")
    journal.write_bytes(journal.read_bytes()[:66])
    writer = store.StackWriter(killed, SHAPE, NAMES, key="k")
    assert len(writer.done) == 5 and not writer.done.any()
    writer.close()


def test_a_failed_block_keeps_what_is_done(tmp_path):
    with pytest.raises(RuntimeError), store.StackWriter(tmp_path / "s.tif", SHAPE, NAMES, key="k") as writer:
        writer.write(2, field(2))
        raise RuntimeError
    assert not (tmp_path / "s.tif").exists()
    again = store.StackWriter(tmp_path / "s.tif", SHAPE, NAMES, key="k")
    assert again.done.tolist() == [False, False, True, False, False]
    again.close()


def test_a_full_disk_is_an_error_that_says_how_much_is_needed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.stacks.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="s.tif: the disk is full; this stack needs 0.00 GB"):
        store.StackWriter(tmp_path / "s.tif", SHAPE, NAMES, key="k")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kept", [0, 4, 200, 1000])
def test_a_truncated_stack_is_named(tmp_path, kept):
    write(tmp_path / "s.tif")
    whole = (tmp_path / "s.tif").read_bytes()
    (tmp_path / "s.tif").write_bytes(whole[:kept])
    with pytest.raises(ValueError, match="s.tif: (not a plate stack|truncated).*; delete it and rerun"):
        store.open_stack(tmp_path / "s.tif")


def test_foreign_files_are_no_stacks(tmp_path):
    path = tmp_path / "s.tif"
    path.write_bytes(b"\x89PNG" + bytes(500))
    with pytest.raises(ValueError, match="s.tif: not a plate stack"):
        store.open_stack(path)
    tifffile.imwrite(path, np.zeros((3, 8, 8), np.float16), photometric="minisblack")
    with pytest.raises(ValueError, match="s.tif: not a plate stack"):
        store.open_stack(path)
    with pytest.raises(FileNotFoundError):
        store.open_stack(tmp_path / "none.tif")


# --- single images ---


def test_raw_images_come_back_the_same_bytes_each_time(tmp_path):
    image = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    for name in ("one.tif", "two.tif"):
        store.write_raw(tmp_path / name, image)
        np.testing.assert_array_equal(store.read_raw(tmp_path / name), image)
        store.check_raw(tmp_path / name)
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "two.tif").read_bytes()


@pytest.mark.parametrize("read", [store.read_raw, store.check_raw])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a TIFF, found nothing"),
        (b"", "expected a TIFF, found an empty file"),
        (b"GIF89a" + bytes(300), "expected a whole TIFF, found one that cannot be read"),
        (300, "expected a whole TIFF of .* bytes, found it truncated at 300"),
    ],
)
def test_files_that_are_no_whole_tiff_are_named(tmp_path, read, content, message):
    path = tmp_path / "x.tif"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        store.write_raw(path, np.ones((40, 40), np.uint16))
        path.write_bytes(path.read_bytes()[:content])
    with pytest.raises(ValueError, match=rf"x.tif \(plate P, well A01\): {message}.*; fetch it again"):
        read(path, "plate P, well A01")


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.ones((8, 8), np.uint8), "1 page.s. of shape .8, 8. and type uint8"),
        (np.ones((8, 8), np.float32), "type float32"),
        (np.full((8, 8), np.nan, np.float32), "type float32"),
        (np.ones((8, 8, 3), np.uint16), "shape .8, 8, 3."),
        (np.ones((2, 8, 8), np.uint8), "2 page.s."),
    ],
)
def test_images_of_another_kind_are_named(tmp_path, image, found):
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="rgb" if image.shape[-1] == 3 else "minisblack")
    with pytest.raises(
        ValueError,
        match=f"x.tif .here.: expected one 16-bit greyscale page, found .*{found}.*(export|split its 3 channels)",
    ):
        store.read_raw(tmp_path / "x.tif", "here")


def test_the_advice_fits_what_was_found(tmp_path):
    """Pages that are 16-bit grey already are not to be exported as such: the command that splits them is named."""
    command = "python -m brightpaint.plates.tabulate FOLDER --unpack SINGLE --table images.csv --channels NAME ..."
    tifffile.imwrite(tmp_path / "x.tif", np.ones((2, 8, 8), np.uint16))
    with pytest.raises(
        ValueError, match="found 2 page.s. of .* type uint16; split its 2 pages into files of one"
    ) as error:
        store.read_raw(tmp_path / "x.tif")
    assert str(error.value).endswith(command) and "export" not in str(error.value)
    tifffile.imwrite(tmp_path / "x.tif", np.ones((8, 8), np.uint8))
    with pytest.raises(
        ValueError, match="export the images as 16-bit greyscale, or have this done with every value kept"
    ):
        store.read_raw(tmp_path / "x.tif")
    tifffile.imwrite(tmp_path / "x.tif", np.ones((8, 8), np.int32))
    with pytest.raises(ValueError, match="type int32; export the images as 16-bit greyscale$"):
        store.read_raw(tmp_path / "x.tif")


# --- weights ---


def test_weights_come_back_the_same_bytes_each_time(tmp_path):
    tensors = {"b": torch.arange(6.0).reshape(2, 3).T, "a": torch.ones(2, dtype=torch.float16)}
    meta = {"settings": {"z": 1, "a": [1, 2]}, "channels": ["DNA"]}
    store.write_weights(tmp_path / "one.safetensors", tensors, meta)
    store.write_weights(tmp_path / "two.safetensors", dict(reversed(tensors.items())), dict(reversed(meta.items())))
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    found, described = store.read_weights(tmp_path / "one.safetensors")
    assert described == meta and set(found) == {"a", "b"}
    assert torch.equal(found["b"], tensors["b"]) and found["a"].dtype == torch.float16


def test_foreign_weights_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "w.safetensors"
    save_file({"a": torch.ones(1)}, str(path))
    with pytest.raises(ValueError, match="w.safetensors: not a brightpaint weights file"):
        store.read_weights(path)
    torch.save({"a": torch.ones(1)}, path)  # a pickle is never loaded
    with pytest.raises(ValueError, match="w.safetensors: not a brightpaint weights file.*expected safetensors"):
        store.read_weights(path)
    with pytest.raises(FileNotFoundError):
        store.read_weights(tmp_path / "none.safetensors")


def test_json_lines_come_back(tmp_path):
    records = [{"images": 8, "loss": 0.5}, {"images": 16, "loss": 0.25}]
    store.write_json_lines(records, tmp_path / "h.jsonl")
    assert store.read_json_lines(tmp_path / "h.jsonl") == records
    assert json.loads((tmp_path / "h.jsonl").read_text().splitlines()[1]) == records[1]


def test_an_atomic_folder_replaces_the_old_one_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"
    with store.atomic_folder(path) as folder:
        (folder / "old").touch()
    with pytest.raises(RuntimeError), store.atomic_folder(path) as folder:
        (folder / "new").touch()
        raise RuntimeError
    assert os.listdir(path) == ["old"]
    with store.atomic_folder(path) as folder:
        (folder / "new").touch()
    assert os.listdir(path) == ["new"] and os.listdir(tmp_path) == ["out"]
