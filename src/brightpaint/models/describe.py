"""Say what weights are: what they see and paint, what they were told, and what trained them.

python -m brightpaint.models.describe weights.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.paint.class_choice import listed
from brightpaint.study.conditions import CONDITIONS, ordered
from brightpaint.study.kinds import CLASSIFIER, TRAINED


def _painted(kind: str, channels: str) -> str:
    if kind not in TRAINED or TRAINED[kind].paints:
        return channels
    return "nothing: it names labels" if TRAINED[kind].labels else f"nothing: it turns {channels} into numbers"


def told(name: str, kept: dict) -> str:
    """Return in words what a model knows of a condition."""
    if "values" in kept:
        return f"{name}, {listed(kept['values'])}"
    if "low" in kept:
        lows, highs = ([10**v if CONDITIONS[name].logarithmic else v for v in kept[key]] for key in ("low", "high"))
        ranges = (f"{low:.4g} to {high:.4g}" for low, high in zip(lows, highs))
        return f"{name}, {' and '.join(ranges)}{CONDITIONS[name].unit}"
    return f"{name}, {len(kept['molecules'])} molecules by {kept['encoder']}"


def describe(path: Path) -> str:
    """Return some lines on a weights file; one that brightpaint did not write is an error that names it."""
    if not path.exists():
        raise ValueError(f"{path}: there is no such file; expected the weights.safetensors of a trained model")
    tensors, meta = store.read_weights(path)
    settings, labels = meta["settings"], sorted(meta["label_map"], key=meta["label_map"].get)
    kind = settings.get("kind", CLASSIFIER.name)
    lines = {
        "kind": f"{kind}: {TRAINED[kind].title}" if kind in TRAINED else kind,
        "sees": ", ".join(meta["channels"]["input"]) or "no brightfield",
        "paints": _painted(kind, ", ".join(meta["channels"]["target"])),
        "parameters": f"{sum(tensor.numel() for tensor in tensors.values()):,}",
        "label": settings.get("label", "none") + (f", {len(labels)} of them: {', '.join(labels)}" if labels else ""),
        **(
            {"conditions": "; ".join(told(name, meta["conditions"][name]) for name in ordered(meta["conditions"]))}
            if meta.get("conditions")
            else {}
        ),
        "settings": ", ".join(
            f"{key} {value}" for key, value in sorted(settings.items()) if not isinstance(value, dict)
        ),
        "trained by": ", ".join(f"{key} {value}" for key, value in sorted(meta["versions"].items())),
    }
    return "\n".join(f"{name:<11} {text}" for name, text in lines.items())


def main(argv=None) -> None:
    """Describe one weights file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    print(describe(parser.parse_args(argv).weights))


if __name__ == "__main__":
    run(main)
