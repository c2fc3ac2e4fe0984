"""Which stain shows nuclei and which show cells: what objects are found in. Standard library only, and Python 3.9."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brightpaint.study.study import Study

NUCLEAR = "DNA"
BODIES = ("AGP", "RNA")  # cells are grown over the mean of these, as in the paper
KEYS = ("nuclear_stain", "cell_stains")
SHIPPED = ("slim", "full")  # pipelines that find objects in the stains named here; one's own names its own


def nuclear_stain(targets: Sequence[str], settings: dict) -> str | None:
    """Return the stain that nuclei are found in: the one named, else DNA; None where there is none.

    Parameters
    ----------
    settings : may hold `nuclear_stain` and `cell_stains`, as the config's `cellprofiler` or an export.json does
    """
    named = settings.get("nuclear_stain") or NUCLEAR
    return named if named in targets else None


def cell_stains(targets: Sequence[str], settings: dict) -> list[str]:
    """Return the stains over whose mean cells are grown: those named, else what there is of AGP and RNA."""
    return [name for name in settings.get("cell_stains") or BODIES if name in targets]


def named_stains(settings: dict) -> dict:
    """Return what the study names of them; nothing of what it leaves out, so that old studies' params stay."""
    return {key: settings[key] for key in KEYS if settings.get(key)}


def stain_problems(study: Study) -> Iterable[str]:
    """Say which stains are named that there are not, and, where cells are to be measured, which are not named."""
    targets, settings = study.config["channels"]["target"], study.config["cellprofiler"]
    strange = {key: [name for name in _listed(settings[key]) if name not in targets] for key in KEYS}
    for key, names in strange.items():
        for name in names:
            yield f"cellprofiler.{key}: there is no stain {name}; channels.target has {', '.join(targets)}"
    cellpose = settings["segmentation"] == "cellpose"
    own = settings["pipeline"] not in SHIPPED and not cellpose
    if own or any(strange.values()) or not study.asks_for_cells:
        return
    who = "cellpose" if cellpose else settings["pipeline"]
    ways = "or leave the measuring out (profile: false in every arm)"
    ways = f"a .cppipe of your own as cellprofiler.pipeline, {ways}" if who in SHIPPED else ways
    listed = f"channels.target is {', '.join(targets)}"
    if not nuclear_stain(targets, settings):
        yield (
            f"cellprofiler.nuclear_stain: {who} finds nuclei in {NUCLEAR} unless another stain is named, and {listed}; name the "
            f"stain of the nuclei, {ways}"
        )
    if not cell_stains(targets, settings):
        yield (
            f"cellprofiler.cell_stains: {who} grows cells over {' and '.join(BODIES)} unless other stains are named, and "
            f"{listed}; name one or more that fill the cell, {ways}"
        )


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
