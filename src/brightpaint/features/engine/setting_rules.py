"""What the engine does with one setting of a module: takes it, wants one value of it, or knows that it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Taken:
    """A setting that is honoured: `read` turns its text into a plain value, or says in a ValueError what it expected."""

    key: str
    read: Callable[[str], object]


@dataclass(frozen=True)
class Only:
    """A setting that changes results, of which the engine knows these values alone."""

    values: tuple[str, ...]

    def __init__(self, *values: str):
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class Idle:
    """A setting that changes nothing of what is measured, and why.

    With `other`, only where one of the settings named in `when` has the value beside it; else `other` says what becomes of it.
    """

    why: str
    when: tuple[tuple[str, str], ...] = ()
    other: Taken | Only | None = None


@dataclass(frozen=True)
class Same:
    """A setting that must name what another one of its module names."""

    setting: str


@dataclass(frozen=True)
class Counted:
    """A hidden number: how often the settings of this name are repeated below."""

    key: str


@dataclass(frozen=True)
class Repeated:
    """Settings that follow one another as often as the user asked for them; each time they make one dict of `key`.

    They must stand there `least` times.
    """

    key: str
    settings: tuple
    least: int = 0


# --- how the text of a setting becomes a value ---


def names(text: str) -> list[str]:
    """Read images or objects: names between commas."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found or "None" in found:
        raise ValueError("names between commas")
    return found


def several(text: str) -> list[str]:
    """Read two names or more."""
    found = names(text)
    if len(found) < 2:
        raise ValueError("two names or more")
    return found


def name(text: str) -> str:
    """Read one name."""
    if not text.strip() or "," in text or text.strip() == "None":
        raise ValueError("one name")
    return text.strip()


def yes(text: str) -> bool:
    """Read Yes or No."""
    if text not in ("Yes", "No"):
        raise ValueError("Yes or No")
    return text == "Yes"


def number(least: float = float("-inf"), most: float = float("inf")) -> Callable[[str], float]:
    """Return a reader of numbers from `least` to `most`."""

    def read(text: str) -> float:
        value = float(text) if _is_number(text) else float("nan")
        if not least <= value <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return value

    return read


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        if not text.strip().isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def pair(text: str) -> tuple[float, float]:
    """Read two numbers, the lesser first."""
    parts = text.split(",")
    if len(parts) != 2 or not all(map(_is_number, parts)) or float(parts[0]) > float(parts[1]):
        raise ValueError("two numbers, the lesser first")
    return float(parts[0]), float(parts[1])


def percentiles(text: str) -> list[int]:
    """Read percentiles: whole numbers from 0 to 100 between commas, each once, in order."""
    parts = [part for part in text.replace(" ", "").split(",") if part]
    if not parts or not all(part.isdecimal() and int(part) <= 100 for part in parts):
        raise ValueError("whole numbers from 0 to 100 between commas")
    return sorted(set(map(int, parts)))


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader of a choice, which is CellProfiler's own words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(" or ".join(choices))
        return text

    return read


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False
