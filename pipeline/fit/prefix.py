"""The left-to-right annotator's tables, learnt on a UD treebank.

The annotator has words of its own (`pipeline.prefix.step`); each takes the tag of the gold word that most of its
characters belong to. Then everything is counting: which letters take a period into their word, which such words end
sentences all the same, which tag a word has, which tag the words that begin or end in some way have.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS, UPOS_INDEX
from pipeline.fit.treebank import BOUND_PREFIXES, GoldDocument, read_documents
from pipeline.prefix.characters import UPPER, kind_of
from pipeline.prefix.fast import read_text
from pipeline.prefix.rules import ENDINGS, RUN, UNIT
from pipeline.prefix.state import NO_TAG
from pipeline.prefix.step import Stepper
from pipeline.prefix.tables import ANY, SUFFIX, Tables, key_of
from pipeline.prefix.text import Alphabet

ABBREVIATIONS = (
    "adm apr asst aug ave bros brig capt cf cmdr co col corp cpl dec dept dist dr ed eds eng esp est etc feb fig",
    "figs fr ft gen gov hon inc jan jr lieut lt ltd maj messrs mfg mme mr mrs ms msgr mt nos nov oct op pl pp prof pt",
    "pvt rd rep rev rt sen sens sept sgt sr ssp st ste subsp supt univ var viz vol vols vs",
)
"""Taken besides those that the treebank has: web text of the 2000s knows few ranks, volumes and reverends."""

CUTS = (
    "need|n't must|n't might|n't sha|n't ought|n't dare|n't does|nt did|nt is|nt was|nt were|nt are|nt have|nt has|nt",
    "had|nt would|nt could|nt should|nt",
)
"""Auxiliaries that are cut besides those that the treebank cuts. Not `wont` and `cant`, which are words, and begin
others."""
CUT_COUNT, UNIT_COUNT = 3, 4
"""How often the treebank must cut a word without an apostrophe, and a unit from its number, to teach it."""

SPELT = {"<unk>": "PROPN", "@-@": "PUNCT", "@,@": "PUNCT", "@.@": "PUNCT"}
"""WikiText's own marks, which the treebank does not have; rare words, which it hides, are mostly names."""
SPELT_COUNT = 50

LETTERS = re.compile(r"[^\W\d_]+(?:(?<=n)['’])?", re.IGNORECASE)
NUMBER_AND_UNIT = re.compile(r"(?<![\w.,:/-])\d[\d.,:/-]*([^\W\d_]+)\b")

RARE = 10
"""Suffixes are learnt on words seen so often at most: unknown words are like rare ones (Brants 2000)."""
BACKING = 5.0
"""How many observations the shorter suffix counts for, when the longer one's tags are weighed."""
COMPLETE = 8
"""How many observations of a longer word one of the very string counts for: pieces often end where words do."""


@dataclass(frozen=True, slots=True)
class SeenWord:
    """One of the annotator's own words in a treebank; tag NO_TAG: no gold word tells it."""

    text: str
    initial: bool
    tag: int
    sentence: int
    spaced: bool
    """Whether a space or the text's begin stands before it."""
    read: str
    """What is read as the word: also the last letter of `don`, before `do` and `n't` are told apart."""
    cut: bool = False
    """Whether the list cuts it, which tells its tag."""


def fit_prefix(train: Path, out: Path) -> None:
    """Learn on a CoNLL-U file and write `out` (safetensors). The same treebank gives the same bytes."""
    documents = read_documents(train)
    cuts = _cuts(documents)
    cut_key, cut_size = _table({(text, ANY): size for text, (size, _) in cuts.items()})
    _, cut_tag = _table({(text, ANY): tag for text, (_, tag) in cuts.items()})
    tables = replace(
        _character_tables(),
        abbreviation_key=_keys(_abbreviations(documents)),
        cut_key=cut_key, cut_size=cut_size, cut_tag=cut_tag,
        unit_key=_keys(_units(documents)),
        bound_key=_keys(BOUND_PREFIXES),
    )  # fmt: skip
    tables = replace(tables, ender_key=_keys(_enders(seen_words(documents, tables))))
    seen = [word for word in seen_words(documents, tables) if word.tag != NO_TAG]
    whole = [word for word in seen if not word.cut]
    tables = _with_suffix_tags(_with_word_tags(tables, whole), whole)
    _with_prefix_tags(tables, seen).save(out)


def seen_words(documents: Iterable[GoldDocument], tables: Tables) -> list[SeenWord]:
    """The annotator's words in the documents, with the gold word that most of their characters belong to."""
    alphabet, seen = Alphabet.of(tables), []
    for document in documents:
        words, owners = read_text(alphabet, document.text), document.owners()
        # A word is read until the next one is known to begin, if that begins where it ends.
        late = np.append(np.where(words.known[1:] > words.begin[1:], words.known[1:], 0), 0)
        read = np.where(np.append(words.begin[1:], -1) == words.end, np.maximum(late, words.end), words.end)
        columns = (words.begin, words.end, read, words.cut, words.initial)
        for begin, end, until, cut, initial in zip(*(column.tolist() for column in columns), strict=True):
            tag, sentence = document.tag_of(begin, end, owners)
            text, spaced = document.text[begin:end], begin == 0 or document.text[begin - 1].isspace()
            seen.append(SeenWord(text, initial, tag, sentence, spaced, document.text[begin:until], cut))
    return seen


@cache
def _character_tables() -> Tables:
    """Kinds and lower case of all characters by this Python's Unicode data; nothing learnt yet."""
    kinds = np.array([kind_of(chr(code)) for code in range(0x110000)] + [0], dtype=np.uint8)
    begin = np.flatnonzero(np.append(True, np.diff(kinds) != 0)).astype(np.int32)
    lower = [(code, ord(low)) for code in range(0x110000) if len(low := chr(code).lower()) == 1 and ord(low) != code]
    lower.append((ord("’"), ord("'")))  # `don’t` is `don't`
    no_keys, no_tags = np.empty(0, np.int64), np.empty(0, np.uint8)
    return Tables(
        kind_begin=begin,
        kind_value=kinds[begin],
        lower_from=np.array([code for code, _ in lower], dtype=np.int32),
        lower_to=np.array([low for _, low in lower], dtype=np.int32),
        word_key=no_keys, word_tag=no_tags, prefix_key=no_keys, prefix_tag=no_tags,
        suffix_key=no_keys, suffix_tag=no_tags, shape_tag=np.zeros(ANY, np.uint8),
        abbreviation_key=no_keys, ender_key=no_keys, cut_key=no_keys, cut_size=no_tags, cut_tag=no_tags,
        unit_key=no_keys, bound_key=no_keys,
    )  # fmt: skip


def _abbreviations(documents: Iterable[GoldDocument]) -> list[str]:
    """Letters that stand more often with a period in one gold word than before a period of its own."""
    with_period, before_period = Counter[str](), Counter[str]()
    for document in documents:
        forms = [document.text[begin:end] for begin, end in zip(document.begin, document.end, strict=True)]
        for place, form in enumerate(forms):
            if form.endswith(".") and form[:-1].isalpha():
                with_period[form[:-1].lower()] += 1
            elif forms[place + 1 : place + 2] == ["."] and document.end[place] == document.begin[place + 1]:
                before_period[form.lower()] += 1
    learnt = {run for run, count in with_period.items() if count > before_period[run]}
    return sorted(run for run in learnt.union(" ".join(ABBREVIATIONS).split()) if 1 < len(run) <= 16)


def _cuts(documents: Iterable[GoldDocument]) -> dict[str, tuple[int, int]]:
    """What is read of a word when it is cut, how long the first part is and its tag: `don'` 2 AUX, `cannot` 3 AUX.
    Runs of letters that the treebank always cuts there, however they go on."""
    cut, begun, tags = Counter[tuple[str, int]](), Counter[str](), defaultdict[str, Counter[int]](Counter)
    for document in documents:
        ends = dict(zip(document.end, document.tag, strict=True))
        for run in LETTERS.finditer(document.text):
            text, cuts = run.group().lower().replace("’", "'"), list(_ends_in(ends, run))
            for length in range(2, len(text) + 1):
                begun[text[:length]] += 1
            if len(cuts) == 1 and (text[cuts[0] :] == "n'" or text[-2:] in ENDINGS):
                cut[text, cuts[0]] += 1
                tags[text][ends[run.start() + cuts[0]]] += 1
    learnt = {
        text: (size, _best(tags[text]))
        for (text, size), count in sorted(cut.items())
        if count >= (1 if text.endswith("'") else CUT_COUNT) and count == begun[text]
    }
    for pair in " ".join(CUTS).split():
        first, second = pair.split("|")
        learnt[first + (second[:2] if "'" in second else second)] = len(first), UPOS_INDEX["AUX"]
    return {text: found for text, found in learnt.items() if len(text) <= RUN}


def _ends_in(ends: Mapping[int, int], run: re.Match[str]) -> Iterator[int]:
    """Where gold words end inside a run of letters, counted from its begin."""
    return (place - run.start() for place in range(run.start() + 1, run.end()) if place in ends)


def _units(documents: Iterable[GoldDocument]) -> list[str]:
    """Letters that the treebank cuts from the number before them; not those that begin with another unit."""
    cut, whole = Counter[str](), Counter[str]()
    for document in documents:
        ends = set(document.end)
        for found in NUMBER_AND_UNIT.finditer(document.text):
            (cut if found.start(1) in ends else whole)[found.group(1).lower()] += 1
    learnt = {unit for unit, count in cut.items() if count >= UNIT_COUNT and count > 10 * whole[unit]}
    units = {unit for unit in learnt if len(unit) <= UNIT}
    return sorted(unit for unit in units if not any(unit[:length] in units for length in range(1, len(unit))))


def _enders(seen: list[SeenWord]) -> list[str]:
    """Words with a period in them that, before a capital, end a sentence as often as not."""
    ends, goes_on = Counter[str](), Counter[str]()
    for word, following in pairwise(seen):
        if word.text.endswith(".") and len(word.text) > 1 and following.spaced and kind_of(following.text[0]) == UPPER:
            (ends if word.sentence != following.sentence else goes_on)[word.text.lower()] += 1
    return sorted(text for text, count in ends.items() if count > 1 and count >= goes_on[text])


def _with_word_tags(tables: Tables, seen: list[SeenWord]) -> Tables:
    stepper, counts = Stepper(tables, (), frozenset()), defaultdict[tuple[str, int], Counter[int]](Counter)
    for word in seen:
        text = stepper.lowered(word.text)
        for shape in (stepper.shape(word.text, word.initial), ANY):
            counts[text, shape][word.tag] += 1
    for text, tag in SPELT.items():
        counts[text, ANY][UPOS_INDEX[tag]] += SPELT_COUNT
    keys, values = _table(_without_repeats({key: _best(count) for key, count in counts.items()}))
    return replace(tables, word_key=keys, word_tag=values)


def _with_suffix_tags(tables: Tables, seen: list[SeenWord]) -> Tables:
    """Suffixes of rare words: each suffix's tags are weighed with those of the suffix that is one shorter."""
    stepper, counts = Stepper(tables, (), frozenset()), defaultdict[tuple[str, int], Counter[int]](Counter)
    lowered = [stepper.lowered(word.text) for word in seen]
    often = Counter(lowered)
    for text, word in zip(lowered, seen, strict=True):
        if often[text] <= RARE:
            shape = stepper.shape(word.text, word.initial)
            for length in range(min(SUFFIX, len(text)) + 1):
                counts[text[len(text) - length :], shape][word.tag] += 1
    weights: dict[tuple[str, int], NDArray[np.float64]] = {}
    for suffix, shape in sorted(counts, key=lambda key: (len(key[0]), key)):  # shorter ones first
        shorter = weights[suffix[1:], shape] if suffix else np.full(len(UPOS), 1 / len(UPOS))
        weights[suffix, shape] = _weighed(counts[suffix, shape], shorter)
    tags = {key: int(weight.argmax()) for key, weight in weights.items()}
    shape_tag = np.array([tags.get(("", shape), UPOS_INDEX["NOUN"]) for shape in range(ANY)], dtype=np.uint8)
    # A longer suffix only where it changes the answer of the one that is shorter.
    kept = {key: tag for key, tag in tags.items() if key[0] and tag != tags[key[0][1:], key[1]]}
    keys, values = _table(kept)
    return replace(tables, suffix_key=keys, suffix_tag=values, shape_tag=shape_tag)


def _with_prefix_tags(tables: Tables, seen: list[SeenWord]) -> Tables:
    """Beginnings of words, whole words among them."""
    stepper, counts = Stepper(tables, (), frozenset()), defaultdict[tuple[str, int], Counter[int]](Counter)
    spelt = [SeenWord(text, False, UPOS_INDEX[tag], -1, True, text) for text, tag in SPELT.items()]
    often = Counter((word.read, word.initial, word.tag) for word in seen + spelt * SPELT_COUNT)
    for (text, initial, tag), count in often.items():
        lowered = stepper.lowered(text)
        for length in range(1, len(text) + 1):
            weight = count * (COMPLETE if length == len(text) else 1)
            for shape in (stepper.shape(text[:length], initial), ANY):
                counts[lowered[:length], shape][tag] += weight
    keys, values = _table(_without_repeats({key: _best(count) for key, count in counts.items()}))
    return replace(tables, prefix_key=keys, prefix_tag=values)


def _without_repeats(tags: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """A shape of its own only where it changes the answer that the string has in ANY shape."""
    return {key: tag for key, tag in tags.items() if key[1] == ANY or tag != tags[key[0], ANY]}


def _weighed(count: Counter[int], shorter: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tag probabilities by these observations, backed by those of the shorter suffix."""
    seen = np.array([count[tag] for tag in range(len(UPOS))], dtype=np.float64)
    weighed: NDArray[np.float64] = (seen + BACKING * shorter) / (seen.sum() + BACKING)
    return weighed


def _best(count: Counter[int]) -> int:
    """The most frequent tag; of equals the first in the alphabet, so that nothing depends on order."""
    return min(count, key=lambda tag: (-count[tag], tag))


def _keys(texts: Iterable[str]) -> NDArray[np.int64]:
    return np.unique(np.array([key_of(text, ANY) for text in texts], dtype=np.int64))


def _table(tags: Mapping[tuple[str, int], int]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Keys, sorted, and their tags."""
    keys = np.array([key_of(*key) for key in tags], dtype=np.int64)
    values = np.array(list(tags.values()), dtype=np.uint8)
    order = np.argsort(keys)
    return keys[order], values[order]
