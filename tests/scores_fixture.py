"""Score one arm as the workflow does: a command a subject, of those whose files are given, then `metrics`."""

from __future__ import annotations

import json
from pathlib import Path

from brightpaint.scores import metrics
from brightpaint.scores.cells import score_counts, score_objects
from brightpaint.scores.images import score_frechet, score_images
from brightpaint.scores.profiles import score_distances, score_failed, score_profiles
from brightpaint.study.spaces import SPACES


def words(**files) -> list[str]:
    """Return the words of a command line: `real=[a, b]` becomes --real a b; what is empty is left out."""
    named = {f"--{name.replace('_', '-')}": value for name, value in files.items()}
    listed = {name: value if isinstance(value, (list, tuple)) else [value] for name, value in named.items()}
    return [word for name, value in listed.items() if value for word in (name, *map(str, value))]


def score_arm(out: Path, arm: str, plates, settings: dict, *, active=(), **given) -> Path:
    """Score an arm by everything that is given; returns the path of its metrics table, fields beside.

    Parameters
    ----------
    out : folder to write into
    given : images (real, predicted, fields, uncertainty), counts (medians, real), objects (masks, real, fields), frechet (real,
        painted, brightfield), failed (settings, truth, real, profiles): what the command is given; distances and
        profiles: {space: what it is given}
    """
    commands = {"images": score_images, "counts": score_counts, "objects": score_objects, "frechet": score_frechet,
                "failed": score_failed}  # fmt: skip
    scores, fields = [], []

    def run(command, subject: str, files: dict, by_field: bool = False) -> None:
        table = out / "scores" / subject / f"{arm}.parquet"
        beside = {"by_field": table.with_suffix(".fields.parquet")} if by_field else {}
        own = {} if command is score_failed else {"active": active}
        command.main(words(arm=arm, plates=plates, table=table, **own, **beside, **files))
        scores.append(table)
        fields.extend(beside.values())

    spaces = {"distances": score_distances, "profiles": score_profiles}
    order = [
        "images",
        "counts",
        ("distances", "cells"),
        "objects",
        "frechet",
        ("distances", "fields"),
        "profiles",
        "failed",
    ]
    for subject in order:
        subject, holds = subject if isinstance(subject, tuple) else (subject, "")
        if subject not in given:
            continue
        if subject not in spaces:
            more = {"settings": json.dumps(settings)} if subject == "images" else {}
            run(commands[subject], subject, {**more, **given[subject]}, subject in ("images", "objects"))
            continue
        for name, files in given[subject].items():
            if not holds or SPACES[name].holds == holds:
                run(spaces[subject], f"{subject}/{name}", {"space": name, **files})
    table = out / f"{arm}.parquet"
    metrics.main(
        words(plates=plates, scores=scores, fields=fields, metrics=table, by_field=table.with_suffix(".fields.parquet"))
    )
    return table
