"""Training texts from a treebank: UD English EWT as itself, and dressed as the corpora that the parser will meet.

A parser that never saw `<unk>` or ` @-@ ` takes them for names and verbs. So a share of the training documents is
written as WikiText writes (Merity et al. 2016): a space around every token, rare words as `<unk>`, hyphens, thousands
and decimals as `@-@`, `@,@`, `@.@`, `don 't` for `don't`, short paragraphs as ` = heading = `.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.conllu import Word, read_sentences

UNKNOWN = "<unk>"
NUMBER = re.compile(r"(\d+)([.,])(\d+)")
PLAIN_BREAKS, WIKI_BREAK = ("\n\n", "\n\n", "\n\n", "\n", "\n\n\n", "\n \n"), " \n "
"""What stands between two paragraphs, as often as listed."""


@dataclass(frozen=True, slots=True)
class GoldSentence:
    """Words of one sentence, and after each whether a space follows (multiword tokens: none inside)."""

    words: tuple[Word, ...]
    spaces: tuple[bool, ...]
    paragraph: bool = False
    """Whether a new paragraph begins here."""


@dataclass(frozen=True, slots=True)
class GoldText:
    """A stretch of a document as parallel columns; space tokens hang on the word before them, as spaCy holds it."""

    words: list[str] = field(default_factory=list)
    spaces: list[bool] = field(default_factory=list)
    lemmas: list[str] = field(default_factory=list)
    upos: list[str] = field(default_factory=list)
    feats: list[str] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    sentence_starts: list[bool] = field(default_factory=list)

    def text(self) -> str:
        return "".join(word + " " * space for word, space in zip(self.words, self.spaces, strict=True))


def read_gold(path: Path) -> list[list[GoldSentence]]:
    """Documents of a treebank, each a list of sentences."""
    documents: list[list[GoldSentence]] = []
    with path.open(encoding="utf-8") as lines:
        for sentence in read_sentences(lines):
            if sentence.document is not None or not documents:
                documents.append([])
            spaces = [
                token.space_after and word is token.words[-1] for token in sentence.tokens for word in token.words
            ]
            new_paragraph = sentence.paragraph is not None
            documents[-1].append(GoldSentence(tuple(sentence.words), tuple(spaces), new_paragraph))
    return documents


def plain_texts(documents: Iterable[Sequence[GoldSentence]], sentences: int = 6) -> Iterator[GoldText]:
    """The treebank as it stands: texts of so many sentences, paragraphs apart by a blank line."""
    for document in documents:
        for first in range(0, len(document), sentences):
            yield joined(document[first : first + sentences], ["\n\n"])


def dressed_texts(
    documents: Sequence[Sequence[GoldSentence]], chance: random.Random, wiki_share: float = 0.25, sentences: int = 6
) -> list[GoldText]:
    """One epoch: every sentence once, in texts of about `sentences`, breaks varied, a share dressed as WikiText."""
    counts = Counter(word.form for document in documents for sentence in document for word in sentence.words)
    texts = []
    for document in documents:
        first = 0
        while first < len(document):
            length = chance.randint(max(1, sentences - 3), sentences + 3)
            part = list(document[first : first + length])
            first += length
            if chance.random() < wiki_share:
                texts.append(joined([as_wikitext(sentence, counts, chance) for sentence in part], [WIKI_BREAK]))
            else:
                texts.append(joined(part, [chance.choice(PLAIN_BREAKS)]))
    chance.shuffle(texts)
    return texts


def joined(sentences: Sequence[GoldSentence], breaks: Sequence[str]) -> GoldText:
    """One text of several sentences: a space between them, one of `breaks` (in turn) between paragraphs."""
    text = GoldText()
    for place, sentence in enumerate(sentences):
        if place and sentence.paragraph:
            _add_space_token(text, breaks[place % len(breaks)])
        elif place:
            text.spaces[-1] = True
        before = len(text.words)
        for word, space in zip(sentence.words, sentence.spaces, strict=True):
            text.words.append(word.form)
            text.spaces.append(space)
            text.lemmas.append(word.lemma)
            text.upos.append(word.upos)
            text.feats.append(word.feats)
            text.heads.append(before + word.head - 1 if word.head else len(text.words) - 1)
            text.relations.append(word.relation if word.head else "ROOT")
            text.sentence_starts.append(len(text.words) == before + 1)
        text.spaces[-1] = False
    return text


def _add_space_token(text: GoldText, space: str) -> None:
    """A space that a token is followed by belongs to it; what is left is a token of its own."""
    if space.startswith(" "):
        text.spaces[-1], space = True, space[1:]
    text.words.append(space)
    text.spaces.append(False)
    text.lemmas.append(space)
    text.upos.append("SPACE")
    text.feats.append("")
    text.heads.append(len(text.words) - 2)
    text.relations.append("dep")
    text.sentence_starts.append(False)


def as_wikitext(sentence: GoldSentence, counts: Counter[str], chance: random.Random) -> GoldSentence:
    """The sentence as WikiText writes it; a word seen once in the treebank is `<unk>` every other time."""
    words: list[list[Word]] = []
    for place, word in enumerate(sentence.words):
        glued = place > 0 and not sentence.spaces[place - 1]
        glues = not sentence.spaces[place]
        number = NUMBER.fullmatch(word.form)
        if word.form == "n't" and glued:
            words[-1][-1] = replace(words[-1][-1], form=words[-1][-1].form + "n")
            words.append([replace(word, form="'t")])
        elif word.form == "-" and glued and glues:
            words.append([replace(word, form="@-@")])
        elif number:
            words.append(_split_number(word, place + 1, number))
        elif word.form.isalpha() and counts[word.form] == 1 and chance.random() < 0.5:
            words.append([replace(word, form=UNKNOWN, lemma=UNKNOWN)])
        else:
            words.append([word])
    return _as_heading(GoldSentence(_renumbered(words), (True,) * sum(map(len, words)), sentence.paragraph), chance)


def _split_number(word: Word, place: int, number: re.Match[str]) -> list[Word]:
    """`1,000` as `1 @,@ 000`: the first part bears the tree, the others hang on it. Heads: -place stands for itself."""
    whole, mark, rest = number.groups()
    mark_word = Word(f"@{mark}@", f"@{mark}@", "PUNCT", "", -place, "punct")
    return [
        replace(word, form=whole, lemma=whole),
        mark_word,
        replace(word, form=rest, lemma=rest, head=-place, relation="flat"),
    ]


def _renumbered(words: Sequence[Sequence[Word]]) -> tuple[Word, ...]:
    """Words after some were split; heads pointed to places before the split (from 1)."""
    begins = [0]
    for parts in words:
        begins.append(begins[-1] + len(parts))
    moved = [
        replace(word, head=begins[abs(word.head) - 1] + 1 if word.head else 0) for parts in words for word in parts
    ]
    return tuple(moved)


def _as_heading(sentence: GoldSentence, chance: random.Random) -> GoldSentence:
    """A short paragraph without a full stop becomes ` = heading = `, of level 1 to 3."""
    words = sentence.words
    if not sentence.paragraph or len(words) > 8 or words[-1].upos == "PUNCT":
        return sentence
    level = chance.randint(1, 3)
    root = level + 1 + next(place for place, word in enumerate(words) if word.head == 0)
    mark = Word("=", "=", "PUNCT", "", root, "punct")
    moved = [replace(word, head=word.head + level if word.head else 0) for word in words]
    framed = (*[mark] * level, *moved, *[mark] * level)
    return GoldSentence(framed, (True,) * len(framed), True)
