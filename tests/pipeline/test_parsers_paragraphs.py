"""Paragraphs keep their offsets; hard-wrapped lines are joined, verse and lists are not."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.parsers.paragraphs import LONGEST, is_hard_wrapped, paragraphs

PROSE = "The old keeper climbed the stairs every evening and lit the lamp before the boats came home. " * 4
VERSE = """\
Tyger Tyger, burning bright,
In the forests of the night;
What immortal hand or eye,
Could frame thy fearful symmetry?
"""
LIST = "Milk\nBread\nTwo eggs\nA pound of butter\n"


def test_a_line_end_closes_a_paragraph() -> None:
    assert list(paragraphs(" One .\n\n  Two \r\nThree\rFour\n")) == [
        (1, "One ."),
        (10, "Two"),
        (16, "Three"),
        (22, "Four"),
    ]


@pytest.mark.parametrize("width", [40, 72, 100])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_hard_wrapped_lines_are_joined(width: int, end: str) -> None:
    text = (textwrap.fill(PROSE, width) + "\n\n" + textwrap.fill("Second. " + PROSE, width)).replace("\n", end)
    found = [" ".join(paragraph.split()) for _, paragraph in paragraphs(text)]
    assert found == [PROSE.strip(), "Second. " + PROSE.strip()]


def test_each_paragraph_may_have_its_own_width() -> None:
    text = "\n\n".join(textwrap.fill(PROSE, width) for width in (60, 72, 66, 76))
    assert [" ".join(paragraph.split()) for _, paragraph in paragraphs(text)] == [PROSE.strip()] * 4


@pytest.mark.parametrize("text", [VERSE, LIST, PROSE + "\n" + PROSE, "a\nb", ""])
def test_verse_lists_and_long_lines_are_not_wrapped(text: str) -> None:
    assert not is_hard_wrapped(text)


def test_endless_paragraphs_are_cut_at_spaces() -> None:
    found = [paragraph for _, paragraph in paragraphs("word " * 40_000)]
    assert [set(paragraph.split()) for paragraph in found] == [{"word"}] * 4
    assert all(len(paragraph) <= LONGEST for paragraph in found)
    assert sum(len(paragraph) for _, paragraph in paragraphs("x" * 150_000)) == 150_000


@given(st.text(alphabet=st.sampled_from("ab \n\r\t\u2028"), max_size=200))
def test_offsets_hold_every_character(text: str) -> None:
    rebuilt = [" "] * len(text)
    for offset, paragraph in paragraphs(text):
        assert paragraph == paragraph.strip()
        rebuilt[offset : offset + len(paragraph)] = paragraph
    assert [c if not c.isspace() else " " for c in rebuilt] == [c if not c.isspace() else " " for c in text]
