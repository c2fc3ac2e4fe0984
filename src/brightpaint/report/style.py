"""How every figure of the report looks, and how it is written.

The same input gives the same bytes: no dates and no versions go into the files.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

from brightpaint import store

matplotlib.use("Agg")  # no command needs a screen

# Okabe and Ito's colours, told apart by colour-blind readers.
LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333"]
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "brightpaint"}

NAME_LETTERS = 40  # of a name that is longer the middle is left out
LETTER_EM = 0.6  # mean width of a letter, in units of the font's size


def as_text(name: object, most: int = NAME_LETTERS) -> str:
    """Return a name as a figure shows it: as it is, in one line, of `most` letters at most; its middle is left out.

    Two dollar signs would be drawn as mathematics, or end the figure where they hold none. A text of names that were
    treated so may be treated again.
    """
    letters = (letter if letter.isprintable() else " " for letter in str(name).replace(r"\$", "$"))
    words = "".join(letters).strip()
    if len(words) > most:
        head = max(1, (2 * most) // 3)
        words = f"{words[:head].rstrip()}…{words[len(words) - max(0, most - head - 1) :].lstrip()}"
    return words.replace("$", r"\$")


def letters_in(inches: float, points: float) -> int:
    """Return how many letters of a font's size, in points, stand in so many inches; one at least."""
    return max(1, int(72 * inches / (LETTER_EM * points)))


def in_lines(name: object, most: int) -> str:
    """Return a name of at most `most` letters as it is, a longer one in two lines of so many.

    The second begins at a name's own break, the last that fits (a dose's @, a blank, _ or -), where there is one.
    """
    words = as_text(name, 2 * most).replace(r"\$", "$")
    if len(words) <= most:
        return as_text(words, most)
    breaks = [place for place in range(len(words) - most, most + 1) if place and words[place] in "@ _-"]
    cut = breaks[-1] if breaks else most
    return "\n".join(as_text(part, most) for part in (words[:cut], words[cut:]))


def headed(figure: plt.Figure, lines: Sequence[str], points: float = 10) -> None:
    """Write the title of a figure; a line that is wider than the figure goes on below."""
    letters = letters_in(figure.get_size_inches()[0], points)
    figure.suptitle("\n".join(part for line in lines for part in textwrap.wrap(line, letters) or [""]), fontsize=points)


def save(figure: plt.Figure, path: Path, dpi: int) -> None:
    """Write a figure as PNG, or as JPEG if its name says so, the same bytes every time."""
    kind = {"format": "png", "metadata": {"Software": None}}
    if path.suffix == ".jpg":  # a gallery an arm: as PNG, a full study's report would grow by tens of megabytes
        kind = {"format": "jpg", "pil_kwargs": {"quality": 90}}
    with store.atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white", **kind)
    plt.close(figure)
