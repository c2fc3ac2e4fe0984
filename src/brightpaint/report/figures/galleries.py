"""What the galleries of a plate share, `montage` of whole fields and `closeup` of their parts: which views to draw."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.report.figures.composite import crowded_part
from brightpaint.report.figures.shown_fields import heading_of, shown_fields, standardised_middle, standardised_stains

log = logging.getLogger(__name__)


def plate_views(
    real: store.Stack,
    fields: pd.DataFrame,
    arms: dict[str, tuple[store.Stack, pd.DataFrame]],
    *,
    channels: dict,
    count: int,
    pixel_size_um: float,
) -> list[dict]:
    """Return the views of some fields of a plate (see `panels.draw_fields`), each with the corner of its close-up.

    The close-up is the part of the field that holds most stain, of the first source.

    Parameters
    ----------
    real : the plate's stack; a predict plate's lacks the target channels
    fields : its field table
    arms : {name: (predicted stack, its rows)}
    channels : `input` and `target` names; the middle input is shown
    count : fields shown
    pixel_size_um : of a raw pixel
    """
    targets, paired = channels["target"], set(channels["target"]) <= set(real.channels)
    sources = {"real": (real, fields), **arms} if paired else dict(arms)
    if not sources:
        raise ValueError(f"{real.path}: nothing to show, neither stains nor predictions")
    views = []
    shown = shown_fields(fields, {name: rows for name, (_, rows) in arms.items()}, count, str(real.path))
    for _, field in shown.iterrows():
        log.info("shown: %s", store.describe_field(field))
        stains = {name: standardised_stains(*source, field, targets) for name, source in sources.items()}
        brightfield = standardised_middle(real, field["real_row"], channels)
        view = {"heading": heading_of(field), "width_um": pixel_size_um * field["width_px"], "stains": stains}
        views.append({**view, **brightfield, "corner": crowded_part(next(iter(stains.values())))})
    return views


def read_arguments(words: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of a gallery of a plate, which `words` describe."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, fields, pixel_size_um, dpi")
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--predicted", type=Path, nargs="*", default=[], help="one stack an arm")
    parser.add_argument("--arms", nargs="*", default=[])
    parser.add_argument("--figure", type=Path, required=True, help="the PNG or JPEG to write")
    args = parser.parse_args(argv)
    if len(args.arms) != len(args.predicted):
        counts = f"{len(args.arms)} and {len(args.predicted)} were given"
        raise ValueError(f"{Path(parser.prog).stem}: --arms and --predicted must be as many; {counts}")
    return args


def read_views(args: argparse.Namespace) -> list[dict]:
    """Read the views that a command line asks for."""
    fields = store.read_fields(args.fields)
    arms = {arm: store.open_gathered(path) for arm, path in zip(args.arms, args.predicted)}
    chosen = {key: args.settings[key] for key in ("channels", "pixel_size_um")}
    return plate_views(
        store.open_stack(args.real).select(fields), fields, arms, count=args.settings["fields"], **chosen
    )
