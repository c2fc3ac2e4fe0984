"""How every command of brightpaint starts and ends."""

from __future__ import annotations

import logging
import sys
from typing import Callable


def run(main: Callable[[], object]) -> None:
    """Run a command; bad input ends it with one `error:` line and exit code 1, not with a traceback."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    try:
        main()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
