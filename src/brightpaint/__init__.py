"""Virtual Cell Painting from brightfield microscopy, and how far it can be trusted."""

__version__ = "0.1.0"

import os

# Before Arrow is loaded: its own allocator keeps what reading a table took (25 MB for the index of a full plate; 8 so).
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
