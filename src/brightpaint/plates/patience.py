"""Try again what may pass: pauses that double, and are the same for the same file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from brightpaint.base.seeds import seed_of

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5


class Interrupted(ValueError):
    """A read that failed in a way that may pass: worth another try."""


def pause_s(key: str, attempt: int) -> float:
    """Return the seconds to wait after failed attempt `attempt` (from 1): doubling, spread by the key's name."""
    spread = seed_of(key, attempt) / 2**32
    return FIRST_PAUSE_S * 2 ** (attempt - 1) * (0.5 + spread)


def patiently(read: Callable[[], T], name: str, attempts: int) -> T:
    """Return what `read` returns, tried up to `attempts` times where it is `Interrupted`."""
    for attempt in range(1, attempts):
        try:
            return read()
        except Interrupted as error:
            log.info("%s; attempt %d of %d", error, attempt + 1, attempts)
            time.sleep(pause_s(name, attempt))
    return read()
