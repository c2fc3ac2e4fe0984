"""The kinds of model, one module each, as `study.kinds` lists them.

Each has `train(args, data)`, which writes the weights and the history that a command line of `models.train` names, and
`painter(args, tensors, meta, fields, how)`, which returns `paint(x, rows)`: (B, C_input, H, W) float32 z-scores
and B rows of `fields` -> (B, C_target, H, W) float32 z-scores. A kind that translates
has `translator(args, tensors, meta, how)` too, or alone: `up` and `down` of `paint.translator.Translator`.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from brightpaint.study.kinds import KINDS


def of(kind: str) -> ModuleType:
    """Return the module of a kind."""
    return importlib.import_module(KINDS[kind].module)
