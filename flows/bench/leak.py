"""How much do attributes know of the text to come? Piece-causal ones and whole-word tags, on one cache or several.

valency bench leak CACHE --json data/results/leak.json

Measured, by model.evaluate.leak_meter: for each attribute that a recipe may give, the held-out gain of a count probe on
the next piece, and the part of it that is lost when the attribute is told anew from the text cut after the piece. Two
arms: `piece-causal`, the columns of the cache, and `whole-word`, where every piece is told the tag of its whole word.
The text cut within a word says of it what its characters so far do: only what goes beyond that is leak. The
probe learns from as many pieces as it is given to fit, and what it makes of an attribute changes with their number:
several numbers show how.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from model.columns import PiecesLayer, read_layer
from model.evaluate.given import GIVEN
from model.evaluate.leak import WholeWordTags
from model.evaluate.leak_meter import Leak, LeakMeter, MeterConfig
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator


def bench_leak(
    caches: Sequence[Path],
    *,
    fit_pieces: Sequence[int],
    config: MeterConfig,
    on_leak: Callable[[str, str, int, Leak], None],
) -> dict[str, Any]:
    """Measure all attributes on every cache, with each number of pieces to fit on; the rest as config says.

    A corpus is called as its cache's folder, without `cache-`. Returns `rows`, one a corpus, arm, attribute and number.
    on_leak is told corpus, arm, number and result as they come.
    """
    rows = []
    for cache in caches:
        corpus, layer = cache.resolve().name.removeprefix("cache-"), read_layer(cache)
        for pieces in fit_pieces:
            for arm, leak in _leaks(layer, replace(config, fit_pieces=pieces)):
                on_leak(corpus, arm, pieces, leak)
                rows.append({"corpus": corpus, "arm": arm, "fit_pieces": pieces, **asdict(leak), "said": str(leak)})
    return {"rows": rows, "settings": {**asdict(config), "fit_pieces": list(fit_pieces)}}


def _leaks(layer: PiecesLayer, config: MeterConfig) -> Iterator[tuple[str, Leak]]:
    """Arm and result, the piece-causal ones first."""
    tokenizer = Tokenizer.load(layer.tokenizer)
    annotator = PrefixAnnotator.load(layer.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    fit, held = layer.splits["train"], layer.splits["validation"]
    honest = LeakMeter(fit, held, annotator, config)
    for name in GIVEN:
        yield "piece-causal", honest.measure(name)
    leaky = LeakMeter(fit.with_whole_word_tags(), held.with_whole_word_tags(), WholeWordTags(annotator), config)
    yield "whole-word", leaky.measure("input_tag")
