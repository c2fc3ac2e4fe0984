"""The table of hostile input: each case ends in one sentence that says where, what and what next; nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

import hostile_axes
import hostile_codecs
import hostile_config
import hostile_features
import hostile_gan
import hostile_generations
import hostile_given
import hostile_images
import hostile_models
import hostile_styles
import hostile_tables
import hostile_translation_scores
import hostile_translations
from hostile import check_before, refusal, write_before

TABLE = [
    case
    for module in (
        hostile_config,
        hostile_tables,
        hostile_images,
        hostile_models,
        hostile_gan,
        hostile_axes,
        hostile_given,
        hostile_codecs,
        hostile_styles,
        hostile_translations,
        hostile_translation_scores,
        hostile_generations,
        hostile_features,
    )
    for case in module.CASES
]
DOCUMENT = Path(__file__).parent.parent / "docs" / "hostile_input.md"
HEAD = """# Input that is refused

Written by
`PYTHONPATH=src:tests:tests/features:tests/profiles:tests/scores python tests/test_hostile.py`
from the table that `tests/test_hostile.py` runs; a test holds the two equal. In each of these {count} cases the real
command ends with exit code 1 and one sentence that begins with `error:` and holds the words on the right (which say
where, what was expected and found, and what to do), without a traceback; no output is written, and what stood in its
place before is still there.

What looks odd and is read nevertheless: tables with Windows line ends or a byte order mark, wells such as `a1` and
`A001` (both A01), sites such as `1.0`, big-endian and compressed TIFFs, links to files and to
folders of images.

| input | what is wrong with it | the sentence says |
|---|---|---|
"""


def document() -> str:
    """Return the table as Markdown."""

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("\n", " ")

    rows = [f"| {case.area} | {cell(case.what)} | {' ... '.join(map(cell, case.words))} |" for case in TABLE]
    return HEAD.format(count=len(TABLE)) + "\n".join(rows) + "\n"


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_hostile_input_ends_in_one_sentence_and_writes_nothing(case, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("BRIGHTPAINT_NOWHERE", raising=False)
    monkeypatch.delenv("BRIGHTPAINT_CELLPROFILER", raising=False)
    command, words, outputs = case.prepare(tmp_path)
    write_before(outputs)
    said = refusal(command, words, capsys)
    missing = [word for word in case.words if word not in said]
    assert not missing, f"{missing} missing in: {said}"
    check_before(outputs)
    assert not list(tmp_path.rglob("PWNED"))


def test_the_table_is_long_and_every_case_has_a_name_of_its_own():
    names = [case.name for case in TABLE]
    assert len(names) >= 60 and sorted(set(names)) == sorted(names)
    assert all(case.words for case in TABLE)


def test_the_document_lists_the_table():
    assert DOCUMENT.read_text() == document(), (
        "run PYTHONPATH=src:tests:tests/features:tests/profiles:tests/scores python tests/test_hostile.py"
    )


if __name__ == "__main__":
    DOCUMENT.write_text(document())
