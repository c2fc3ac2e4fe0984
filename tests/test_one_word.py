"""A rule of the report, its module, its log, its caption and its test bear one word."""

import re

import pytest

from conftest import ROOT

FILES = ["tables.smk", "figures/images.smk", "figures/plots.smk"]


def rules():
    """Return (name, text) of every rule of the report."""
    texts = [(ROOT / "workflow" / "rules" / name).read_text() for name in FILES]
    parts = [part for text in texts for part in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]]
    return [tuple(part.split(":", 1)) for part in parts]


@pytest.mark.parametrize("name, text", rules(), ids=lambda value: value if value.isidentifier() else "")
def test_a_rule_its_module_its_log_its_caption_and_its_test_bear_one_word(name, text):
    assert re.findall(r"python -m brightpaint\.report\.(?:figures|tables)\.(\w+) ", text) == [name]
    assert re.findall(r"<logs>/(\w+)[./]", text) == [name]
    assert f'report/{name}.rst"' in text
    # a test may lie in the folder of its wing
    assert list((ROOT / "tests").rglob(f"test_{name}.py")), f"tests/test_{name}.py"
    assert "show(" in text, "what a user reads is asked for beside its rule"
