"""Stage 3: the annotated words as CoNLL-U, with the documents, paragraphs and spaces that `pipeline.fit.gold` reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS
from pipeline.errors import Failure
from pipeline.fit.teacher.files import load_arrays, load_json
from pipeline.fit.teacher.lemma import LemmaRule, apply


def write_silver(prepared: Path, labels: Path, out: Path, drop: float = 0.0) -> int:
    """Write `out`; returns how many sentences. drop: share of the sentences, those of the least mean log-probability an
    arc, that are left out.

    prepared: the folder that `prepare` wrote. Errors: ValueError for another share; Failure if the files do not go
    together.
    """
    if not 0 <= drop < 1:
        raise ValueError(f"drop is {drop}; give a share from 0 to less than 1")
    words, said = load_arrays(prepared / "silver.safetensors"), load_json(prepared / "silver.json")
    found = load_arrays(labels)
    if len(words["word"]) != len(found["head"]):
        raise Failure(
            f"{labels} has {len(found['head'])} words, {prepared} {len(words['word'])}; prepare and train anew"
        )
    start = np.unpackbits(found["start"], count=len(found["head"])).astype(bool)
    kept = _confident(np.flatnonzero(start), found["confidence"], drop)
    classes = load_json(prepared / "teacher.json")["classes"]
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(out.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.writelines(_lines(words, said, found, np.append(np.flatnonzero(start), len(start)), kept, classes))
    fresh.replace(out)
    return int(kept.sum())


def _confident(first: NDArray[np.int64], confidence: NDArray[Any], drop: float) -> NDArray[np.bool_]:
    """bool [sentences]: which stay."""
    ends = np.append(first[1:], len(confidence))
    mean = np.add.reduceat(confidence.astype(np.float64), first) / (ends - first)
    kept = np.ones(len(first), bool)
    kept[np.argsort(mean, kind="stable")[: int(drop * len(first))]] = False
    return kept


def _lines(
    words: dict[str, NDArray[Any]], said: dict[str, list[str]], found: dict[str, NDArray[Any]],
    bounds: NDArray[np.int64], kept: NDArray[np.bool_], classes: dict[str, Any],
) -> Iterator[str]:  # fmt: skip
    """Lines of the file. bounds: first word of each sentence, and the number of words."""
    size = len(found["head"])
    rules = [LemmaRule(*rule) for rule in classes["lemmas"]]
    # a space follows unless the next word says that none came before it; at the text's end one does
    followed = np.append(np.unpackbits(words["space"], count=size)[1:].astype(bool), True)
    paragraph = np.unpackbits(words["paragraph"], count=size).astype(bool)
    document = np.append(0, np.cumsum(words["size"]))
    keys = ("upos", "feats", "lemma", "relation", "head")
    form_of, *columns = (array.tolist() for array in (words["word"], *(found[key] for key in keys)))
    number, told = -1, -1
    for place, (first, last) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        while first >= document[number + 1]:
            number += 1
        if not kept[place]:
            continue
        if number > told:
            yield f"# newdoc id = {said['documents'][number]}:{number}\n"
        if number > told or paragraph[first]:
            yield "# newpar\n"
        told = number
        for word in range(first, last):
            form = said["forms"][form_of[word]]
            tag, feats, rule, relation, head = (column[word] for column in columns)
            cells = (
                *(
                    str(word - first + 1),
                    form,
                    apply(rules[rule], form),
                    UPOS[tag],
                    "_",
                    classes["feats"][feats] or "_",
                ),
                *(str(head), classes["relations"][relation], "_", "_" if followed[word] else "SpaceAfter=No"),
            )
            yield "\t".join(cells) + "\n"
        yield "\n"
