"""A rule of the report, its module, its log, its caption and its test bear one word."""

import re

import pytest

from conftest import ROOT

RULES = ROOT / "workflow" / "rules"


def rules():
    """Return (name, text, file) of every rule of the report."""
    found = []
    for path in (RULES / "tables.smk", RULES / "figures" / "images.smk", RULES / "figures" / "plots.smk"):
        for part in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            found.append((*part.split(":", 1), path))
    return found


@pytest.mark.parametrize("name, text, path", rules(), ids=[name for name, *_ in rules()])
def test_a_rule_its_module_its_log_its_caption_and_its_test_bear_one_word(name, text, path):
    assert re.findall(r"python -m brightpaint\.report\.(?:figures|tables)\.(\w+) ", text) == [name]
    assert re.findall(r"<logs>/(\w+)[./]", text) == [name]
    assert f'report/{name}.rst"' in text
    assert list((ROOT / "tests").rglob(f"test_{name}.py")), f"tests/test_{name}.py"  # in its wing's folder, or above
    assert "show(" in text, "what a user reads is asked for beside its rule"
    named = re.findall(r'"(\.\./[^"]+\.(?:rst|yaml))"', text)
    assert len(named) > 1 and all((path.parent / each).is_file() for each in named), named
