"""Generation as a job: text as it comes, and in the end what it took."""

import hashlib
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from flows.results import with_provenance
from model.generate import Sampling, generate, load_trained
from model.generate.compare import Compared
from model.machine import own_settings
from model.run import load_result

SHOWN = 500
"""Characters of the text that the result repeats."""
PARTS = (10, 50, 100)
"""Percent of the pieces at which memory is read off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateSettings:
    """What is asked for."""

    prompt: str = ""
    pieces: int | None = None
    """So many; None: until the model ends the document, 256 at most."""
    stop: bool | None = None
    """End where the model ends the document; None: where no number of pieces is asked for."""
    sampling: Sampling = field(default_factory=Sampling)
    precision: str = "float32"
    evict: bool | None = None
    """Drop closed sentences from the cache; None: where the views allow it."""
    check: int = 0
    """First pieces (begin and prompt among them) on which the logits are compared with those of a full cache."""

    def __post_init__(self) -> None:
        if self.check < 0:
            raise ValueError(f"check is {self.check}; give how many first pieces to compare, or 0 for none")


def generate_run(run: Path, settings: GenerateSettings, on_text: Callable[[str], object]) -> dict[str, Any]:
    """Generate from a run on the CPU, on one thread; on_text gets the prompt, then each bit of text as it comes.

    Returns what `--json` writes. peak_memory_mib is that of the whole process, by percent of the pieces.
    Errors: ValueError as load_trained, Stream and generate have them.
    """
    with own_settings(1):  # a piece is far too little work to share
        return with_provenance(_generate(run, settings, on_text))


def _generate(run: Path, settings: GenerateSettings, on_text: Callable[[str], object]) -> dict[str, Any]:
    trained = load_trained(run, settings.precision)
    stream = Compared(trained, settings.check, settings.evict)
    pieces = 256 if settings.pieces is None else settings.pieces
    stop = settings.pieces is None if settings.stop is None else settings.stop
    said = generate(trained, settings.sampling, settings.prompt, pieces, stop, stream)
    on_text(settings.prompt)
    marks = {-(-pieces * part // 100): part for part in PARTS}
    memory: dict[str, float] = {}
    digest, number, shown, ended, began = hashlib.sha256(), 0, "", False, perf_counter()
    for number, each in enumerate(said, start=1):
        digest.update(each.piece.to_bytes(4, "little"))
        ended = each.piece == trained.tokenizer.end
        if each.text:
            on_text(each.text)
            shown += each.text if len(shown) < SHOWN else ""
        if number in marks:
            memory[f"{marks[number]}%"] = _peak_mib()
    seconds = perf_counter() - began
    result = load_result(run)
    assert result is not None  # load_trained has read it
    config = trained.model.config
    return {
        "recipe": result.recipe,
        "views": list(config.views),
        "pieces": number,
        "ended": ended,
        "seconds": seconds,
        "pieces_per_second": number / seconds,
        "peak_memory_mib": memory,
        "drops_closed_sentences": stream.evicts,
        "largest_cache_pieces": stream.largest,
        "words": stream.state.words if stream.state else None,
        "compared_pieces": stream.compared,
        "max_logit_difference": stream.largest_difference if stream.compared else None,
        "logits_identical": stream.identical if stream.compared else None,
        "precision": settings.precision,
        "prompt": settings.prompt,
        "sampling": asdict(settings.sampling),
        "seed": settings.sampling.seed,
        "pieces_sha256": digest.hexdigest(),
        "text_begins": shown[:SHOWN],
        "made_from": result.made_from,
    }


def _peak_mib() -> float:
    """Most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, but bytes on a Mac
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
