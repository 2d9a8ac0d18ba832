"""Do the fillers of VerbNet's own example sentences meet the restrictions that our tables state?

valency bench verbnet --data VALENCY_DATA --json data/results/verbnet.json

Every example of every frame of VerbNet 3.3 is parsed by the shipped spaCy pipeline and annotated as any text;
`flows.bench.verbnet_align` finds the phrase of each slot. Measured, overall and per role, over the slots that have a
restriction and a phrase: `met`, the share of fillers whose head meets it. A head without semantic features meets every
restriction (no evidence is no verdict), so `met_with_evidence` leaves these `silent` ones out. `met_at_random`: the
same fillers, of all roles, dealt out anew (seed 0). `met_by_some_sense`: had nouns the features of all of their senses.
What could not be aligned is counted under `unaligned`, by the slot's position. `worst` lists refused fillers, those
that no sense saves first, then by class.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.bench.verbnet_align import align, find_verb, phrases_around, rows_of_documents
from lexicons import wordnet
from lexicons.compile.verbnet_examples import Example, examples
from lexicons.features import SEMANTIC_BITS, names
from lexicons.upos import UPOS
from lexicons.verbnet import Slot
from pipeline.annotate import annotate
from pipeline.corpus import Document
from pipeline.parsers import load_parser
from pipeline.records import Words

WORST = 100
CORPORA = ("corpora/verbnet3.zip", "corpora/wordnet.zip")


@dataclass(frozen=True, slots=True)
class Filler:
    """The head of a phrase in a slot that has a restriction."""

    example: Example
    slot: Slot
    word: str
    lemma: str
    tag: str
    typical: int
    """Its features as annotated."""
    possible: int
    """The same, with those of all senses of a common noun."""

    def meets(self, bits: int) -> bool:
        """Would a word with these features meet the slot's restriction?"""
        return bool(self.slot.restriction.allows(np.array([bits], dtype=np.uint64))[0])


def bench_verbnet(nltk_data: Path, model: str | None = None) -> dict[str, Any]:
    """Measure. nltk_data: the folder with `corpora/verbnet3.zip` and `wordnet.zip`; model: a spaCy pipeline. Some 10 s.

    Raises ValueError if VerbNet or WordNet is not there.
    """
    # asked here, since NLTK would go on looking in every folder that it was ever told of
    missing = [name for name in CORPORA if not (nltk_data / name).is_file()]
    if missing:
        raise ValueError(f"{nltk_data} lacks {' and '.join(missing)}; name the folder above it with --data")
    found = list(examples(nltk_data))
    documents = [
        Document(id=f"{place:05d}", source="verbnet3", split="test", language="en", text=example.text)
        for place, example in enumerate(found)
    ]
    words, failed = load_parser("spacy", model).parse(documents)
    words = annotate(words)
    fillers, counts, unaligned = _fillers(words, found)
    counts["not_parsed"] += len(failed)
    refused = sorted((f for f in fillers if not f.meets(f.typical)), key=lambda f: f.meets(f.possible))
    features = np.array([filler.typical for filler in fillers], dtype=np.uint64)
    dealt: list[int] = np.random.default_rng(0).permutation(features).tolist()
    return {
        **_shares(fillers, dealt),
        "examples": {"sentences": len(found), **counts},
        "unaligned": unaligned,
        "roles": _by_role(fillers, dealt),
        "refused": len(refused),
        "refused_by_every_sense": sum(not filler.meets(filler.possible) for filler in refused),
        "worst": [_row(filler) for filler in refused[:WORST]],
    }


def _fillers(words: Words, found: list[Example]) -> tuple[list[Filler], Counter[str], dict[str, dict[str, int]]]:
    """The fillers of restricted slots; counts of examples and slots; slots without a phrase, by position."""
    by_position: dict[str, Counter[str]] = defaultdict(Counter)
    counts: Counter[str] = Counter(verb_is_a_member=0, verb_is_the_root=0, without_verb=0, not_parsed=0)
    some_sense = _possible(words)
    fillers = []
    for name, rows in rows_of_documents(words).items():
        example = found[int(name)]
        verb = find_verb(words, rows, example)
        if verb is None:
            counts["without_verb"] += 1
            phrases = []
        else:
            member = words.text[verb].lower() in example.forms or words.lemma[verb].lower() in example.verbs
            counts["verb_is_a_member" if member else "verb_is_the_root"] += 1
            phrases = phrases_around(words, verb)
        for slot, place in zip(example.slots, align(example.slots, phrases), strict=True):
            if slot.position == "clause":
                continue
            kind = "restricted" if slot.restriction else "free"
            by_position[slot.position][kind] += 1
            if place is None:
                by_position[slot.position][f"{kind}_unaligned"] += 1
            elif slot.restriction:
                row = phrases[place].row
                typical = int(words.features[row])
                seen = (words.text[row], words.lemma[row], UPOS[words.upos[row]])
                fillers.append(Filler(example, slot, *seen, typical, typical | int(some_sense[row])))
    return fillers, counts, {position: dict(counted) for position, counted in sorted(by_position.items())}


def _possible(words: Words) -> NDArray[np.uint64]:
    """uint64 [W]: the features of any sense of common nouns."""
    return wordnet.possible(words.lemma.to_list(), words.upos)


def _shares(fillers: list[Filler], dealt: list[int]) -> dict[str, float]:
    """dealt: features of other fillers, one for each."""
    met = [filler.meets(filler.typical) for filler in fillers]
    told = [bool(filler.typical & SEMANTIC_BITS) for filler in fillers]
    return {
        "met": _share(met),
        "met_with_evidence": _share([verdict for verdict, known in zip(met, told, strict=True) if known]),
        "met_at_random": _share([filler.meets(bits) for filler, bits in zip(fillers, dealt, strict=True)]),
        "met_by_some_sense": _share([filler.meets(filler.possible) for filler in fillers]),
        "fillers": len(fillers),
        "silent": len(told) - sum(told),
    }


def _by_role(fillers: list[Filler], dealt: list[int]) -> dict[str, dict[str, float]]:
    """The shares of each role, the most frequent first."""
    roles: dict[str, list[int]] = defaultdict(list)
    for place, filler in enumerate(fillers):
        roles[filler.slot.role].append(place)
    ranked = sorted(roles.items(), key=lambda item: (-len(item[1]), item[0]))
    return {role: _shares([fillers[one] for one in own], [dealt[one] for one in own]) for role, own in ranked}


def _share(verdicts: list[bool]) -> float:
    return round(sum(verdicts) / len(verdicts), 4) if verdicts else 0.0


def _row(filler: Filler) -> dict[str, Any]:
    return {
        "class": filler.example.verb_class,
        "frame": filler.example.description,
        "sentence": filler.example.text,
        "role": filler.slot.role,
        "restriction": str(filler.slot.restriction),
        "filler": f"{filler.word}/{filler.lemma}/{filler.tag}",
        "features": list(names(filler.typical & SEMANTIC_BITS)),
        "met_by_some_sense": filler.meets(filler.possible),
    }
