"""What views in other people's models are told of words: from the tokenizer's offsets and a parser, or, piece by piece,
from the prefix annotator over the bytes of the tokenizer's pieces.

A causal model must be told nothing of a piece that pieces after it decide (law 1), so that a parser, which has read the
whole text, is refused there: such a model's words come from the prefix annotator and from nowhere else.
Letters: B rows, N pieces.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from model.context import PER_PIECE, Context
from model.reading import EMPTY, Reader
from model.swap.layers import places_of
from model.swap.report import MINE, Report
from pipeline.cache.whole import word_columns
from pipeline.corpus import Document
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

if TYPE_CHECKING:
    from pipeline.parsers import Parser


class Told(NamedTuple):
    """Texts as a swapped model takes them."""

    inputs: dict[str, Tensor]
    """input_ids and attention_mask, int64 [B,N]."""
    context: Context


def reader_for(tokenizer: Any) -> Reader:
    """What reads words off the ids of a fast tokenizer of transformers; `swap_attention(…, reader=…)` takes it.

    Errors: ValueError for a slow tokenizer, and for one whose pieces' bytes cannot be told.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(f"{type(tokenizer).__name__} is no fast tokenizer; load it with use_fast=True")
    begin = _first(tokenizer, "cls_token_id", "bos_token_id", "pad_token_id")
    end = _first(tokenizer, "sep_token_id", "eos_token_id")
    own = Tokenizer.of_model(backend, begin, end)
    return Reader(own, PrefixAnnotator.load(None, own.piece_bytes, begin, end))


def context_for(
    model: nn.Module, tokenizer: Any, texts: Sequence[str], parser: "Parser | None" = None, **encoding: Any
) -> Told:
    """Texts as inputs of a model, and what is known of their words. encoding: as the tokenizer's call takes it.

    parser: for a model that reads both ways; None: the prefix annotator, over the whole text. For an encoder with a
    decoder the context is the encoder's. Errors: ValueError for a parser with a causal model.
    """
    causal = all(place.shape.causal for place in places_of_swapped(model))
    if isinstance(texts, str):
        raise ValueError("texts is one text; give a list of them")
    if causal and parser is not None:
        raise ValueError("a causal model may not be told what a parser finds in the whole text; leave the parser out")
    read = tokenizer(
        list(texts), return_tensors="pt", return_offsets_mapping=True, **{"padding": len(texts) > 1, **encoding}
    )
    offsets = read.pop("offset_mapping").numpy()
    inputs = {name: read[name] for name in ("input_ids", "attention_mask")}
    if parser is None:
        context = reader_for(tokenizer).read(inputs["input_ids"], inputs["attention_mask"], causal=causal)
        return Told(inputs, context)
    return Told(inputs, _parsed(texts, parser, offsets, inputs["attention_mask"].numpy().astype(bool)))


@contextmanager
def told(model: nn.Module, *contexts: Context) -> Iterator[None]:
    """Inside, the swapped model knows these contexts of the rows that it reads: one a time order, so that an encoder
    and its decoder can each have one. Errors: ValueError for a model that is not swapped."""
    report: Report | None = model.__dict__.get(MINE)
    if report is None:
        raise ValueError(
            f"this {type(model).__name__} is not swapped; tell the very model that swap_attention was given"
        )
    before = report.told
    report.told = {**before, **{context.causal: context for context in contexts}}
    try:
        yield
    finally:
        report.told = before


def places_of_swapped(model: nn.Module) -> list[Any]:
    """As `places_of`, whether or not the model is swapped."""
    report: Report | None = model.__dict__.get(MINE)
    if report is None or not report.classes:
        return places_of(model)
    from model.swap.layers import Place, Shape

    modules = dict(model.named_modules())
    return [Place(name, modules[name], Shape(0, 0, 0, False), torch.empty(0)) for name in report.layers]


def _first(tokenizer: Any, *names: str) -> int:
    found = next((number for name in names if (number := getattr(tokenizer, name, None)) is not None), None)
    if found is None:
        raise ValueError(f"the tokenizer has none of {', '.join(names)}; set one of them")
    return int(found)


class _Words(NamedTuple):
    """Of one text."""

    start: Any
    end: Any
    sentence: Any
    upos: Any


def _parsed(texts: Sequence[str], parser: "Parser", offset_BN2: Any, valid_BN: Any) -> Context:
    documents = [
        Document(id=str(row), source="texts", split="train", language="en", text=text) for row, text in enumerate(texts)
    ]
    words, failed = parser.parse(documents)
    if failed:
        raise ValueError(f"the parser has not parsed text {next(iter(failed))}: {next(iter(failed.values()))}")
    columns = {name: np.full(valid_BN.shape, EMPTY[name], np.int64) for name in PER_PIECE}
    columns["sentence_start"][:] = np.arange(valid_BN.shape[1])
    for row, valid in enumerate(valid_BN):
        held = np.flatnonzero(valid)
        of_row = words.document == words.documents.index(str(row))
        mine = _Words(words.start[of_row], words.end[of_row], words.sentence[of_row], words.upos[of_row])
        end = np.maximum.accumulate(offset_BN2[row, held, 1])
        # Specials cover nothing and say (0, 0): they stand where the piece before them ends.
        begin = np.where(offset_BN2[row, held, 0] < offset_BN2[row, held, 1], offset_BN2[row, held, 0], end)
        for name, column in word_columns(begin, end, mine).items():
            columns[name][row, held] = column
        columns["sentence_start"][row, held] += held[0]
        columns["document"][row, held] = 0
    attributes: dict[str, Any] = {name: torch.from_numpy(column) for name, column in columns.items()}
    return Context(**attributes, causal=False)
