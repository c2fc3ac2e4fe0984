"""On what networks are trained and paint: device, precision, a job's processes. Nothing here is drawn at random.

Several GPUs: `torchrun` starts one process a GPU and says in the environment which is which (RANK, LOCAL_RANK,
WORLD_SIZE). Each process computes its part of every batch, torch's DistributedDataParallel averages the gradients,
and the first process alone writes files.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import islice

import torch
import torch.distributed as dist
from torch import nn

from brightpaint.base.device import has_bfloat16, world

log = logging.getLogger(__name__)
COMPILERS = {"cpu": "eager", "cuda": "inductor"}  # on a CPU only to test the path: nothing is generated


def unreduced(tensor: torch.Tensor) -> AbstractContextManager:
    """Return a context in which what is computed beside `tensor` stays float32, also where autocast is on.

    bfloat16 holds 8 bits, 0.4%: too few for noise levels, for the scale and shift that they set, and for the output.
    """
    kind = tensor.device.type
    return nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False)  # meta knows no autocast


@dataclass(frozen=True)
class Compute:
    """How a training or a painting is computed. The defaults are those of a plain CPU run.

    Attributes
    ----------
    device : where
    precision : `float32`, `bfloat16` (autocast: weights, optimiser and losses stay float32), or `auto`, which is
        bfloat16 on a GPU that computes in it and float32 elsewhere
    compile : whether torch.compile translates the network on a GPU
    prefetch : threads that read a training's batches ahead; 0 reads each when it is needed
    save_every_s : seconds between saves of an unfinished training
    """

    device: torch.device = torch.device("cpu")
    precision: str = "auto"
    compile: bool = False
    prefetch: int = 0
    save_every_s: float = 60

    @cached_property
    def dtype(self) -> torch.dtype:
        """The type in which convolutions and matrix products are computed; ValueError for one that the card lacks."""
        lacking = self.device.type == "cuda" and not has_bfloat16()
        if lacking and self.precision == "bfloat16":
            raise ValueError(
                "compute.precision bfloat16: this GPU has no bfloat16 (cards before Ampere only imitate it, slowly); set "
                "compute.precision to auto or float32"
            )
        if lacking and self.precision == "auto":
            log.info("this GPU has no bfloat16: networks are computed in float32")
        auto = "bfloat16" if self.device.type == "cuda" and not lacking else "float32"
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[
            {"auto": auto}.get(self.precision, self.precision)
        ]

    def __str__(self) -> str:
        """Say what may change a result in its last bits: `cuda, bfloat16`."""
        precision = str(self.dtype).removeprefix("torch.")
        return f"{self.device.type}, {precision}" + (", compiled" if self.compile else "")

    def layout(self, axes: int = 4) -> torch.memory_format:
        """Return the layout of tensors of so many axes: channels last where tensor cores want it, bfloat16; else as written."""
        last = torch.channels_last_3d if axes == 5 else torch.channels_last
        return last if self.dtype == torch.bfloat16 else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        """Return the context in which the network is called."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def place(self, model: nn.Module) -> nn.Module:
        """Return the model on the device, its convolutions in the layout that suits the precision.

        Batches always have one shape, so that on a GPU cuDNN may time its algorithms once and keep the fastest.
        """
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        axes = max((value.ndim for value in model.parameters()), default=4)  # 5 of convolutions in 3D
        return model.to(self.device).to(memory_format=self.layout(axes))

    def compiled(self, model: nn.Module) -> nn.Module:
        """Return the model, compiled as asked."""
        return torch.compile(model, backend=COMPILERS[self.device.type]) if self.compile else model

    def runnable(self, model: nn.Module) -> nn.Module:
        """Return what is called in a training step: the model, shared between processes and compiled as asked.

        Compiled last: the compiler then cuts its graph where gradients are sent, so that they are sent while others are computed.
        """
        if world() == 1:
            return self.compiled(model)
        gpus = [self.device.index] if self.device.type == "cuda" else None
        # The only buffers are constants, the same in every process: there is nothing to broadcast at each step.
        shared = nn.parallel.DistributedDataParallel(model, device_ids=gpus, broadcast_buffers=False)
        return self.compiled(shared)

    def painting(self, model: nn.Module) -> Callable:
        """Return what is called to paint: the placed model, compiled as asked, in its precision."""
        called = self.compiled(self.place(model))

        def call(*inputs):
            with self.autocast():
                return called(*inputs)

        return call

    def coded(self, change: Callable, *images):
        """Return what a codec makes of images, without gradients, in the precision of networks."""
        with torch.no_grad(), self.autocast():
            return change(*images)

    def send(self, images: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, H, W), or (B, C, D, H, W), as float32 on the device; from pinned memory the copy does not wait."""
        layout = self.layout(images.ndim)
        return images.to(self.device, non_blocking=True).float().contiguous(memory_format=layout)


def rank() -> int:
    """Return this process's number among them, from 0."""
    return int(os.environ.get("RANK", 0))


def first() -> bool:
    """Return whether this process is the one that writes."""
    return rank() == 0


def mine(count: int) -> tuple[slice, float]:
    """Return this process's part of a batch of `count`, and its weight where processes are averaged.

    The weight is 1 if all have as many. A process that has none left computes the first image, with weight 0: the
    others wait for its gradient.
    """
    start, stop = count * rank() // world(), count * (rank() + 1) // world()
    return slice(start, stop) if stop > start else slice(0, 1), (stop - start) * world() / count


@contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Join the processes of a job for the time of the block; with one process, nothing."""
    if world() == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # gloo too on GPUs: what the processes tell each other from CPU memory must not wait for the GPU's work
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))
    try:
        yield
    finally:
        dist.destroy_process_group()


def total(*values: float) -> list[float]:
    """Return the sums over all processes."""
    if world() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return sums.tolist()


def average(tensors: Sequence[torch.Tensor]) -> None:
    """Set tensors, as many of the same shapes in every process, to their means over all processes."""
    if world() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors]) / world()
    dist.all_reduce(flat)
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(mean.view_as(tensor))


def fetched(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors in CPU memory; from a GPU those of one type come in one transfer, which is waited for once.

    A network has hundreds of tensors, and fetched one by one each would be a wait of its own.
    """
    groups: dict[torch.dtype, list[str]] = {}
    for name, value in tensors.items():
        if value.device.type != "cpu":
            groups.setdefault(value.dtype, []).append(name)
    here = dict(tensors)
    for names in groups.values():
        flat = torch.cat([tensors[name].flatten() for name in names]).cpu()
        parts = flat.split([tensors[name].numel() for name in names])
        here |= {name: part.view(tensors[name].shape) for name, part in zip(names, parts)}
    return here


def numbers(values: Sequence[torch.Tensor | float]) -> list[float]:
    """Return numbers, tensors of one element among them, as Python's; those on a GPU are waited for once."""
    far = fetched({str(place): value for place, value in enumerate(values) if isinstance(value, torch.Tensor)})
    return [float(far.get(str(place), value)) for place, value in enumerate(values)]


def ahead(make: Callable, items: Iterable, threads: int, pinned: bool = False) -> Iterator:
    """Yield make(item) for each item in order, made ahead by background threads; the same with any number of them.

    Parameters
    ----------
    make : returns a tuple, such as (images, condition)
    threads : 0 makes each when it is asked for
    pinned : whether to call `pin_memory` of each, so that a GPU can fetch it by itself
    """

    def made_of(item):
        made = make(item)
        return tuple(part.pin_memory() for part in made) if pinned else made

    if not threads:
        yield from map(made_of, items)
        return
    items = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(made_of, item) for item in islice(items, 2 * threads))
        try:
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(pool.submit(made_of, item) for item in islice(items, 1))
                yield made
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def overlapped(items: Iterable, read: Callable, work: Callable, write: Callable) -> Iterator:
    """Read, work on and write items one after the other; yield each once it was worked on.

    One thread reads the next two and another writes the last while one is worked on. What reading, work or writing raises ends
    it, in its turn; what was worked on before is written then.

    Parameters
    ----------
    read : item -> the arguments of `work`, a tuple
    work : in this thread
    write : (item, result)
    """
    items, last = list(items), None
    with ThreadPoolExecutor(1) as writing, closing(ahead(read, items, 1)) as made:
        for item, arguments in zip(items, made):
            result = work(*arguments)
            if last:
                last.result()
            last = writing.submit(write, item, result)
            yield item
        if last:
            last.result()
