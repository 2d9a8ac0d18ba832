"""Sentences built by hand, so that a test's answer can be checked by eye.

`words_of("she/PRON/2/nsubj gave=give/VERB/0/root books=book/NOUN/2/obj")`: form, `=lemma` where it is not the form in
small letters, tag, head (counted from 1 in its sentence, 0 is the root), relation, and, if wanted, UD features.
"""

from collections.abc import Sequence

import numpy as np

from lexicons.upos import UPOS_INDEX
from pipeline.records import Bonds, Strings, Words, concatenate_words


def words_of(*sentences: str, document: str = "d") -> Words:
    """The words of one document, sentence after sentence, one space between any two words; not annotated."""
    cells = [[word.split("/") for word in sentence.split()] for sentence in sentences]
    flat = [cell for sentence in cells for cell in sentence]
    sizes = [len(sentence) for sentence in cells]
    first = np.repeat(np.cumsum([0, *sizes])[:-1], sizes)
    form = [cell[0].partition("=")[0] for cell in flat]
    head = np.array([int(cell[2]) for cell in flat], dtype=np.int32)
    end = np.cumsum([len(text) + 1 for text in form], dtype=np.int32) - 1
    return Words(
        documents=(document,),
        document=np.zeros(len(flat), np.int32),
        sentence=np.repeat(np.arange(len(sizes)), sizes).astype(np.int32),
        start=(end - [len(text) for text in form]).astype(np.int32),
        end=end.astype(np.int32),
        text=Strings.of(form),
        lemma=Strings.of([cell[0].partition("=")[2] or cell[0].lower() for cell in flat]),
        upos=np.array([UPOS_INDEX[cell[1]] for cell in flat], dtype=np.uint8),
        feats=Strings.of([cell[4] if len(cell) > 4 else "" for cell in flat]),
        head=np.where(head > 0, head - 1 + first, -1).astype(np.int32),
        relation=Strings.of([cell[3] for cell in flat]),
        features=np.zeros(len(flat), np.uint64),
        verb_class=Strings.of([""] * len(flat)),
    )


def documents_of(*documents: Sequence[str]) -> Words:
    """Several documents named d0, d1, …, each given by its sentences."""
    return concatenate_words([words_of(*sentences, document=f"d{n}") for n, sentences in enumerate(documents)])


def named(words: Words, bonds: Bonds) -> list[tuple[str, str, str]]:
    """(query, key, rule) in the words' own letters, in the order of the bonds."""
    pairs = zip(bonds.query.tolist(), bonds.key.tolist(), bonds.rule.to_list(), strict=True)
    return [(words.text[query], words.text[key], rule) for query, key, rule in pairs]
