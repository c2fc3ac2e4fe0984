"""What a study that tells a model molecules asks of molecules alone: by which encoders, in which spaces. Torch-free."""

from __future__ import annotations

from brightpaint.study.conditions import VECTORS, needs_rdkit
from brightpaint.study.spaces import SPACES
from brightpaint.study.study import Study

OWN = ("morgan", "descriptors")  # encoders that need no table


def encoders(study: Study) -> list[dict]:
    """Return the encoders of molecules that are set side by side: RDKit's, and each table of vectors that a model reads."""
    told = [model["conditions"]["molecule"] for model in study.config["models"] if needs_rdkit(model)]
    tables = dict.fromkeys(entry["vectors"] for entry in told if entry["encoder"] == VECTORS)
    whole = [*((name, None) for name in OWN), *((VECTORS, path) for path in tables)]
    return [{"encoder": name, "vectors": path} for name, path in whole] if told else []


def spaces(study: Study) -> list[str]:
    """Return the spaces in which real profiles are foretold from molecules: those that hold all wells of real plates."""
    if not (encoders(study) and study.config["perturbations"]):
        return []
    return [space.name for space in SPACES.values() if space.whole(study.config) and "real" in space.arms(study)]
