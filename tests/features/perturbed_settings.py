"""Every setting of a pipeline changed by itself, for the tests of the fast engine: none may be ignored in silence."""

from __future__ import annotations

import re

from brightpaint.features import pipeline

CHOICES = {"Subtract": ["Average"], "Average": ["Subtract"], "Faster": ["Fast", "Accurate"], "Image": ["Measurement"],
           "Magnitudes and phase": ["Magnitudes only", "None"], "Shape": ["Intensity", "None"],
           "Expand until adjacent": ["Within a specified distance"],
           "Within a specified distance": ["Expand until adjacent"]}  # fmt: skip


def perturbed(text: str) -> list[str]:
    """Return other values that a setting of this value could have."""
    if text in ("Yes", "No"):
        return ["No" if text == "Yes" else "Yes"]
    if re.fullmatch(r"\d+", text):
        return [str(int(text) + 1)]
    if re.fullmatch(r"[\d.]+", text):
        return [str(float(text) / 2 + 0.125)]
    if re.fullmatch(r"[\d.]+,[\d.]+", text):
        low, high = text.split(",")
        return [f"{float(low) * 1.4 + 0.5:g},{float(high) * 0.6:g}"]
    if ", " in text:
        return [text.rpartition(", ")[0], text.replace(", ", ", No", 1)]
    return [f"{text}Other", "Other", *CHOICES.get(text, [])]


def cases(text: str) -> list[tuple[int, int, str]]:
    """Return (module, line of it, other value) of every setting of a pipeline."""
    blocks = pipeline.blocks(text)
    return [
        (number, line, other)
        for number, block in enumerate(blocks)
        for line, (_, text) in enumerate(pipeline.settings(block) if number else [], 1)
        for other in perturbed(text)
    ]


def with_line(text: str, number: int, line: int, value: str) -> str:
    """Return a pipeline with one setting of another value."""
    blocks = pipeline.blocks(text)
    lines = blocks[number].splitlines()
    lines[line] = lines[line].partition(":")[0] + ":" + value
    blocks[number] = "\n".join(lines)
    return "\n\n".join(blocks) + "\n"
