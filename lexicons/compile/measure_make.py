"""How often the make of a noun tells the truth: the rules of `lexicons.morphology` on nouns that WordNet does have."""

from typing import Any

import numpy as np

from lexicons.morphology import RULES
from lexicons.upos import UPOS_INDEX
from lexicons.wordnet import lemmas, possible, semantic

SAMPLE = 10_000
"""Nouns, drawn with seed 0."""


def measure_make() -> dict[str, Any]:
    """By rule, for the nouns of the sample on which it is the first to speak: how many, and two shares of features.

    right: of what the rule says, what some sense of the noun has; told: of what is typical of the noun, what it says.
    Some 5 s. Nouns of the sample are nouns that people know; those of running text that WordNet lacks are odder.
    """
    every = lemmas()
    tags = np.full(len(every), UPOS_INDEX["NOUN"], dtype=np.uint8)
    nouns = np.flatnonzero(semantic(every, tags))
    drawn = np.random.default_rng(0).choice(nouns, min(SAMPLE, len(nouns)), replace=False)
    words = [every[place] for place in drawn.tolist()]
    typical, some = (look(words, tags[: len(words)]).tolist() for look in (semantic, possible))
    rows: dict[str, list[tuple[float, float]]] = {rule: [] for rule in RULES}
    for word, usual, any_sense in zip(words, typical, some, strict=True):
        rule, bits = next(((rule, said) for rule, tell in RULES.items() if (said := tell(word))), ("", 0))
        if bits:
            right = (bits & any_sense).bit_count() / bits.bit_count()
            rows[rule].append((right, (bits & usual).bit_count() / usual.bit_count()))
    shares = {rule: np.mean(found, axis=0).round(4).tolist() for rule, found in rows.items() if found}
    by_rule = {rule: {"nouns": len(rows[rule]), "right": own[0], "told": own[1]} for rule, own in shares.items()}
    whole = np.mean([pair for found in rows.values() for pair in found], axis=0).round(4).tolist()
    return {"sample": len(words), "spoke": sum(map(len, rows.values())), "right": whole[0], "told": whole[1], **by_rule}
