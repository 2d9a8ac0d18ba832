"""Where words and arcs go in a picture, so that no two lines run over each other and every label has room.

Plain geometry: x in pixels to the right, heights as a count of levels above the words; pipeline.draw turns it into SVG.
A sentence has tens of words: loops are fine here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WORD_GAP = 12.0
"""Least room between two words."""
PORT_GAP = 8.0
"""Room between two arcs that end at one word."""
LABEL_PAD = 24.0
"""Room beside a label on its arc: two round corners and some air."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """An arc between two words: places in the sentence, and how wide its label is (0 without)."""

    query: int
    key: int
    label_width: float

    @property
    def left(self) -> int:
        return min(self.query, self.key)

    @property
    def right(self) -> int:
        return max(self.query, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """x of each word's centre; for each arc, x of its two feet, level from 1, and x of its label's centre."""

    words: tuple[float, ...]
    width: float
    left: tuple[float, ...]
    right: tuple[float, ...]
    level: tuple[int, ...]
    label: tuple[float, ...]

    @property
    def levels(self) -> int:
        return max(self.level, default=0)


def lay_out(widths: Sequence[float], arcs: Sequence[Arc]) -> Layout:
    """widths: of the words' texts. O(arcs²), meant for a sentence."""
    ports = _ports(len(widths), arcs)
    words = _columns(widths, arcs, ports)
    left = tuple(words[arc.left] + ports[number][0] for number, arc in enumerate(arcs))
    right = tuple(words[arc.right] + ports[number][1] for number, arc in enumerate(arcs))
    level = _levels(left, right)
    label = tuple(_label(number, arcs, left, right, level) for number in range(len(arcs)))
    width = words[-1] + _half(len(widths) - 1, widths, arcs) + WORD_GAP if words else 0.0
    return Layout(words=words, width=width, left=left, right=right, level=level, label=label)


def _ports(size: int, arcs: Sequence[Arc]) -> list[tuple[float, float]]:
    """For each arc the offsets of its feet from the centres of its left and right word.

    From left to right at one word: arcs to the left, the shortest first, then arcs to the right, the longest first;
    in this order no arc's foot cuts a shorter arc.
    """
    offset: dict[tuple[int, int], float] = {}
    for word in range(size):
        leftward = sorted((arc.right - arc.left, n) for n, arc in enumerate(arcs) if arc.right == word)
        rightward = sorted((arc.left - arc.right, n) for n, arc in enumerate(arcs) if arc.left == word)
        feet = [number for _, number in leftward] + [number for _, number in rightward]
        for place, number in enumerate(feet):
            offset[number, word] = (place - (len(feet) - 1) / 2) * PORT_GAP
    return [(offset[n, arc.left], offset[n, arc.right]) for n, arc in enumerate(arcs)]


def _half(word: int, widths: Sequence[float], arcs: Sequence[Arc]) -> float:
    feet = sum(word in (arc.left, arc.right) for arc in arcs)
    return max(widths[word], feet * PORT_GAP) / 2


def _columns(widths: Sequence[float], arcs: Sequence[Arc], ports: list[tuple[float, float]]) -> tuple[float, ...]:
    """Centres from left to right, each as far left as its neighbour and the labels of arcs that end here allow."""
    centre: list[float] = []
    for word in range(len(widths)):
        half = _half(word, widths, arcs)
        least = centre[-1] + _half(word - 1, widths, arcs) + WORD_GAP + half if word else WORD_GAP + half
        for arc, (from_left, from_right) in zip(arcs, ports, strict=True):
            if arc.right == word:
                least = max(least, centre[arc.left] + from_left - from_right + arc.label_width + LABEL_PAD)
        centre.append(least)
    return tuple(centre)


def _levels(left: Sequence[float], right: Sequence[float]) -> tuple[int, ...]:
    """Short arcs first: the lowest level above every arc inside this one that no arc beside it has taken."""
    level = [0] * len(left)
    placed: list[int] = []
    for number in sorted(range(len(left)), key=lambda n: (right[n] - left[n], left[n])):
        over = [o for o in placed if left[o] < right[number] and left[number] < right[o]]
        inside = [level[o] for o in over if left[number] <= left[o] and right[o] <= right[number]]
        taken = {level[o] for o in over}
        level[number] = 1 + max(inside, default=0)
        while level[number] in taken:
            level[number] += 1
        placed.append(number)
    return tuple(level)


def _label(
    number: int, arcs: Sequence[Arc], left: Sequence[float], right: Sequence[float], level: Sequence[int]
) -> float:
    """The place on the arc's top where the label covers the fewest feet of higher arcs, nearest to the middle."""
    half = arcs[number].label_width / 2 + 2
    feet = [x for o in range(len(arcs)) if level[o] > level[number] for x in (left[o], right[o])]
    middle, low, high = (left[number] + right[number]) / 2, left[number] + half + 8, right[number] - half - 8
    if low >= high:
        return middle
    choices = [low + (high - low) * step / 40 for step in range(41)]
    return min(choices, key=lambda x: (sum(abs(foot - x) < half for foot in feet), abs(x - middle)))
