"""Training texts from two treebanks: much silver, annotated by a larger parser, at first, and gold alone in the end.

The silver has the same classes and the same words as the gold, but a teacher's mistakes; so it comes first, and what is
learnt last is the gold (as unlabelled text is used by Clark et al. 2018 and in distillation by Kim and Rush 2016).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from pipeline.fit.gold import PLAIN_BREAKS, WIKI_BREAK, GoldSentence, GoldText, dressed_texts, joined

Documents = Sequence[Sequence[GoldSentence]]


def falling_share(step: int, steps: int, first: float = 0.75, until: float = 0.75) -> float:
    """The share of silver at a step: `first`, falling evenly to 0 when the part `until` of all steps is over."""
    return first * max(0.0, 1 - step / (until * steps))


def mixed_epochs(
    gold: Documents, silver: Documents, seed: int, share: Callable[[], float]
) -> Iterator[tuple[int, GoldText]]:
    """(epoch of the gold, text) without end. share: asked before each text, how likely it is to be silver.

    Gold texts are those of `dressed_texts(gold, random.Random(seed + epoch))`, in their order, so that a share of 0
    gives what training without silver gives.
    """
    chance = random.Random(f"silver {seed}")
    others = silver_texts(silver, chance) if silver else iter(())
    for epoch in count():
        for text in dressed_texts(gold, random.Random(seed + epoch)):
            while silver and chance.random() < share():
                yield epoch, next(others)
            yield epoch, text


def silver_texts(documents: Documents, chance: random.Random, sentences: int = 6) -> Iterator[GoldText]:
    """Texts of about so many sentences without end: all documents in a new order, again and again.

    One at a time, for two million words as columns would take a gigabyte. What is spaced as WikiText has WikiText's
    breaks.
    """
    order = list(range(len(documents)))
    while True:
        chance.shuffle(order)
        for number in order:
            document, first = documents[number], 0
            breaks = WIKI_BREAK if _all_apart(document) else chance.choice(PLAIN_BREAKS)
            while first < len(document):
                length = chance.randint(max(1, sentences - 3), sentences + 3)
                yield joined(document[first : first + length], [breaks])
                first += length


def _all_apart(document: Sequence[GoldSentence]) -> bool:
    """Whether a space follows every word, full stops' neighbours too."""
    return all(all(sentence.spaces) for sentence in document)
