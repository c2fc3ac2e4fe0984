"""Virtual Cell Painting from brightfield microscopy, and how far it can be trusted."""

__version__ = "0.1.0"
