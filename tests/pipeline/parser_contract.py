"""What every parser promises (pipeline.parsers.Parser), as one check that any test can call."""

from collections.abc import Sequence

import numpy as np

from lexicons.upos import UPOS
from pipeline.corpus import Document
from pipeline.records import Strings, Words

HARD_TEXTS = {
    "empty": "",
    "spaces": " \n\t\u00a0\n",
    "one": "Go",
    "two paragraphs": "  She gave him books.\n\n\tHe didn't read them.  ",
    "long sentence": "and then " * 2_500 + "the end.",
    "emoji": "I ❤️ 👩\u200d👩\u200d👧\u200d👦 and 🇩🇪 !! 😀😀😀",
    "bidi": "He said \u202bשלום עולם\u202c and مرحبا left.",
    "zero width": "zero\u200bwidth \u200b \ufeff joiner\u200d s\u00adoft",
    "control": "a\x01b \x07 c\x1b[31mred\x7f \x85next\u2028line\u2029par \x1cfs",
    "no spaces": "日本語のテキストはスペースがありません。" * 40,
    "no end": "a" * 3_000 + "!" * 3_000,
    "combining": "e\u0301" * 50 + " Z͑ͫ̓ͪ̂ͫ̽͏̴̙ͅa̴l̶g̷o̸",
    "lines": "Mr. Smith\r\nwent home.\rAnd slept\u3000well.",
    "wikitext": " \n = Title of <unk> = \n \n It 's a 1 @,@ 000 @-@ year @-@ old <unk> . \n",
}
"""Texts on which parsers have stumbled, by name."""


def documents_of(texts: dict[str, str]) -> list[Document]:
    return [
        Document(id=name, source="s", split="train", language="en", text=text) for name, text in texts.items()
    ]  # fmt: skip


def assert_contract(words: Words, documents: Sequence[Document], trees: bool = True) -> None:
    """The words of these documents, all of which parsed, keep every promise that needs no gold trees.

    trees: whether the parser gives every sentence one root; `prefix`, which goes from left to right, cannot."""
    assert words.documents == tuple(document.id for document in documents)
    rows = np.arange(len(words))
    for name in ("document", "sentence", "start", "end", "head"):
        assert getattr(words, name).dtype == np.int32
        assert len(getattr(words, name)) == len(words)
    assert (np.diff(words.document) >= 0).all()
    same_document = np.diff(words.document) == 0
    assert (np.diff(words.start)[same_document] >= 0).all()
    assert (words.end > words.start).all()
    assert np.isin(np.diff(words.sentence)[same_document], (0, 1)).all()
    assert not words.sentence[words.index() == 0].any(), "sentences count from 0 in every document"

    has_head = words.head >= 0
    first = words.sentence_first()
    assert (first[words.head[has_head]] == first[has_head]).all(), "no head leaves its sentence"
    roots = np.bincount(first[~has_head], minlength=len(words))[np.unique(first)]
    assert ((roots == 1) if trees else (roots >= 1)).all(), "one root a sentence"
    place, reached = rows.copy(), np.zeros(len(words), bool)
    while not reached.all():  # at most as often as there are words
        assert len(rows), "heads run in a circle"
        moved = np.where(place >= 0, words.head[place], -1)
        assert (moved != place)[place >= 0].all()
        reached, place, rows = moved < 0, moved, rows[1:]
    assert words.relation.isin(["root"]).tolist() == (~has_head).tolist()

    assert (words.upos < len(UPOS)).all()
    assert words.upos.dtype == np.uint8
    assert words.features.dtype == np.uint64
    assert not words.features.any()
    for column in (words.text, words.lemma, words.feats, words.relation, words.verb_class):
        assert isinstance(column, Strings)
        assert len(column) == len(words)
        assert len(set(column.values)) == len(column.values)
    assert set(words.verb_class.to_list()) <= {""}
    assert not words.feats.isin(["_"]).any()
    assert not words.lemma.isin([""]).any()


def assert_covers(words: Words, documents: Sequence[Document]) -> None:
    """Every character that is no space is in exactly one token. A word's text is cut out by its offsets, unless it
    shares its span with its neighbours, as the words of a multiword token do."""
    texts = [document.text for document in documents]
    covered = [bytearray(len(text)) for text in texts]
    spans = list(zip(words.document.tolist(), words.start.tolist(), words.end.tolist(), strict=True))
    for row, (document, start, end) in enumerate(spans):
        if row and spans[row] == spans[row - 1]:
            continue
        if spans[row] not in spans[row + 1 : row + 2]:
            assert texts[document][start:end] == words.text[row]
        assert not any(covered[document][start:end])
        covered[document][start:end] = b"\1" * (end - start)
    for text, marks in zip(texts, covered, strict=True):
        missed = {text[place] for place in range(len(text)) if not marks[place]}
        assert all(character.isspace() for character in missed), f"no word holds {missed!r}"
