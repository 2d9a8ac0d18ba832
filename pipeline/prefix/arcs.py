"""Tags and arcs, strictly left to right: what is said of a word when it closes, and never changed afterwards.

On closing word i: its tag and features; the earlier words of its sentence to which it may be joined by an arc, and
which of the two is the head; and which words of the sentence up to i are open: may yet be joined to a word to come.
`ArcReader.read` says it of many sentences at once, `ArcReader.step` of one word after another, the same to the bit
(`pipeline.prefix.network` says why).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from pipeline.prefix.features import word_rows
from pipeline.prefix.lemmas import Lemmas
from pipeline.prefix.network import ARC, FAR, LATER_IS_HEAD, OPEN, SCORES, Floats, Network, Places, scores
from pipeline.prefix.text import Alphabet
from pipeline.records import Strings

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "prefix_arcs.safetensors"

WORDS_AT_ONCE = 6_000
"""Words of a batch: their numbers stay in the processor's cache."""
PAIRS_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs of words [E], sorted by `later`, then `earlier`; rows of the words that were read."""

    later: Places
    earlier: Places
    score: NDArray[np.int32]
    """In units of 2**-10 of a logit."""

    def __len__(self) -> int:
        return len(self.later)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said of words [N]."""

    tag: NDArray[np.uint8]
    label: NDArray[np.int32]
    """Position in ArcReader.feats."""
    arcs: Pairs
    """Proposed when `later` closed."""
    later_is_head: NDArray[np.bool_]
    """[arcs]"""
    open: Pairs
    """`earlier` is open once `later` is closed; the two may be one word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSaid:
    """The same of one word; others by their distance to it, 0 for itself."""

    tag: int
    feats: str
    arcs: tuple[tuple[int, bool, int], ...]
    """Words back, is this word the head, score."""
    open: tuple[tuple[int, int], ...]
    """Words back, score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArcState:
    """What is remembered of the sentence; its size is bounded as sentences are."""

    before: tuple[str, ...] = ()
    """The last two words, the last one first."""
    state: tuple[int, ...] = ()
    keys: tuple[tuple[int, ...], ...] = ()
    """Of every word of the sentence so far."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ArcState":
        found = json.loads(text)
        keys = tuple(map(tuple, found["keys"]))
        return cls(before=tuple(found["before"]), state=tuple(found["state"]), keys=keys)


class ArcReader:
    """A network, the words and features that it knows, and from which score on a pair is proposed, a word open."""

    def __init__(self, alphabet: Alphabet, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.alphabet, self._arrays = alphabet, dict(arrays)
        self.network, self.known = Network(arrays), arrays["known"]
        self.arc_from, self.open_from = (int(each) for each in arrays["thresholds"])
        self.feats: tuple[str, ...] = tuple(json.loads(arrays["feats"].tobytes()))
        self.lemmas = Lemmas.from_json(arrays["lemmas"].tobytes())
        self._of_tag = np.arange(len(self.network.layers["tag"].bias))[:, None] == arrays["label_tag"]
        said = blake2b(digest_size=6)
        for name in sorted(arrays):
            said.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
            said.update(np.ascontiguousarray(arrays[name]).tobytes())
        self.digest = said.hexdigest()

    @classmethod
    def load(cls, path: Path, alphabet: Alphabet) -> "ArcReader":
        """From what `save` wrote."""
        return cls(alphabet, load_file(path))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in sorted(self._arrays.items())}))

    # Many sentences

    def read(self, words: Strings, first: Places) -> Said:
        """What is said of sentences. first: [S + 1] rows where they begin, and the number of words."""
        rows = word_rows(self.alphabet, self.known, words.values)
        parts = [self._read(rows, words.code[begin:end], cut - begin) for begin, end, cut in _batches(first)]
        begins = [int(begin) for begin, _, _ in _batches(first)]
        if not parts:
            none = Pairs(later=_none(np.int64), earlier=_none(np.int64), score=_none(np.int32))
            return Said(tag=_none(np.uint8), label=_none(np.int32), arcs=none, later_is_head=_none(np.bool_), open=none)
        return Said(
            tag=np.concatenate([part.tag for part in parts]),
            label=np.concatenate([part.label for part in parts]),
            arcs=_joined([part.arcs for part in parts], begins),
            later_is_head=np.concatenate([part.later_is_head for part in parts]),
            open=_joined([part.open for part in parts], begins),
        )

    def _read(self, rows: NDArray[np.int32], code: NDArray[np.int32], first: Places) -> Said:
        network = self.network
        distinct, word = np.unique(code, return_inverse=True)
        begin = np.repeat(first[:-1], np.diff(first))
        place = np.arange(len(code)) - begin
        back = [np.where(place >= steps, np.roll(word, steps), -1) for steps in (1, 2)]
        near = network.near(network.word_taps(rows[distinct]), word, *back)
        view = network.view(network.states(network.drive(near), first), near)
        tag = network.tags(view)
        query, key = network.queries(view), network.keys(view)
        arcs, open_ = _pairs(query, key, first, network.distance, (self.arc_from, self.open_from))
        return Said(
            tag=tag,
            label=network.labels(view, self._of_tag[tag]),
            arcs=arcs,
            later_is_head=_pair_scores(query, key, arcs, network.distance) > 0,
            open=open_,
        )

    # One word after another

    def start(self) -> ArcState:
        """Before the first word of a sentence."""
        return ArcState()

    def step(self, state: ArcState, word: str) -> tuple[ArcState, WordSaid]:
        """What is said of the next word of the sentence: the slow twin of `read`."""
        network = self.network
        words = [word, *state.before]
        taps = network.word_taps(word_rows(self.alphabet, self.known, words))
        back = np.array([*range(len(words)), -1, -1])
        near = network.near(taps, back[:1], back[1:2], back[2:3])
        held = np.array([state.state or (0,) * network.state_size], dtype=np.float32)
        held = network.next_state(held, network.drive(near))
        view = network.view(held, near)
        query, own = network.queries(view), network.keys(view)
        keys = np.concatenate([np.array(state.keys, dtype=np.float32).reshape(-1, *own.shape[1:]), own])
        apart = np.arange(len(keys))[::-1]
        arc, later_is_head, is_open = (
            scores(query, keys, number)[0] + network.distance[number][np.minimum(apart, FAR)]
            for number in range(SCORES)
        )
        tag = int(network.tags(view)[0])
        label = int(network.labels(view, self._of_tag[[tag]])[0])
        said = WordSaid(
            tag=tag,
            feats=self.feats[label],
            arcs=tuple(
                (int(apart[j]), bool(later_is_head[j] > 0), int(arc[j]))
                for j in np.flatnonzero(arc[:-1] >= self.arc_from)
            ),
            open=tuple((int(apart[j]), int(is_open[j])) for j in np.flatnonzero(is_open >= self.open_from)),
        )
        after = replace(
            state,
            before=(word, *state.before[:1]),
            state=tuple(held[0].astype(int).tolist()),
            keys=(*state.keys, tuple(own.reshape(-1).astype(int).tolist())),
        )
        return after, said


def _batches(first: Places) -> Iterator[tuple[int, int, Places]]:
    """(first row, row after the last, `first` of the sentences) of whole sentences, WORDS_AT_ONCE or little more."""
    sentence = 0
    while sentence < len(first) - 1:
        after = max(sentence + 1, int(np.searchsorted(first, first[sentence] + WORDS_AT_ONCE)))
        after = min(after, len(first) - 1)
        yield int(first[sentence]), int(first[after]), first[sentence : after + 1]
        sentence = after


def _pairs(query: Floats, key: Floats, first: Places, distance: Floats, least: tuple[int, int]) -> tuple[Pairs, Pairs]:
    """Proposed arcs and open words: all pairs of words of a sentence, sentences of like length side by side."""
    length = np.diff(first)
    order = np.argsort(-length, kind="stable")
    found: tuple[list[Pairs], list[Pairs]] = ([], [])
    begin = 0
    while begin < len(order):
        longest = int(length[order[begin]])
        some = order[begin : begin + max(1, PAIRS_AT_ONCE // longest**2)]
        begin += len(some)
        place = np.arange(longest)
        inside = place < length[some][:, None]
        row = np.where(inside, first[some][:, None] + place, first[some][:, None])
        q, k = query[row], key[row]
        apart = place[:, None] - place
        for held, number, from_score, nearest in zip(found, (ARC, OPEN), least, (1, 0), strict=True):
            score = scores(q, k, number)
            score += distance[number][np.clip(apart, 0, FAR)]
            score[:, apart < nearest] = -np.inf
            score[~inside] = -np.inf
            s, i, j = np.nonzero(score >= from_score)
            base = first[some][s]
            held.append(Pairs(later=base + i, earlier=base + j, score=score[s, i, j].astype(np.int32)))
    arcs, open_ = (_sorted(each) for each in found)
    return arcs, open_


def _pair_scores(query: Floats, key: Floats, pairs: Pairs, distance: Floats) -> Floats:
    """[E] whether the later word is the head."""
    q, k = query[pairs.later, LATER_IS_HEAD], key[pairs.earlier, LATER_IS_HEAD]
    apart = np.minimum(pairs.later - pairs.earlier, FAR)
    score: Floats = (q[:, :-1] * k[:, :-1]).sum(1) + q[:, -1] + k[:, -1] + distance[LATER_IS_HEAD][apart]
    return score


def _sorted(parts: list[Pairs]) -> Pairs:
    whole = _joined(parts, [0] * len(parts))
    order = np.argsort(whole.later * 512 + (whole.earlier - whole.later), kind="stable")
    return Pairs(later=whole.later[order], earlier=whole.earlier[order], score=whole.score[order])


def _joined(parts: list[Pairs], begins: list[int]) -> Pairs:
    return Pairs(
        later=np.concatenate([part.later + begin for part, begin in zip(parts, begins, strict=True)]),
        earlier=np.concatenate([part.earlier + begin for part, begin in zip(parts, begins, strict=True)]),
        score=np.concatenate([part.score for part in parts]),
    )


def _none(dtype: Any) -> NDArray[Any]:
    return np.empty(0, dtype)
