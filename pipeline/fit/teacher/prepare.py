"""Stage 1: treebank and raw text to arrays. It needs spaCy and takes some minutes; what follows needs neither.

teacher.safetensors, teacher.json    pieces and classes, all that training reads (45 MB at the defaults)
silver.safetensors, silver.json      forms of the words to be annotated: they stay for the last stage
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from numpy.typing import NDArray

from pipeline.fit.gold import read_gold
from pipeline.fit.teacher.files import Arrays, save_arrays, save_json
from pipeline.fit.teacher.raw import Stretch, choose, read_stretches
from pipeline.fit.teacher.subwords import DOCUMENT, PARAGRAPH, Pieces, encode, fit_subwords, spelling
from pipeline.fit.teacher.treebank import Classes, Columns, classes_of, columns_of, dressed, numbered
from pipeline.fit.tokens import adapt_tokenizer

Report = Callable[[str], None]
TREEBANKS = ("train", "dressed-0", "dressed-1", "dev")
"""Names of the treebank's streams; the dressed ones are train in WikiText's dress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareConfig:
    """How much text, and in how many pieces."""

    words: int = 14_000_000
    """Of raw text for the masked language model."""
    silver_words: int = 2_000_000
    """Of these, to be annotated."""
    pieces: int = 16_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every distinct word of all texts: form and whether a space comes before it; and its pieces."""

    forms: list[str]
    number: dict[str, int]
    """Of each spelling."""
    pieces: Pieces


def prepare(
    train: Path, dev: Path, inputs: Sequence[str | Path], out: Path, config: PrepareConfig, report: Report = print
) -> None:
    """Write the four files into the folder `out`, unless they lie there.

    Errors: ValueError for a treebank or an input that is none, or if the inputs hold no text.
    """
    names = ("silver.safetensors", "silver.json", "teacher.safetensors", "teacher.json")
    if all((out / name).exists() for name in names):
        report(f"{out} is prepared; remove it to prepare it again")
        return
    gold = read_gold(train)
    treebanks = [columns_of(gold), *(columns_of(dressed(gold, seed)) for seed in (config.seed, config.seed + 1))]
    treebanks.append(columns_of(read_gold(dev)))
    classes = classes_of(treebanks[:-1])
    nlp = spacy.blank("en")
    adapt_tokenizer(nlp)
    stretches = _chosen(list(read_stretches(inputs, nlp)), config.words, config.seed)
    if not stretches:
        raise ValueError(f"no text in {', '.join(map(str, inputs))}; give files or folders of documents")
    report(f"{sum(len(each.orth) for each in stretches):,} raw words, in {len(stretches):,} stretches")
    words, spellings = _numbered_words(stretches, nlp)
    lexicon = _lexicon(spellings, words, treebanks, config.pieces)
    report(f"{len(lexicon.forms):,} distinct words, {len(classes.lemmas)} lemma rules, {len(classes.feats)} feats")
    silver = choose([each.corpus for each in stretches], [len(each.orth) for each in stretches],
                    config.silver_words, config.seed + 1)  # fmt: skip
    arrays = _raw_arrays(stretches, words, silver, lexicon)
    for name, columns in zip(TREEBANKS, treebanks, strict=True):
        arrays |= {f"{name}/{key}": array for key, array in _treebank_arrays(columns, classes, lexicon).items()}
    _save_silver(stretches, words, silver, lexicon, out)
    save_arrays(arrays, out / "teacher.safetensors")
    save_json({"config": asdict(config), "pieces": int(lexicon.pieces.flat.max()) + 1, "classes": asdict(classes),
               "dev": asdict(treebanks[-1])}, out / "teacher.json")  # fmt: skip
    report(f"{(out / 'teacher.safetensors').stat().st_size / 1e6:.1f} MB, {len(arrays['raw/pieces']):,} raw pieces")


def _chosen(stretches: Sequence[Stretch], words: int, seed: int) -> list[Stretch]:
    taken = choose([each.corpus for each in stretches], [len(each.orth) for each in stretches], words, seed)
    return [each for each, take in zip(stretches, taken, strict=True) if take]


def _numbered_words(stretches: Sequence[Stretch], nlp: Any) -> tuple[list[NDArray[np.int64]], list[tuple[str, bool]]]:
    """Words of each stretch as numbers of distinct (form, space before), and these."""
    orths, number = np.unique(np.concatenate([each.orth for each in stretches]), return_inverse=True)
    space = np.concatenate([each.space for each in stretches])
    pairs, number = np.unique(2 * number + space, return_inverse=True)
    distinct = [(nlp.vocab.strings[int(orths[pair // 2])], bool(pair % 2)) for pair in pairs]
    return np.split(number, np.cumsum([len(each.orth) for each in stretches])[:-1]), distinct


def _lexicon(
    distinct: Sequence[tuple[str, bool]], words: Sequence[NDArray[np.int64]], treebanks: Sequence[Columns], size: int
) -> Lexicon:
    """Pieces are learnt from the raw text and train. Words that only the treebank has follow the others."""
    spellings = [spelling(form, space) for form, space in distinct]
    forms = [form for form, _ in distinct]
    said: Any = np.array(spellings, object)
    train = [spelling(form, space) for form, space in zip(treebanks[0].form, treebanks[0].space, strict=True)]
    tokenizer = fit_subwords([*(said[each] for each in words), train], size)
    number = {word: place for place, word in enumerate(spellings)}
    for columns in treebanks:
        for form, space in zip(columns.form, columns.space, strict=True):
            if number.setdefault(spelling(form, space), len(forms)) == len(forms):
                forms.append(form)
    return Lexicon(forms, number, encode(tokenizer, list(number)))


def _raw_arrays(
    stretches: Sequence[Stretch], words: Sequence[NDArray[np.int64]], silver: NDArray[np.bool_], lexicon: Lexicon
) -> Arrays:
    """Pieces of all stretches; `raw/silver`: [stretches, 2] where the pieces of those to be annotated begin and end."""
    pieces, starts, ranges, size = [], [], [], 0
    for place, (stretch, numbers) in enumerate(zip(stretches, words, strict=True)):
        goes_on = not stretch.begins and place and stretches[place - 1].document == stretch.document
        document = np.zeros(len(numbers), bool)
        document[0] = not goes_on
        flat, start = _with_breaks(lexicon.pieces, numbers, document, stretch.paragraph & ~document)
        pieces.append(flat)
        starts.append(start)
        size += len(flat)
        if silver[place]:
            ranges.append((size - len(flat), size))
    return {
        "raw/pieces": np.concatenate(pieces),
        "raw/starts": np.packbits(np.concatenate(starts)),
        "raw/silver": np.array(ranges, np.int64).reshape(-1, 2),
    }


def _with_breaks(
    pieces: Pieces, words: NDArray[np.int64], document: NDArray[np.bool_], paragraph: NDArray[np.bool_]
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Pieces of words with DOCUMENT or PARAGRAPH put before those that begin one; and where words start."""
    flat, length = pieces.of(words)
    first = np.cumsum(length) - length
    start = np.zeros(len(flat), bool)
    start[first] = True
    special = np.where(document, DOCUMENT, PARAGRAPH)[document | paragraph]
    place = first[document | paragraph]
    return np.insert(flat, place, special), np.insert(start, place, False)


def _treebank_arrays(columns: Columns, classes: Classes, lexicon: Lexicon) -> Arrays:
    said = map(spelling, columns.form, columns.space)
    words = np.fromiter((lexicon.number[word] for word in said), np.int64, len(columns.form))
    document, paragraph = np.array(columns.document, bool), np.array(columns.paragraph, bool)
    flat, start = _with_breaks(lexicon.pieces, words, document, paragraph)
    arrays: Arrays = {"pieces": flat, "starts": np.packbits(start)}
    arrays["sentence"] = np.packbits(np.array(columns.sentence, bool))
    for name, values in (numbered(columns, classes) | {"head": columns.head}).items():
        arrays[name] = np.array(values, np.int16 if max(values) > 127 else np.int8)
    return arrays


def _save_silver(
    stretches: Sequence[Stretch],
    words: Sequence[NDArray[np.int64]],
    silver: NDArray[np.bool_],
    lexicon: Lexicon,
    out: Path,
) -> None:
    """Numbers of the words' forms, and what they stand for; a stretch becomes a document of its own."""
    taken = [place for place in range(len(stretches)) if silver[place]]
    used, number = np.unique(np.concatenate([words[place] for place in taken]), return_inverse=True)
    save_arrays(
        {
            "word": number.astype(np.uint32),
            "space": np.packbits(np.concatenate([stretches[place].space for place in taken])),
            "paragraph": np.packbits(np.concatenate([stretches[place].paragraph for place in taken])),
            "size": np.array([len(stretches[place].orth) for place in taken], np.int64),
        },
        out / "silver.safetensors",
    )
    documents = [stretches[place].document for place in taken]
    save_json({"forms": [lexicon.forms[each] for each in used], "documents": documents}, out / "silver.json")
