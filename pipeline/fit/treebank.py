"""A treebank as raw text with the gold words on it: documents whose sentences are joined by a space, their paragraphs
by a blank line."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lexicons.upos import UPOS_INDEX
from pipeline.conllu import Sentence, Token, read_sentences
from pipeline.prefix.state import NO_TAG

BOUND_PREFIXES = tuple(
    """anti arch bi co counter cross e ex inter intra mid multi neo non over post pre pro psycho quasi re semi socio sub
    ultra un""".split()  # noqa: SIM905
)
"""EWT keeps `e-mail` and `non-profit` whole, and cuts `well-known` into three."""


@dataclass(slots=True)
class GoldDocument:
    """Text, and of each gold word where it stands, its tag and its sentence. The words of a multiword token divide its
    span if they spell it (`do` + `n't`), else each has all of it."""

    text: str = ""
    begin: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    tag: list[int] = field(default_factory=list)
    sentence: list[int] = field(default_factory=list)

    def owners(self) -> list[int]:
        """For every character the gold word that it belongs to, -1 for none."""
        owner = [-1] * len(self.text)
        for word in reversed(range(len(self.begin))):  # the first of those that share a span wins
            owner[self.begin[word] : self.end[word]] = [word] * (self.end[word] - self.begin[word])
        return owner

    def tag_of(self, begin: int, end: int, owners: list[int]) -> tuple[int, int]:
        """Tag and sentence of a stretch: those of the gold word that most of its characters belong to, the first of
        equals. NO_TAG if that says nothing of the stretch (a slash of a URL), or if there is none (sentence -1 then).

        owners: as `owners` gives them.
        """
        words = Counter(owner for owner in owners[begin:end] if owner >= 0)
        if not words:
            return NO_TAG, -1
        word = words.most_common(1)[0][0]
        mark = not any(map(str.isalnum, self.text[begin:end]))
        if mark and any(map(str.isalnum, self.text[self.begin[word] : self.end[word]])):
            return NO_TAG, self.sentence[word]
        return self.tag[word], self.sentence[word]


def read_documents(path: Path) -> list[GoldDocument]:
    """Documents of a CoNLL-U file, in order."""
    documents: list[GoldDocument] = []
    with path.open(encoding="utf-8") as lines:
        for number, sentence in enumerate(read_sentences(lines)):
            if sentence.document is not None or not documents:
                documents.append(GoldDocument())
            _append(documents[-1], sentence, number)
    return documents


def _append(document: GoldDocument, sentence: Sentence, number: int) -> None:
    if document.text:
        document.text = document.text.rstrip(" ") + ("\n\n" if sentence.paragraph is not None else " ")
    for token in sentence.tokens:
        for word, (begin, end) in zip(token.words, _spans(token), strict=True):
            document.begin.append(len(document.text) + begin)
            document.end.append(len(document.text) + end)
            document.tag.append(UPOS_INDEX[word.upos])
            document.sentence.append(number)
        document.text += token.form + " " * token.space_after


def _spans(token: Token) -> list[tuple[int, int]]:
    forms = [word.form for word in token.words]
    if "".join(forms) != token.form:
        return [(0, len(token.form))] * len(forms)
    ends = [sum(len(form) for form in forms[: place + 1]) for place in range(len(forms))]
    return list(zip([0, *ends[:-1]], ends, strict=True))
