"""The leak meter: of what an attribute tells about the next piece, how much did it learn from the text to come?

For an attribute that the model is given at piece t, `gain` is what it saves a probe (model.evaluate.probe) on piece
t+1, in nats a held-out piece. `leak` is that gain minus the gain of the same probe, fitted and scored on the attribute
told anew from the text cut after t (model.evaluate.given): 0 where the two are equal, by a comparison of the columns.
Where they differ, the difference of gains is what only the future can have told.

Of a word that is still open, a cut text says what its characters so far do; only what a whole-word tag tells beyond
that is leak.

meter = LeakMeter(layer.splits["train"], layer.splits["validation"], annotator)
print(meter.measure("input_tag"))     # gain 0.09 nats, leak 0.00
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.columns import Split
from model.config import Recipe
from model.evaluate.given import GIVEN, Columns, attributes_of, cut, streamed
from model.evaluate.leak import Annotator
from model.evaluate.probe import Places, probe_nats
from pipeline.errors import Failure

Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leak:
    """What one attribute tells of the next piece, and how much of that it can only know from the future."""

    attribute: str
    gain: float
    """Held-out nats a piece that the probe saves by being told."""
    leak: float
    """The part of the gain that is lost when the attribute is told anew from the text cut after the piece."""
    pieces: int
    """Held-out pieces that were predicted."""
    compared: int
    """Pieces, to fit and held out, at which the attribute as given was compared with the attribute told anew."""
    differing: int
    """How many of these differ."""

    def __str__(self) -> str:
        # + 0.0: a gain that rounds to 0 from below is no "-0.00"
        return f"gain {round(self.gain, 2) + 0.0:.2f} nats, leak {round(self.leak, 2) + 0.0:.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterConfig:
    """How much is read, and how it is drawn."""

    fit_pieces: int = 400_000
    """Pieces of training documents that the probe is fitted on, at least, as long as there are any more."""
    held_pieces: int = 100_000
    """Pieces of held-out documents that it is scored on, likewise."""
    cuts: int = 500
    """Places, drawn from all of these, at which the text is cut and annotated from its beginning."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("fit_pieces", "held_pieces", "cuts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")


class LeakMeter:
    """Measures attributes of the columns that a model is given. What is told anew is made once, at first need.

    fit, held: the training and the held-out split as the model gets them, leaks and controls included. annotator: what
    tells anew what they say from ids, with the same controls; one for all documents, or one for each by its id. One
    that goes step by step takes 150 microseconds a piece, and what it says is checked at some cuts. Of any other, some
    cuts are compared; if one of them differs, every place is told anew, at some milliseconds each.
    """

    def __init__(
        self,
        fit: Split,
        held: Split,
        annotator: Annotator | Mapping[str, Annotator],
        config: MeterConfig | None = None,
    ) -> None:
        self._config = config or MeterConfig()
        random = np.random.default_rng(self._config.seed)
        some, others = _drawn(fit, self._config.fit_pieces, random), _drawn(held, self._config.held_pieces, random)
        self._fits = len(some)  # so many of the documents are to fit on; the others are held out
        self._names = [fit.documents[at] for at in some] + [held.documents[at] for at in others]
        self._documents = _columns(fit, some) + _columns(held, others)
        self._annotators = [annotator[name] if isinstance(annotator, Mapping) else annotator for name in self._names]

    def measure(self, attribute: str) -> Leak:
        """Errors: ValueError for an unknown attribute or too few pieces; Failure if step and annotate disagree."""
        if attribute not in GIVEN:
            raise ValueError(f"unknown attribute {attribute!r}; known: {', '.join(GIVEN)}")
        given = [GIVEN[attribute](columns)[:-1] for columns in self._documents]
        anew, compared = self._told_anew(attribute, given)
        differing = sum(int((one != other).sum()) for one, other in zip(given, anew, strict=True))
        gain = self._gain(given)
        return Leak(
            attribute=attribute,
            gain=gain,
            leak=gain - self._gain(anew) if differing else 0.0,
            pieces=sum(map(len, given[self._fits :])),
            compared=compared,
            differing=differing,
        )

    def _told_anew(self, attribute: str, given: list[Classes]) -> tuple[list[Classes], int]:
        """The attribute from cut texts, and the number of places where it was compared with the one given."""
        everywhere = sum(map(len, given))
        row = list(GIVEN).index(attribute)
        if self._streamed is not None:
            anew = [GIVEN[attribute](columns)[:-1] for columns in self._streamed]
            if wrong := self._first_other(row, anew):
                number, t = wrong
                raise Failure(
                    f"{attribute} of piece {t} of {self._names[number]} is another step by step than from the cut "
                    "text; mend the annotator: step must equal annotate"
                )
            return anew, everywhere
        if self._first_other(row, given) is None:
            return given, sum(map(len, self._places))
        return [told[row] for told in self._cut_everywhere], everywhere

    def _first_other(self, row: int, classes: list[Classes]) -> tuple[int, int] | None:
        """Document and piece of the first cut that says otherwise than these classes."""
        for number, (places, told) in enumerate(zip(self._places, self._cut_at_places, strict=True)):
            other = told[row] != classes[number][places]
            if other.any():
                return number, int(places[other.argmax()])
        return None

    @cached_property
    def _streamed(self) -> list[Columns] | None:
        found = []
        for annotator, columns in zip(self._annotators, self._documents, strict=True):
            told = streamed(annotator, columns["pieces"])
            if told is None:
                return None
            found.append(told)
        return found

    @cached_property
    def _places(self) -> list[Classes]:
        """Of each document, the pieces after which the text is cut: drawn evenly from all that have a next piece."""
        ends = np.cumsum([len(columns["pieces"]) - 1 for columns in self._documents])
        random = np.random.default_rng([self._config.seed, 1])
        drawn = np.sort(random.permutation(ends[-1])[: self._config.cuts])
        parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
        return [part - begin for part, begin in zip(parts, [0, *ends[:-1]], strict=True)]

    @cached_property
    def _cut_at_places(self) -> list[Classes]:
        return [self._cut(number, places) for number, places in enumerate(self._places)]

    @cached_property
    def _cut_everywhere(self) -> list[Classes]:
        every = (np.arange(len(columns["pieces"]) - 1) for columns in self._documents)
        return [self._cut(number, places) for number, places in enumerate(every)]

    def _cut(self, number: int, places: Classes) -> Classes:
        """[attributes of GIVEN, places]"""
        return cut(self._annotators[number], self._documents[number]["pieces"], places.tolist())

    def _gain(self, classes: list[Classes]) -> float:
        return self._nats_without - probe_nats(*self._sides(classes))

    @cached_property
    def _nats_without(self) -> float:
        """Of the probe that is told nothing: one class for all."""
        return probe_nats(*self._sides([np.zeros(len(each["pieces"]) - 1, np.int64) for each in self._documents]))

    def _sides(self, classes: list[Classes]) -> tuple[Places, Places]:
        """The places to fit on and those held out; a document's last piece has no next one."""
        some, count = self._documents, self._fits
        return _places_of(some[:count], classes[:count]), _places_of(some[count:], classes[count:])


def leaks_of(recipe: Recipe, meter: LeakMeter) -> list[Leak]:
    """Every attribute that a recipe gives the model, the worst leak first.

    The meter must be of the columns that the recipe gives, with their annotators (WholeWordTags, if it is leaky).
    """
    return sorted((meter.measure(name) for name in attributes_of(recipe)), key=lambda leak: (-leak.leak, -leak.gain))


def _drawn(split: Split, pieces: int, random: np.random.Generator) -> list[int]:
    """Numbers of whole documents, drawn until they have so many pieces."""
    order = random.permutation(len(split.documents))
    enough = int(np.searchsorted(np.cumsum(split.pieces()[order]), pieces)) + 1
    return [int(number) for number in order[:enough]]


def _columns(split: Split, documents: Sequence[int]) -> list[Columns]:
    parts = [slice(split.offset[at], split.offset[at + 1]) for at in documents]
    return [{name: array[part] for name, array in split.columns.items()} for part in parts]


def _places_of(documents: Sequence[Columns], classes: Sequence[Classes]) -> Places:
    pieces = [columns["pieces"].astype(np.int64) for columns in documents]
    return Places(
        piece=_joined([each[:-1] for each in pieces]),
        attribute=_joined(classes),
        target=_joined([each[1:] for each in pieces]),
    )


def _joined(parts: Sequence[Classes]) -> Classes:
    return np.concatenate([np.empty(0, np.int64), *parts])
