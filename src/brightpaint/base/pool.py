"""Work on many items with a few threads: results in order, little in memory, the first failure ends it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def ordered(work: Callable, items: Iterable, *, workers: int) -> Iterator:
    """Yield `work(item)` of every item, in the order of `items`; at most `workers` + 1 results wait in memory.

    Threads, not processes: what costs time here (reading files, filters, sparse products) lets go of Python's
    lock, and a killed command leaves no children behind.
    """
    if workers <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(workers) as threads:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(threads.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
