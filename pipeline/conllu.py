"""CoNLL-U, the format of Universal Dependencies treebanks: documents, paragraphs, sentences and words as they stand.

Format: https://universaldependencies.org/format.html. Multiword tokens keep their surface form and share it among
their words; empty nodes (`8.1`) belong to enhanced dependencies only and are skipped.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

COLUMNS = 10
NEW_DOCUMENT = re.compile(rb"#\s*newdoc\b")


@dataclass(frozen=True, slots=True)
class Word:
    """One syntactic word; `head` counts words of the sentence from 1, 0 is the root, as in the file."""

    form: str
    lemma: str
    upos: str
    feats: str
    """`Key=Value|Key=Value`, empty if none."""
    head: int
    relation: str


@dataclass(slots=True)
class Token:
    """A stretch of text without space, and the words it stands for: one, or several for a multiword token."""

    form: str
    space_after: bool
    words: list[Word] = field(default_factory=list)


@dataclass(slots=True)
class Sentence:
    """Tokens in order; `document` and `paragraph` begin here if the file says so (None: the one before goes on)."""

    document: str | None = None
    paragraph: str | None = None
    tokens: list[Token] = field(default_factory=list)

    @property
    def words(self) -> list[Word]:
        return [word for token in self.tokens for word in token.words]


def read_sentences(lines: Iterable[str], first_line: int = 1) -> Iterator[Sentence]:
    """Sentences of a file, one at a time. ValueError with the line's number for what is no CoNLL-U."""
    sentence, last_of_token, number = Sentence(), 0, first_line
    for number, line in enumerate(lines, start=first_line):
        line = line.rstrip("\r\n")
        if line.startswith("#"):
            _read_comment(line, sentence)
        elif line:
            last_of_token = _read_row(line, number, sentence, last_of_token)
        elif sentence.tokens:
            yield _checked(sentence, number - 1)
            sentence, last_of_token = Sentence(), 0
    if sentence.tokens:  # the last blank line may be missing
        yield _checked(sentence, number)


def _read_comment(line: str, sentence: Sentence) -> None:
    key, _, value = line[1:].partition("=")
    match key.split():
        case ["newdoc", *_]:
            sentence.document = value.strip()
        case ["newpar", *_]:
            sentence.paragraph = value.strip()


def _read_row(line: str, number: int, sentence: Sentence, last_of_token: int) -> int:
    """Add one row; returns the number of the last word that the multiword token begun so far still wants."""
    cells = line.split("\t")
    if len(cells) != COLUMNS:
        raise ValueError(f"line {number} has {len(cells)} tab-separated columns; CoNLL-U has {COLUMNS}")
    place, form, misc = cells[0], cells[1], cells[9]
    if "." in place:
        return last_of_token
    space_after = "SpaceAfter=No" not in misc.split("|")
    first, dash, last = place.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        raise ValueError(f"line {number} has the id {place!r}; give 1, 2, … or a range such as 3-4")
    if dash:
        sentence.tokens.append(Token(form, space_after))
        return int(last)
    if not cells[6].isdecimal():
        raise ValueError(f"line {number} has the head {cells[6]!r}; give the number of a word, or 0 for the root")
    if int(first) > last_of_token:
        sentence.tokens.append(Token(form, space_after))
    feats = "" if cells[5] == "_" else cells[5]
    sentence.tokens[-1].words.append(Word(form, cells[2], cells[3], feats, int(cells[6]), cells[7]))
    return last_of_token


def _checked(sentence: Sentence, number: int) -> Sentence:
    """The sentence, if it is a tree over its words. number: the line where it ends."""
    heads = [word.head for word in sentence.words]
    where = f"the sentence that ends at line {number}"
    if heads.count(0) != 1:
        raise ValueError(f"{where} has {heads.count(0)} roots; a sentence has exactly one word with head 0")
    if max(heads) > len(heads):
        raise ValueError(f"{where} has a head {max(heads)}, but only {len(heads)} words")
    for start in range(1, len(heads) + 1):
        place, steps = start, 0
        while place and steps <= len(heads):
            place, steps = heads[place - 1], steps + 1
        if place:
            raise ValueError(f"{where} has a circle of heads at word {start}")
    return sentence


def cut_documents(lines: Iterable[bytes]) -> Iterator[tuple[str, int, list[bytes]]]:
    """(id, number of the first line, lines) of each document, by its comment `# newdoc id = …`; "" if it has no id."""
    name, first_line, document = "", 1, list[bytes]()
    for number, block in _blocks(lines):
        if new := [line for line in block if NEW_DOCUMENT.match(line)]:
            if document:
                yield name, first_line, document
            name, first_line, document = new[0].partition(b"=")[2].decode("utf-8", "replace").strip(), number, []
        document += block
    if document:
        yield name, first_line, document


def _blocks(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the first line, lines) up to and with each blank line."""
    block, first_line = list[bytes](), 1
    for number, line in enumerate(lines, start=1):
        block.append(line)
        if not line.strip():
            yield first_line, block
            block, first_line = [], number + 1
    if block:
        yield first_line, block


def lay_out(sentences: Sequence[Sentence]) -> tuple[str, list[tuple[int, int]]]:
    """The text of a document, rebuilt from its tokens, and (start, end) of every word in it.

    Sentences are joined by a space (unless the treebank says that none follows), paragraphs by a blank line. The words
    of a multiword token share its span.
    """
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    length, gap = 0, ""
    for sentence in sentences:
        if parts and sentence.paragraph is not None:
            gap = "\n\n"
        for token in sentence.tokens:
            start = length + len(gap)
            length = start + len(token.form)
            parts += (gap, token.form)
            spans += [(start, length)] * len(token.words)
            gap = " " if token.space_after else ""
    return "".join(parts), spans
