"""How well the tables fit treebanks: `python -m lexicons.compile.measure TREEBANK.conllu …` prints one JSON object.

- coverage: of running words, the share of verbs that are members of a VerbNet class, of nouns with a feature that under
  half of the nouns have (by WordNet, or by their make: `nouns_in_wordnet` is the part of WordNet alone), of pronouns
  with an entry (`pronouns_by_form`: under the form as it is written), of verbs, adjectives and names with a feature.
- tag_pairs: for thresholds of lift, the share of the treebank's arcs whose tags are compatible, and the share of all
  pairs of words of one sentence that are (the density of the `pos` mask).
- restrictions: nouns that depend on a verb of VerbNet, where every slot that the verb has at that place is restricted;
  the share that some slot allows, against the same nouns dealt out anew at random (seed 0). The wider apart, the more
  the restrictions tell.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexicons.compile.conllu import Word, sentences
from lexicons.compile.upos import threshold_curve
from lexicons.morphology import unknown_noun
from lexicons.pronouns import pronoun, pronoun_of
from lexicons.upos import UPOS, UPOS_INDEX, lift_table
from lexicons.verbnet import Slot, classes, frames
from lexicons.wordnet import named, semantic

POSITIONS = {"nsubj": "subject", "obj": "object", "iobj": "second_object", "obl": "oblique"}


class Filler(NamedTuple):
    verb: str
    position: str
    prepositions: frozenset[str]
    noun: str


def measure(treebank: Path) -> dict[str, object]:
    """All of the above, as JSON values."""
    read = list(sentences(treebank))
    words = [word for sentence in read for word in sentence]
    return {
        "words": len(words),
        "coverage": coverage(words),
        "tag_pairs": list(tag_pairs(treebank)),
        "restrictions": restrictions([filler for sentence in read for filler in fillers(sentence)]),
    }


def coverage(words: Iterable[Word]) -> dict[str, float]:
    """Shares of running words, rounded to four places; 0 of what there is none."""
    tagged: dict[str, list[Word]] = defaultdict(list)
    for word in words:
        tagged[word.upos].append(word)
    lemmas = {tag: [word.lemma for word in tagged[tag]] for tag in ("VERB", "NOUN", "ADJ", "PROPN")}
    bits = {
        tag: semantic(lemmas[tag], np.full(len(lemmas[tag]), UPOS_INDEX[tag], dtype=np.uint8))
        for tag in ("VERB", "NOUN", "ADJ")
    }
    pronouns = tagged["PRON"]
    return {
        "verbs_with_class": _share([bool(classes(lemma)) for lemma in lemmas["VERB"]]),
        "nouns_with_feature": _share(_telling(_with_unknown(lemmas["NOUN"], bits["NOUN"]))),
        "pronouns_with_entry": _share([pronoun_of(w.form, w.lemma, w.feats) is not None for w in pronouns]),
        "nouns_in_wordnet": _share(_telling(bits["NOUN"])),
        "pronouns_by_form": _share([pronoun(word.form) is not None for word in pronouns]),
        "verbs_with_feature": _share(bits["VERB"] != 0),
        "adjectives_with_feature": _share(bits["ADJ"] != 0),
        "names_with_feature": _share(named(lemmas["PROPN"]) != 0),
    }


def _with_unknown(lemmas: list[str], bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The features of nouns [W], with what their make says of those that WordNet does not have."""
    made = [unknown_noun(lemma) if not known else 0 for lemma, known in zip(lemmas, bits.tolist(), strict=True)]
    return bits | np.array(made, dtype=np.uint64)


def _telling(bits: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """bool [W]: has the noun a feature that under half of these nouns have? What most have (abstract) tells little."""
    common = np.uint64(0)
    for bit in (np.uint64(1) << np.uint64(position) for position in range(64)):
        if len(bits) > 1 and np.mean((bits & bit) != 0) >= 0.5:
            common |= bit
    return np.asarray((bits & ~common) != 0)


def _share(verdicts: list[bool] | NDArray[np.bool_]) -> float:
    return round(float(np.mean(verdicts)), 4) if len(verdicts) else 0.0


def tag_pairs(treebank: Path) -> Iterator[dict[str, float]]:
    """The curve of the table that ships, on this treebank (lexicons.compile.upos.threshold_curve)."""
    lift = np.zeros((len(UPOS), len(UPOS)))
    for row in lift_table():
        lift[UPOS_INDEX[row["tag"]], UPOS_INDEX[row["other"]]] = float(row["lift"])
    return threshold_curve(lift, treebank)


def fillers(words: list[Word]) -> Iterator[Filler]:
    """The nouns of a sentence that stand at a place of an active verb of VerbNet."""
    passive = {word.head for word in words if word.relation == "aux:pass"}
    for index, word in enumerate(words):
        if word.upos != "NOUN" or word.relation not in POSITIONS or word.head in passive:
            continue
        verb = words[word.head]
        if verb.upos == "VERB" and classes(verb.lemma):
            cases = frozenset(w.lemma.lower() for w in words if w.head == index and w.relation == "case")
            yield Filler(verb.lemma, POSITIONS[word.relation], cases, word.lemma)


def slots_at(filler: Filler) -> list[Slot]:
    """The slots of the verb at the filler's place. All words of a preposition must be there: `out of`."""
    at_place = (slot for frame in frames(filler.verb) for slot in frame.slots if slot.position == filler.position)
    return [
        slot
        for slot in at_place
        if not slot.prepositions or any(set(words.split()) <= filler.prepositions for words in slot.prepositions)
    ]


def restrictions(found: list[Filler]) -> dict[str, dict[str, float]]:
    """By position: fillers counted, share allowed, share of fillers dealt out at random that would be allowed."""
    bits = semantic([filler.noun for filler in found], np.full(len(found), UPOS_INDEX["NOUN"], dtype=np.uint8))
    dealt = np.random.default_rng(0).permutation(bits)
    verdicts: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for place, filler in enumerate(found):
        slots = slots_at(filler)
        if slots and all(slot.restriction for slot in slots):
            verdicts[filler.position].append((_any(slots, bits[place]), _any(slots, dealt[place])))
    shares = {position: np.mean(pairs, axis=0).round(4).tolist() for position, pairs in sorted(verdicts.items())}
    return {
        position: {"fillers": len(verdicts[position]), "allowed": own, "allowed_at_random": other}
        for position, (own, other) in shares.items()
    }


def _any(slots: list[Slot], bits: np.uint64) -> bool:
    one: NDArray[np.uint64] = np.array([bits], dtype=np.uint64)
    return any(bool(slot.restriction.allows(one)[0]) for slot in slots)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(json.dumps({Path(name).stem: measure(Path(name)) for name in sys.argv[1:]}, indent=2))
