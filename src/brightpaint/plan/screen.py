"""Where the account of a run goes: a terminal, whose last lines are drawn again and again, or a file, which gets each line once."""

from __future__ import annotations

import os
import re
import textwrap
import threading
from collections.abc import Callable
from typing import TextIO

COLUMNS, ROWS = 80, 24  # of a file, and of a terminal that does not say


class Screen:
    """Lines that stay, and on a terminal below them a block that is redrawn.

    Parameters
    ----------
    stream : what is written to
    block : returns the lines of the block as they are now
    """

    def __init__(self, stream: TextIO, block: Callable[[], list[str]]):
        self.stream, self.block, self.drawn = stream, block, 0
        self.live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.lock, self.closed = threading.RLock(), threading.Event()
        if self.live:
            threading.Thread(target=self._tick, daemon=True).start()

    def size(self) -> tuple[int, int]:
        """Return columns and rows, as they are now."""
        try:
            columns, rows = os.get_terminal_size(self.stream.fileno())
        except (OSError, ValueError):
            columns, rows = 0, 0
        return columns or COLUMNS, rows or ROWS

    def say(self, text: str, indent: str = "") -> None:
        """Write lines that stay; a terminal's are folded at its width, but no word, a path may be one, is broken."""
        given = [f"{indent}{line}" for line in text.splitlines() or [""]]
        folded = [part for line in given for part in self._folded(line)] if self.live else given
        with self.lock:
            self._write(self._erasing() + "\n".join([*folded, ""]) + self._drawing())

    def _folded(self, line: str) -> list[str]:
        own = re.match(r"[ |]*", line).group()
        how = {
            "initial_indent": own,
            "subsequent_indent": f"{own}  ",
            "break_long_words": False,
            "break_on_hyphens": False,
        }
        return textwrap.wrap(line[len(own) :], self.size()[0] - 1, **how) or [""]

    def draw(self) -> None:
        """Draw the block again; a file has none."""
        with self.lock:
            if self.live and not self.closed.is_set():
                self._write(self._erasing() + self._drawing())

    def close(self) -> None:
        """Draw the block for the last time; what is said after it stands below."""
        with self.lock:
            self.draw()
            self.closed.set()
            self.drawn = 0

    def _erasing(self) -> str:
        up, self.drawn = self.drawn, 0
        return f"\x1b[{up}A\x1b[J" if up else ""

    def _drawing(self) -> str:
        if not self.live or self.closed.is_set():
            return ""
        columns, rows = self.size()
        lines = [line[: columns - 1] for line in self.block()]
        lines = lines if len(lines) < rows else lines[-1:]  # a block higher than the screen could not be reached again
        self.drawn = len(lines)
        return "".join(f"{line}\n" for line in lines)

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the terminal is gone: the run is not ended for that
            self.live = False

    def _tick(self) -> None:
        while not self.closed.wait(1):
            self.draw()
