"""WordNet 3.0 and VerbNet 3.3 through NLTK, and the hand-made tables beside the code."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import nltk.data
from nltk.corpus.reader import VerbnetCorpusReader, WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader

from lexicons.tables import table


def wordnet_3_0(nltk_data: Path) -> WordNetCorpusReader:
    """WordNet as NLTK reads it; the first use takes some seconds."""
    _allow(nltk_data)
    from nltk.corpus import wordnet

    wordnet.ensure_loaded()
    if wordnet.get_version() != "3.0":
        raise ValueError(f"{nltk_data} holds WordNet {wordnet.get_version()}; the anchors are written for 3.0")
    return wordnet


class Tagged(NamedTuple):
    """One sense of a lemma in WordNet's concordance texts."""

    times: int
    """How often it was tagged."""
    rank: int
    """WordNet's own number of the sense, from 1, the most frequent first."""


class TaggedSenses:
    """How often each sense was tagged; read from `index.sense`."""

    def __init__(self, wordnet: Any) -> None:
        self.by_place: dict[tuple[str, str, int], Tagged] = {}
        # as bytes: NLTK's decoding reader takes two minutes for a file inside a zip
        with wordnet.root.join("index.sense").open() as file:
            text = file.read().decode("utf-8")
        for key, offset, number, count in map(str.split, text.splitlines()):
            lemma, _, rest = key.partition("%")
            part = "nvars"[int(rest[0]) - 1]
            self.by_place[lemma, part, int(offset)] = Tagged(int(count), int(number))

    def of(self, synset: Any, lemma: Any) -> Tagged:
        """By lemma and place, not by key: NLTK's keys of lemmas that differ in case alone are not all in the index."""
        return self.by_place[lemma.name().lower(), synset.pos(), synset.offset()]


def verbnet_3_3(nltk_data: Path) -> VerbnetCorpusReader:
    """VerbNet 3.3, for which NLTK has a reader but no name."""
    _allow(nltk_data)
    return LazyCorpusLoader("verbnet3", VerbnetCorpusReader, r"(?!\.).*\.xml")


def _allow(nltk_data: Path) -> None:
    """NLTK refuses any corpus below a folder that its search path does not name."""
    folder = str(nltk_data.resolve())
    if folder not in nltk.data.path:
        nltk.data.path.insert(0, folder)


def hand_made(name: str) -> list[dict[str, Any]]:
    """The rows of a hand-made `.tsv` table; lines that begin with `#` are its comment, `-` is an empty cell."""
    lines = table(name).read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
    return [{column: "" if cell == "-" else cell for column, cell in row.items()} for row in rows]
