"""From WordNet's synsets to the features of a lemma.

**Features of a synset.** `lexicons/tables/anchors.tsv` names for each feature the synsets at and below which it holds.

**Features of a lemma.** Its senses are weighted by how often they were tagged in WordNet's concordance texts, plus
SMOOTHING each. A feature is *typical* if the senses that have it hold at least TYPICAL_SHARE of the weight, *possible*
if any sense has it. Only senses whose lemma WordNet writes in lower case count for the common word, unless there are
none (`Monday`); those written with a capital count for the proper name (key `london/p`).
"""

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lexicons.compile.corpora import TaggedSenses, hand_made
from lexicons.features import mask

TYPICAL_SHARE = 0.2
"""Share of a lemma's weight that makes a feature typical. Of 0.05 … 0.5 it parted the nouns that fill
restricted slots of EWT train best from nouns dealt out at random (as measure.py counts them), by little."""
SMOOTHING = 0.5
"""Occurrences added to every sense: a lemma that was never tagged has senses of equal weight."""
LONGEST_KEY = 24
"""Bytes; keys are fixed-width. Longer lemmas (chemical compounds, mostly) are left out."""

PARTS = {"n": "n", "v": "v", "a": "a", "s": "a"}
"""WordNet's parts of speech as keys write them; `s` is an adjective in the satellite of another."""


class Sense(NamedTuple):
    capital: bool
    weight: float
    rank: int
    features: int
    node: int


def compile_wordnet(wordnet: Any, tagged: TaggedSenses, node_of: dict[str, int], out: Path) -> list[Path]:
    """Write the sorted keys `lemma/part`, their features (typical, possible) and the node of their most usual sense."""
    senses = _senses(wordnet, tagged, node_of)
    rows = {}
    for (lemma, part), found in senses.items():
        plain = [sense for sense in found if not sense.capital]
        rows[f"{lemma}/{part}"] = _row(plain or found)
        if part == "n" and any(sense.capital for sense in found):
            rows[f"{lemma}/p"] = _row([sense for sense in found if sense.capital])
    keys = sorted((key for key in rows if len(key.encode()) <= LONGEST_KEY), key=str.encode)
    lemmas = np.array([key.encode() for key in keys], dtype=f"S{LONGEST_KEY}")
    features = np.array([[rows[key][column] for key in keys] for column in (0, 1)], dtype="<u8")
    nodes = np.array([rows[key][2] for key in keys], dtype="<i4")
    paths = [out / name for name in ("wordnet_lemmas.npy", "wordnet_features.npy", "wordnet_nodes.npy")]
    for path, column in zip(paths, (lemmas, features, nodes), strict=True):
        np.save(path, column, allow_pickle=False)
    return paths


def _row(senses: list[Sense]) -> tuple[int, int, int]:
    """Typical features, possible features, node of the most usual sense."""
    total = sum(sense.weight for sense in senses)
    possible = typical = 0
    for sense in senses:
        possible |= sense.features
    for bit in (1 << position for position in range(64) if possible >> position & 1):
        if sum(sense.weight for sense in senses if sense.features & bit) >= TYPICAL_SHARE * total:
            typical |= bit
    most_usual = min(senses, key=lambda sense: (-sense.weight, sense.rank))
    return typical, possible, most_usual.node


def _senses(wordnet: Any, tagged: TaggedSenses, node_of: dict[str, int]) -> dict[tuple[str, str], list[Sense]]:
    features = SynsetFeatures(wordnet)
    senses: dict[tuple[str, str], list[Sense]] = defaultdict(list)
    for synset in wordnet.all_synsets():
        if synset.pos() not in PARTS:
            continue
        bits, node = features.of(synset), node_of.get(synset.name(), -1)
        for lemma in synset.lemmas():
            name = lemma.name()
            if "_" not in name:
                times, rank = tagged.of(synset, lemma)
                sense = Sense(name != name.lower(), times + SMOOTHING, rank, bits, node)
                senses[name.lower(), PARTS[synset.pos()]].append(sense)
    return senses


class SynsetFeatures:
    """The features of any synset; remembers what lies above each noun."""

    def __init__(self, wordnet: Any) -> None:
        self.rows = hand_made("anchors.tsv")
        named = {name for row in self.rows for name in (row["nouns"] + " " + row["but_not"]).split()}
        self.anchor_bit = {self._exact(wordnet, name): 1 << place for place, name in enumerate(sorted(named))}
        self.above: dict[str, int] = {}
        self.known: dict[int, int] = {}

    @staticmethod
    def _exact(wordnet: Any, name: str) -> str:
        found = str(wordnet.synset(name).name())
        if found != name:
            raise ValueError(f"anchors.tsv names {name!r}; WordNet calls that synset {found!r}: write it so")
        return found

    def of(self, synset: Any) -> int:
        """The mask of the synset's features."""
        part = synset.pos()
        if part == "n":
            return self._of_anchors(self._anchors_above(synset))
        if part == "v":
            return self._of_column("verbs", synset.lexname())
        bits = self._of_column("adjectives", "all")
        for near in (synset, *synset.similar_tos()):
            for noun in near.attributes():
                bits |= self._of_anchors(self._anchors_above(noun))
        return bits

    def _of_anchors(self, anchors: int) -> int:
        def any_of(names: str) -> bool:
            return any(anchors & self.anchor_bit[name] for name in names.split())

        if anchors not in self.known:
            held = (row["feature"] for row in self.rows if any_of(row["nouns"]) and not any_of(row["but_not"]))
            self.known[anchors] = mask(*held)
        return self.known[anchors]

    def _of_column(self, column: str, value: str) -> int:
        return mask(*(row["feature"] for row in self.rows if {value, "all"} & set(row[column].split())))

    def _anchors_above(self, synset: Any) -> int:
        name = synset.name()
        if name not in self.above:
            bits = self.anchor_bit.get(name, 0)
            for higher in synset.hypernyms() + synset.instance_hypernyms():
                bits |= self._anchors_above(higher)
            self.above[name] = bits
        return self.above[name]
