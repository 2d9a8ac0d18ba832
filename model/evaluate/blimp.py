"""BLiMP: does a model find the grammatical sentence of a minimal pair the likelier one (Warstadt et al. 2020)?

A sentence is a document of its own. Compared is the log-probability of the full sentence: the sum over all its pieces,
given the begin of a document. The end of the document is left out, as it would ask how likely a text is over, which is
not the question. A pair is right if the grammatical sentence is strictly the likelier one: ties are wrong, and so are
the 7 of 67,000 pairs whose sentences are the same, letter by letter, which no model can get right.

Data: blimp_data.zip of github.com/alexwarstadt/blimp, one JSON lines file for each of 67 sets.
"""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.evaluate.intervals import share
from model.evaluate.text import TextModel


@dataclass(frozen=True, slots=True)
class Pair:
    """A grammatical sentence and one that differs from it by little and is not."""

    good: str
    bad: str
    phenomenon: str
    """Its linguistics_term, one of 13."""


def read_blimp(file: Path) -> dict[str, list[Pair]]:
    """The pairs of each set, sets in the order of their names. Errors: ValueError for what is no archive of BLiMP."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".jsonl"))
            lines = {Path(name).stem: archive.read(name).decode().splitlines() for name in names}
            sets = {name: [_pair(json.loads(line)) for line in read] for name, read in lines.items()}
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{file} is no archive of BLiMP's sets ({error}); fetch blimp_data.zip again") from error
    if not sets:
        raise ValueError(f"{file} holds no set of BLiMP; fetch blimp_data.zip again")
    return sets


def _pair(said: Mapping[str, str]) -> Pair:
    return Pair(said["sentence_good"], said["sentence_bad"], said["linguistics_term"])


def blimp(
    text: TextModel,
    file: Path,
    most: int | None = None,
    seed: int = 0,
    on_set: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> dict[str, object]:
    """Accuracies by set, by phenomenon and overall, with Wilson intervals over pairs.

    most: pairs of each set, drawn under the seed; None for all. Sets are equally large, so that the overall share is
    the mean over sets, too. on_set is told of each set that is done, and of how many there are.
    """
    sets, rows = read_blimp(file), []
    for number, (name, every) in enumerate(sets.items(), start=1):
        pairs = some(every, most, seed)
        right, tied = judged(text, pairs)
        identical = sum(pair.good == pair.bad for pair in pairs)
        about = {"set": name, "phenomenon": pairs[0].phenomenon, "ties": tied, "identical": identical}
        rows.append(about | share(right, len(pairs)))
        on_set(name, number, len(sets))
    phenomena = sorted({str(row["phenomenon"]) for row in rows})
    return {
        "overall": _summed(rows),
        "phenomena": [
            {"phenomenon": each} | _summed([row for row in rows if row["phenomenon"] == each]) for each in phenomena
        ],
        "sets": rows,
    }


def some(pairs: Sequence[Pair], most: int | None, seed: int) -> list[Pair]:
    """All, or so many of them in their order, drawn without replacement."""
    if most is None or most >= len(pairs):
        return list(pairs)
    chosen = np.random.default_rng(seed).choice(len(pairs), size=most, replace=False)
    return [pairs[number] for number in sorted(chosen.tolist())]


def judged(text: TextModel, pairs: Sequence[Pair]) -> tuple[int, int]:
    """How many pairs are right, and how many tie."""
    sentences = list(dict.fromkeys(each for pair in pairs for each in (pair.good, pair.bad)))
    # [:-1]: without the end of the document
    nats = [float(each[:-1].sum()) for each in text.nats([text.ids(sentence) for sentence in sentences])]
    of = dict(zip(sentences, nats, strict=True))  # a sentence is scored once: equal sentences tie to the last bit
    right = sum(of[pair.good] < of[pair.bad] for pair in pairs)
    return right, sum(of[pair.good] == of[pair.bad] for pair in pairs)


def _summed(rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    def total(name: str) -> int:
        return sum(int(str(row[name])) for row in rows)

    counts: dict[str, object] = {name: total(name) for name in ("ties", "identical")}
    return counts | {"sets": len(rows)} | share(total("right"), total("cases"))
