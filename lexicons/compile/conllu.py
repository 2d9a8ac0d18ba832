"""Just enough CoNLL-U for counting: the words of each sentence, their tags and heads.

lexicons is the lowest floor and may not use the parsers of `pipeline`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Word(NamedTuple):
    form: str
    lemma: str
    upos: str
    feats: str
    head: int
    """Index of the head in the sentence, -1 for the root."""
    relation: str


def sentences(path: Path) -> Iterator[list[Word]]:
    """The syntactic words of each sentence; multiword tokens and empty nodes are left out."""
    words: list[Word] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            cells = line.rstrip("\n").split("\t")
            if len(cells) == 10 and cells[0].isdecimal():
                words.append(Word(cells[1], cells[2], cells[3], cells[5], int(cells[6]) - 1, cells[7]))
            elif words and not line.strip():
                yield words
                words = []
    if words:
        yield words
