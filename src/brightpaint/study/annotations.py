"""The annotations of a field that a model may be told as its label."""

from __future__ import annotations

import re

GIVEN = ("perturbation", "target", "treatment")  # what a well was given: among these DMSO is a class of its own


def is_label(name: object) -> bool:
    """Return whether this can be a `label`: `none`, or the name of an annotation, `Metadata_<name>` in field tables."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) is not None
