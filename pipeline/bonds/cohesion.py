"""Cohesion bonds: a noun and the nearest earlier mentions of the same noun, or of one close to it in WordNet.

Repetition, synonyms and words for the kind of thing are what ties the sentences of a text to one another (Halliday &
Hasan 1976, chapter 6). Cohesion is a matter between sentences: words of the same sentence, which the syntax ties
already, are left out. Query = the later word, key = an earlier one. The rule names the lemma that both share, `same
lemma: treaty`, or what WordNet calls both, `related: dinner ~ meal (meal.n.01)`. Related are two common nouns whose
similarity (Lin 1998, on the WordNet hierarchy of lexicons.taxonomy) reaches a threshold; names have only themselves.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lexicons import taxonomy, wordnet
from lexicons.upos import UPOS_INDEX
from pipeline.bonds.config import BondConfig
from pipeline.bonds.pairs import Pairs, make_bonds, ranges, run_start
from pipeline.records import Bonds, Strings, Words, distinct

NOUNS = (UPOS_INDEX["NOUN"], UPOS_INDEX["PROPN"])
NO_WORDS = {"unk", "<unk>"}
"""What WikiText puts for every rare word: two of these need not be the same word."""
SCAN = 12
"""Most earlier nouns among which a noun looks for relatives."""


def cohesion_bonds(words: Words, config: BondConfig) -> Bonds:
    """At most `config.cohesion_cap` bonds a noun, `config.cohesion_reach` sentences back: O(W (log W + SCAN))."""
    lemma = _folded(words.lemma)
    wanted = np.array([_is_noun(value) for value in lemma.values], dtype=bool)
    mention = np.flatnonzero(np.isin(words.upos, NOUNS) & wanted[lemma.code] if len(words) else [])
    same = _repeated(words, lemma, mention, config)
    near = _related(words, lemma, mention, config)
    query, key = np.append(same[0], near[0]), np.append(same[1], near[1])
    related = np.arange(len(query)) >= len(same[0])
    order = np.lexsort((-key, related, query))
    order = order[np.arange(len(order)) - run_start(query[order]) < config.cohesion_cap]
    query, key = query[order], key[order]
    return make_bonds("cohesion", query, key, _rules(lemma, query, key))


def _repeated(words: Words, lemma: Strings, mention: NDArray[np.int64], config: BondConfig) -> Pairs:
    """Pairs of mentions of one lemma, the nearest `cohesion_cap` of each."""
    # Mentions of one lemma in one document become neighbours, in text order.
    order = mention[np.lexsort((mention, lemma.code[mention], words.document[mention]))]
    chain = run_start(words.document[order].astype(np.int64) * (len(lemma.values) + 1) + lemma.code[order])
    sentence = words.sentence[order].astype(np.int64)
    begins = run_start(chain * (int(sentence.max(initial=0)) + 1) + sentence)  # first mention in its sentence
    place, earlier = [], []
    for back in range(1, config.cohesion_cap + 1):
        seen = begins - back
        good = np.flatnonzero(seen >= chain)
        good = good[sentence[good] - sentence[seen[good]] <= config.cohesion_reach]
        place.append(good)
        earlier.append(seen[good])
    return order[np.concatenate(place)], order[np.concatenate(earlier)]


def _related(words: Words, lemma: Strings, mention: NDArray[np.int64], config: BondConfig) -> Pairs:
    """Pairs of common nouns with different lemmas whose similarity reaches the threshold, among the nearest SCAN."""
    noun = mention[words.upos[mention] == UPOS_INDEX["NOUN"]]
    known, code = distinct(lemma.code[noun], len(lemma.values))
    lemmas = [lemma.values[one] for one in known.tolist()]
    node = np.full(len(words), -1, np.int32)
    node[noun] = wordnet.nodes(lemmas, np.full(len(lemmas), UPOS_INDEX["NOUN"], np.uint8))[code]
    noun = noun[node[noun] >= 0]
    stop = np.searchsorted(noun, words.sentence_first()[noun])  # earlier sentences only
    begin = np.searchsorted(noun, np.searchsorted(words.document, words.document[noun]))
    owner, place = ranges(np.maximum(stop - SCAN, begin), stop)
    query, key = noun[owner], noun[place]
    good = words.sentence[query] - words.sentence[key] <= config.cohesion_reach
    good &= lemma.code[query] != lemma.code[key]
    query, key = query[good], key[good]
    # one look-up for each distinct pair of nodes
    pair, which = np.unique((node[query].astype(np.int64) << 32) | node[key], return_inverse=True)
    alike = taxonomy.similarity((pair >> 32).astype(np.int32), (pair & 0xFFFFFFFF).astype(np.int32))
    close = (alike >= config.cohesion_similarity)[which]
    return query[close], key[close]


def _rules(lemma: Strings, query: NDArray[np.int64], key: NDArray[np.int64]) -> Strings:
    """The rule of each bond, written once for each distinct pair of lemmas."""
    pair, code = np.unique((lemma.code[query].astype(np.int64) << 32) | lemma.code[key], return_inverse=True)
    one, other = pair >> 32, pair & 0xFFFFFFFF
    names = [(lemma.values[each], lemma.values[that]) for each, that in zip(one.tolist(), other.tolist(), strict=True)]
    rules = [f"same lemma: {name}" for name, _ in names]
    different = np.flatnonzero(one != other).tolist()
    nouns = np.full(len(different), UPOS_INDEX["NOUN"], np.uint8)
    nodes = [wordnet.nodes([names[place][side] for place in different], nouns) for side in (0, 1)]
    for place, shared in zip(different, taxonomy.common(*nodes).tolist(), strict=True):
        rules[place] = f"related: {names[place][0]} ~ {names[place][1]} ({taxonomy.name(shared)})"
    return Strings(code.astype(np.int32), tuple(rules))


def _folded(lemma: Strings) -> Strings:
    """The same column without regard to capitals."""
    folded = Strings.of(value.casefold() for value in lemma.values)
    code: NDArray[np.int32] = folded.code[lemma.code] if len(lemma) else lemma.code
    return Strings(code, folded.values)


@lru_cache(maxsize=1 << 17)
def _is_noun(lemma: str) -> bool:
    """A lone letter, a number or a sign may be tagged as a noun; meeting it twice says nothing."""
    return len(lemma) > 1 and any(sign.isalpha() for sign in lemma) and lemma not in NO_WORDS
