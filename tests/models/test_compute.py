import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from brightpaint import store
from brightpaint.models import compute, steps, train
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from conftest import swept
from models_fixture import SETTINGS, make_plate, train_arguments

SOURCE = Path(train.__file__).parents[2]


@pytest.fixture
def plates(tmp_path):
    return [make_plate(tmp_path, name, 10, seed=number) for number, name in enumerate(("P1", "P2"))]


def trained(folder, plates, name="weights", how=None, **changes):
    """Train and return the weights and the lines of the history."""
    arguments = train_arguments(folder, plates, {**SETTINGS, **changes}, name)
    train.main([*arguments, "--compute", json.dumps(how or {})])
    return store.read_weights(folder / f"{name}.safetensors"), store.read_json_lines(folder / f"{name}.jsonl")


def losses(lines, key="loss"):
    return [line[key] for line in lines if key in line]


# --- reading ahead ---


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_batches_made_ahead_come_in_order_and_as_they_are(threads):
    made = list(compute.ahead(lambda item: (np.full(3, item), np.array(item)), range(20), threads))
    assert [int(number) for _, number in made] == list(range(20))
    assert all(values.tolist() == [int(number)] * 3 for values, number in made)


def test_reading_ahead_stops_with_its_reader_and_passes_errors_on():
    made = []
    stream = compute.ahead(lambda item: (made.append(item), (np.zeros(1),))[1], range(1000), 2)
    next(stream)
    stream.close()
    assert len(made) < 20

    def broken(item):
        raise ValueError("truncated")

    with pytest.raises(ValueError, match="truncated"):
        next(compute.ahead(broken, range(3), 2))


def test_prefetch_and_save_interval_do_not_change_a_byte(tmp_path, plates):
    plain = trained(tmp_path, plates)
    ahead = trained(tmp_path, plates, "ahead", {"prefetch": 3, "save_every_s": 0})
    assert (tmp_path / "weights.safetensors").read_bytes() == (tmp_path / "ahead.safetensors").read_bytes()
    assert plain[1] == ahead[1]


# --- reading, working and writing at once ---


def in_turn(events: dict, at: int | None = None, stage: str = ""):
    """Read, work and write functions that note what they do in `events`, and fail at one item of one stage."""

    def stages(name):
        def stage_of(item, *rest):
            events.setdefault(name, []).append(item)
            if item == at and name == stage:
                raise RuntimeError(f"{name} {item}")
            return (item,) if name == "read" else item * 10

        return stage_of

    return stages("read"), stages("work"), stages("write")


def test_overlapped_items_keep_their_order_and_are_all_written():
    events, results = {}, []
    read, work, _ = in_turn(events)
    done = list(compute.overlapped(range(7), read, work, lambda item, result: results.append((item, result))))
    assert done == events["work"] == list(range(7)) and results == [(item, 10 * item) for item in range(7)]
    assert list(compute.overlapped([], read, work, None)) == []


@pytest.mark.parametrize(("stage", "written"), [("read", [0, 1]), ("work", [0, 1]), ("write", [0, 1, 2])])
def test_an_error_of_any_stage_ends_it_and_what_was_worked_on_is_written(stage, written):
    events = {}
    with pytest.raises(RuntimeError, match=f"{stage} 2"):
        list(compute.overlapped(range(9), *in_turn(events, 2, stage)))
    assert events["write"][:3] == written
    assert len(events["work"]) < 5 and len(events["read"]) < 7  # no more is begun


def test_the_next_is_read_and_the_last_written_while_one_is_worked_on():
    """Each stage waits for the other's: one after the other would never end."""
    reading, working = [threading.Event() for _ in range(4)], [threading.Event() for _ in range(4)]

    def read(item):
        reading[item].set()
        return (item,)

    def work(item):
        working[item].set()
        assert item == 3 or reading[item + 1].wait(30)

    def write(item, _):
        assert item == 3 or working[item + 1].wait(30)

    assert list(compute.overlapped(range(4), read, work, write)) == [0, 1, 2, 3]


# --- precision, layout, compilation: what a GPU does, as far as a CPU can ---


def test_precision_is_bfloat16_on_a_gpu_that_has_it_unless_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert Compute(torch.device("cuda")).dtype == torch.bfloat16 == Compute(precision="bfloat16").dtype
    assert Compute().dtype == torch.float32 == Compute(torch.device("cuda"), precision="float32").dtype
    assert Compute(torch.device("cuda")).layout() == torch.channels_last
    assert Compute().layout(5) == torch.contiguous_format


def test_a_card_that_only_imitates_bfloat16_computes_in_float32_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with caplog.at_level("INFO"):
        how = Compute(torch.device("cuda"))
        assert how.dtype == torch.float32 and str(how) == "cuda, float32" and how.layout() == torch.contiguous_format
    assert caplog.text.count("this GPU has no bfloat16: networks are computed in float32") == 1
    with pytest.raises(ValueError, match="compute.precision bfloat16: this GPU has no bfloat16.*auto or float32"):
        str(Compute(torch.device("cuda"), precision="bfloat16"))
    assert Compute(torch.device("cuda"), precision="float32").dtype == torch.float32
    assert Compute(precision="bfloat16").dtype == torch.bfloat16  # a CPU computes in it, to try the path


def test_cudnn_times_its_algorithms_on_a_gpu_and_only_there(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.nn.Module, "to", lambda model, *_, **__: model)  # no card here to move to
    model = torch.nn.Conv2d(1, 1, 1)
    assert Compute().place(model) is model and not torch.backends.cudnn.benchmark
    Compute(torch.device("cuda"), precision="float32").place(model)
    assert torch.backends.cudnn.benchmark


# --- fetching ---


def far(monkeypatch) -> list:
    """Let tensors on the meta device be fetched as 0, 1, 2, ...; return the list of transfers as (type, numbers)."""
    transfers = []

    def cpu(flat):
        transfers.append((flat.dtype, flat.numel()))
        return torch.arange(flat.numel()).to(flat.dtype)

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    return transfers


def test_tensors_of_one_type_are_fetched_in_one_transfer_and_keep_names_and_shapes(tmp_path, monkeypatch):
    shapes = {"a": (2, 3), "b": (), "c": (4, 1, 2, 2), "n": (3,)}
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    tensors["n"] = tensors["n"].long()
    tensors["c"] = tensors["c"].to(memory_format=torch.channels_last)
    tensors["here"] = torch.ones(2)
    transfers = far(monkeypatch)
    came = compute.fetched(tensors)
    assert transfers == [(torch.float32, 6 + 1 + 16), (torch.int64, 3)]
    assert list(came) == list(tensors) and came["here"] is tensors["here"]
    assert {name: tuple(came[name].shape) for name in shapes} == shapes
    assert came["a"].flatten().tolist() == [0, 1, 2, 3, 4, 5] and came["b"].item() == 6 and came["c"][0, 0, 0, 1] == 8
    monkeypatch.undo()
    store.write_weights(tmp_path / "w.safetensors", came, {})
    read = store.read_weights(tmp_path / "w.safetensors")[0]
    assert all(torch.equal(read[name], came[name]) for name in came)


def test_what_is_here_already_is_not_copied_and_numbers_are_fetched_together(monkeypatch):
    tensors = {"a": torch.ones(3)}
    assert compute.fetched(tensors)["a"] is tensors["a"] and compute.fetched({}) == {}
    transfers = far(monkeypatch)
    assert compute.numbers([7, *torch.empty(3, device="meta").unbind(), torch.tensor(2.5), 1.5]) == [
        7,
        0,
        1,
        2,
        2.5,
        1.5,
    ]
    assert transfers == [(torch.float32, 3)]


def test_a_state_is_fetched_in_as_many_transfers_as_it_has_kinds(plates, monkeypatch):
    """Not in one for each of a network's tensors, of its moments and of its counts of steps."""
    torch.manual_seed(0)
    model = build_denoiser(SETTINGS, SETTINGS["channels"], 0)
    long = {**SETTINGS, "images": 10**6}  # no line of history is due yet
    run = steps.Training({"model": model}, Denoising(2, "v", "l2", 0.1), long)
    batches = run.batches(TrainingImages(*zip(*plates), channels=SETTINGS["channels"], label="none"))
    for _ in range(3):
        run.step(*next(batches))
    calls, fetched = [], compute.fetched
    monkeypatch.setattr(compute, "fetched", lambda tensors: calls.append(len(tensors)) or fetched(tensors))
    tensors, meta = run.state()
    count = len(list(model.parameters()))
    assert sorted(calls) == sorted([3, 0, *[count] * 5])  # losses; no best; weights, mean, two moments, counts of steps
    assert set(meta["steps"].values()) == {3} and len(meta["steps"]) == count and len(tensors) == 4 * count


class Waits(TorchDispatchMode):
    """Fail where the host asks a tensor for its value."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        assert name not in ("_local_scalar_dense", "is_nonzero", "nonzero", "equal"), f"a training step calls {name}"
        return function(*args, **(kwargs or {}))


def test_no_training_step_waits_for_the_device(plates):
    run = steps.Training(
        {"model": build_denoiser(SETTINGS, SETTINGS["channels"], 0)}, Denoising(2, "v", "l2", 0.1),
        {**SETTINGS, "clip_norm": 1.0, "images": 10**6, "decay": "constant"},
    )  # fmt: skip
    batches = run.batches(TrainingImages(*zip(*plates), channels=SETTINGS["channels"], label="none"))
    run.step(*next(batches))
    with Waits():
        run.step(*next(batches))
        with pytest.raises(AssertionError, match="a training step calls _local_scalar_dense"):
            float(torch.ones(1))


@pytest.mark.parametrize("preset", swept(["fast", "paper"], ["fast"]))
def test_bfloat16_in_channels_last_learns_the_same_within_its_precision(tmp_path, plates, preset):
    changes = {"preset": preset, "validation_share": 0.2, "images": 12}
    (_, meta), plain = trained(tmp_path, plates, **changes)
    (tensors, half_meta), half = trained(tmp_path, plates, "half", {"precision": "bfloat16"}, **changes)
    np.testing.assert_allclose(losses(half), losses(plain), rtol=0.05)  # bfloat16 holds 8 bits: 0.4% a product
    np.testing.assert_allclose(losses(half, "validation_loss"), losses(plain, "validation_loss"), rtol=0.05)
    assert all(value.dtype == torch.float32 for value in tensors.values())
    assert meta["versions"]["computed"].startswith("cpu, float32")
    assert half_meta["versions"]["computed"].startswith("cpu, bfloat16")


def test_channels_last_state_goes_on_where_it_was(tmp_path, plates):
    """Layout is no content: a restored training has the weights, means and moments that were saved, in its own layout."""
    torch.manual_seed(0)
    model = build_denoiser(SETTINGS, SETTINGS["channels"], 0)
    run = steps.Training({"model": model}, Denoising(2, "v", "l2", 0.1), SETTINGS, Compute(precision="bfloat16"))
    assert (
        run.networks["model"].network.encoder.stages[0].conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    )
    data = TrainingImages(*zip(*plates), channels=SETTINGS["channels"], label="none")
    batches = run.batches(data)
    for _ in range(2):
        run.step(*next(batches))
    store.write_weights(tmp_path / "state", *run.state())
    other_model = build_denoiser(SETTINGS, SETTINGS["channels"], 0)
    other = steps.Training({"model": other_model}, run.objective, SETTINGS, run.how)
    other.restore(*store.read_weights(tmp_path / "state"))
    batch = next(batches)
    run.step(*batch)
    other.step(*batch)
    for name, value in run.networks["model"].state_dict().items():
        assert torch.equal(value, other.networks["model"].state_dict()[name]), name
        assert value.stride() == other.networks["model"].state_dict()[name].stride()
        assert torch.equal(run.mean[name], other.mean[name])


@pytest.mark.long
def test_compiled_network_has_the_same_weights_by_the_same_names(tmp_path, plates):
    plain, _ = trained(tmp_path, plates, images=12)
    compiled, _ = trained(tmp_path, plates, "compiled", {"compile": True}, images=12)
    assert set(compiled[0]) == set(plain[0])
    for name, value in plain[0].items():
        torch.testing.assert_close(compiled[0][name], value, rtol=1e-4, atol=1e-5)


# --- several processes ---


def test_what_is_shared_between_processes_is_compiled_last(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        model = torch.nn.Linear(2, 2)
        compiled = Compute(compile=True).runnable(model)
        plain = Compute().runnable(model)
    finally:
        torch.distributed.destroy_process_group()
    assert isinstance(plain, torch.nn.parallel.DistributedDataParallel) and plain.module is model
    assert isinstance(compiled._orig_mod, torch.nn.parallel.DistributedDataParallel)
    assert compiled._orig_mod.module is model


def test_parts_of_a_batch_are_whole_and_weighted(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    for count in (1, 2, 3, 7, 8):
        parts = []
        for rank in range(3):
            monkeypatch.setenv("RANK", str(rank))
            parts.append(compute.mine(count))
        images = [list(range(count))[part] for part, weight in parts if weight]
        assert sum(images, []) == list(range(count))
        assert sum(weight for _, weight in parts) == pytest.approx(3)
        assert all(list(range(count))[part] for part, _ in parts)


WORKER = """
import os, sys, torch
from safetensors.torch import save_file
from brightpaint.models import train
keep, folder, models = torch.optim.Adam.step, sys.argv[1], []
def step(self, *rest):
    if not os.path.exists(path := f"{folder}/gradient{os.environ['RANK']}"):
        save_file({str(n): p.grad.contiguous() for n, p in enumerate(self.param_groups[0]["params"])}, path)
    keep(self, *rest)
torch.optim.Adam.step = step
train.main(sys.argv[2:])
"""


@pytest.mark.long
@pytest.mark.slow
def test_two_processes_take_the_step_of_one(tmp_path, plates, monkeypatch):
    """Batches of 5 and, at last, of 1: their parts differ in size, and one process has nothing left to do."""
    settings = {**SETTINGS, "batch": 5, "images": 11, "label": "perturbation", "validation_share": 0.2}
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "shared").mkdir()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = train_arguments(tmp_path / "shared", plates, settings)
    words = [*launcher, tmp_path / "worker.py", tmp_path / "shared", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    keep, alone = torch.optim.Adam.step, tmp_path / "alone"

    def step(self, *rest):
        if not alone.exists():
            save_file({str(n): p.grad.contiguous() for n, p in enumerate(self.param_groups[0]["params"])}, alone)
        keep(self, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    (_, meta), lines = trained(tmp_path, plates, **settings)
    expected = load_file(alone)
    largest = max(float(value.abs().max()) for value in expected.values())
    for rank in (0, 1):
        found = load_file(tmp_path / "shared" / f"gradient{rank}")
        for name, value in expected.items():  # sums in another order: float32 rounding of the largest entries
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5 * largest)
    shared = store.read_json_lines(tmp_path / "shared" / "weights.jsonl")
    np.testing.assert_allclose(losses(shared), losses(lines), rtol=1e-3)
    np.testing.assert_allclose(losses(shared, "validation_loss"), losses(lines, "validation_loss"), rtol=1e-2)
    assert store.read_weights(tmp_path / "shared" / "weights.safetensors")[1]["label_map"] == meta["label_map"]
    left = {path.name for path in (tmp_path / "shared").iterdir()}
    assert left == {"gradient0", "gradient1", "weights.safetensors", "weights.jsonl"}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes_told_to_stop_save_one_state_and_go_on(tmp_path, plates, caplog):
    settings = {**SETTINGS, "images": 80, "validation_share": 0.2, "validate_every_images": 40}
    arguments = [*train_arguments(tmp_path, plates, settings), "--compute", '{"save_every_s": 0}']
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [*launcher, "-m", "brightpaint.models.train", *arguments]
    partial = tmp_path / "weights.safetensors.partial"
    with (tmp_path / "log").open("w") as said:
        process = subprocess.Popen(command, env=environment, stderr=said)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not partial.exists():
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.01)
        process.terminate()
        assert process.wait(timeout=120) != 0
    seen = store.read_weights(partial)[1]["seen"]
    assert f"stopped by SIGTERM at image {seen}" in (tmp_path / "log").read_text()
    with caplog.at_level("INFO"):
        train.main(train_arguments(tmp_path, plates, settings))  # one process goes on where two stopped
    assert f"going on from image {seen}" in caplog.text
    lines = store.read_json_lines(tmp_path / "weights.jsonl")
    assert lines[-1]["images"] == 80 and not partial.exists()
    assert sorted({line["images"] for line in lines if "validation_loss" in line}) == [40, 80]


def test_more_processes_than_images_of_a_batch_are_refused(tmp_path, plates, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ValueError, match="train.batch 4: expected 8 or more"):
        trained(tmp_path, plates)
