"""The compatibility score against its formula, pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexicons.features import GENDER_BITS, NUMBER_BITS, PERSON_BITS, SEMANTIC_BITS
from lexicons.upos import UPOS
from lexicons.verbnet import class_frames
from pipeline.annotate import annotate
from pipeline.compatibility import GREATEST, score_block, score_columns
from pipeline.records import Words, no_words
from tests.pipeline.random_words import documents, words_of_cells
from tests.pipeline.sentences import words_of


def score_slow(words: Words, query: int, key: int) -> int:
    """Straight from the formula."""
    ours, theirs = int(words.features[query]), int(words.features[key])
    total = 0
    for group in (PERSON_BITS, NUMBER_BITS, GENDER_BITS):
        if ours & group and theirs & group:
            total += 1 if ours & theirs & group else -1
    return total + selection_slow(words, query, key) + selection_slow(words, key, query)


def selection_slow(words: Words, verb: int, noun: int) -> int:
    known = int(words.features[noun]) if int(words.features[noun]) & SEMANTIC_BITS else 0
    if not words.verb_class[verb] or UPOS[words.upos[noun]] not in ("NOUN", "PROPN", "PRON") or not known:
        return 0
    frames = [frame for name in words.verb_class[verb].split() for frame in class_frames(name)]
    slots = [slot for frame in frames for slot in frame.slots if slot.position != "clause"]
    allows = [bool(slot.restriction.allows(np.array([known], np.uint64))[0]) for slot in slots]
    if any(slot.restriction and yes for slot, yes in zip(slots, allows, strict=True)):
        return 1
    return -1 if slots and not any(allows) else 0


@given(documents(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_block_equals_its_pairs(texts: list, data: st.DataObject) -> None:  # type: ignore[type-arg]
    words = annotate(words_of_cells(texts))
    places = st.lists(st.integers(0, len(words) - 1), max_size=6)
    query, key = (np.array(data.draw(places), dtype=np.int64) for _ in range(2))
    block = score_block(score_columns(words), query, key)
    assert block.shape == (len(query), len(key))
    assert block.tolist() == [[score_slow(words, q, k) for k in key.tolist()] for q in query.tolist()]
    assert (np.abs(block) <= GREATEST).all()
    assert (score_block(score_columns(words), key, query) == block.T).all()


def test_who_fits_whom() -> None:
    words = annotate(words_of("She/PRON/2/nsubj saw=see/VERB/0/root herself/PRON/2/obj ,/PUNCT/2/punct him/PRON/2/obj"))
    block = score_block(score_columns(words), np.arange(5), np.arange(5))
    assert block[0, 2] == 3, "third person singular feminine, all three"
    assert block[0, 4] == 1, "person and number agree, gender does not"
    assert block[1, 0] == 1, "she can see"
    assert block[3].tolist() == [0] * 5


@pytest.mark.parametrize(
    ("verb", "noun", "fits"),
    [
        ("shout", "king", 1),  # both of its slots ask for somebody
        ("shout", "stone", -1),  # and both refuse a thing
        ("amuse", "king", 1),  # who is amused is somebody
        ("amuse", "stone", 0),  # refused there, but whatever amuses may be anything
        ("boil", "stone", 1),  # refused as who boils, wanted as what is boiled
        ("boil", "idea", -1),  # refused as both
        ("frob", "king", 0),  # no verb of VerbNet
    ],
)
def test_selection_says_no_only_where_every_slot_does(verb: str, noun: str, fits: int) -> None:
    words = annotate(words_of(f"{noun}/NOUN/2/nsubj {verb}/VERB/0/root"))
    block = score_block(score_columns(words), np.arange(2), np.arange(2))
    assert block[1, 0] == block[0, 1] == fits, "whichever of the two is the query"
    assert score_slow(words, 1, 0) == score_slow(words, 0, 1) == fits


def test_no_words_have_no_scores() -> None:
    columns = score_columns(no_words())
    assert score_block(columns, np.empty(0, np.int64), np.empty(0, np.int64)).shape == (0, 0)
