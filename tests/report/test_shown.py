"""What a rule of the report makes is asked for beside it, under a caption of its own word (tests/test_house.py has the rest)."""

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
def test_what_a_user_reads_is_asked_for_beside_its_rule_and_has_a_caption_of_its_word(name, text, path):
    assert re.search(r"python -m brightpaint\.report\.(figures|tables)\.", text)
    assert f'report/{name}.rst"' in text and "show(" in text
    named = re.findall(r'"(\.\./[^"]+\.(?:rst|yaml))"', text)
    assert len(named) > 1 and all((path.parent / each).is_file() for each in named), named
