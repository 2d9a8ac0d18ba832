"""`valency doctor`: does everything that this installation needs work here? Offline; nothing is left behind.

A check returns what it found, raises Skip for what is optional and absent, or any error for what does not work; each
error says what to do. CHECKS names them all.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from packaging.markers import Marker

SENTENCE = "She gave him the book that he had asked for."
TAGS = "PRON VERB PRON DET NOUN PRON PRON AUX VERB ADP PUNCT".split()  # noqa: SIM905


class Skip(Exception):
    """What a check looks at is optional and not here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    state: Literal["ok", "skipped", "failed"]
    said: str
    seconds: float


def examine(on_finding: Callable[[Finding], None] = lambda finding: None) -> list[Finding]:
    """Run every check, each by itself: one that fails stops no other."""
    findings = []
    for name, check in CHECKS.items():
        began = perf_counter()
        state: Literal["ok", "skipped", "failed"] = "ok"
        try:
            said = check()
        except Skip as reason:
            state, said = "skipped", str(reason)
        except Exception as error:  # whatever breaks, the others shall be heard
            state, said = "failed", f"{type(error).__name__}: {error}"
        findings.append(Finding(name, state, said, round(perf_counter() - began, 2)))
        on_finding(findings[-1])
    return findings


def packages() -> str:
    """Every requirement of this installation, and its version against what the package asks for."""
    from packaging.requirements import Requirement

    wrong, seen = [], 0
    for line in requires("valency") or []:
        asked = Requirement(line)
        if asked.name == "valency" or (asked.marker and not _wanted(asked.marker)):
            continue
        try:
            found = version(asked.name)
        except PackageNotFoundError:
            wrong.append(f"{asked.name} is missing")
            continue
        seen += 1
        if not asked.specifier.contains(found, prereleases=True):
            wrong.append(f"{asked.name} is {found}, wanted {asked.specifier}")
    if wrong:
        raise RuntimeError(f"{'; '.join(wrong)}: run `pip install -c constraints.txt .` again")
    return f"{seen} packages as asked for, Python {sys.version.split()[0]}"


def _wanted(marker: "Marker") -> bool:
    """Requirements of the extra `train` are everybody's; those of stanza and dev are not."""
    return marker.evaluate({"extra": "train"})


def lexicons() -> str:
    import numpy as np

    from lexicons import tables_digest, verbnet, wordnet
    from lexicons.features import names
    from lexicons.upos import UPOS_INDEX

    bits = int(wordnet.semantic(["dog"], np.array([UPOS_INDEX["NOUN"]], np.uint8))[0])
    if "animate" not in names(bits):
        raise RuntimeError("the lexicons do not know that a dog is animate; install the package again")
    if not verbnet.classes("give"):
        raise RuntimeError("the lexicons do not know the verb give; install the package again")
    return f"tables {tables_digest.digest()[:12]}"


def spacy_model() -> str:
    from lexicons.upos import UPOS
    from pipeline.corpus import Document
    from pipeline.parsers import load_parser

    parser = load_parser("spacy", None)
    text = Document(id="d", source="d", split="train", language="en", text=SENTENCE)
    words, failed = parser.parse([text])
    tags = [UPOS[tag] for tag in words.upos.tolist()]
    if failed or len(tags) != len(TAGS) or sum(a != b for a, b in zip(tags, TAGS, strict=True)) > 1:
        raise RuntimeError(f"the shipped model reads {SENTENCE!r} as {' '.join(tags)}; install the package again")
    return f"model {parser.digest}"


def stanza_models() -> str:
    try:
        return f"stanza {version('stanza')}, for models that you name with --model"
    except PackageNotFoundError:
        raise Skip("not installed; `pip install -c constraints.txt 'valency[stanza]'` adds it") from None


def annotator() -> str:
    """The left-to-right annotator, whole against piece by piece, on a text with all sorts of things in it."""
    from pipeline.pieces import Tokenizer
    from pipeline.prefix import PrefixAnnotator
    from pipeline.prefix.law import prefix_violations

    tokenizer = Tokenizer.load()
    found = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    ids = tokenizer.document(f"{SENTENCE} “Mr. O'Neil's 3.5%?” naïve 漢字 \U0001f600\n\nEnd")
    for cut in range(len(ids)):
        for later in (ids[:0], ids[::-1][: len(ids) - cut]):
            if wrong := prefix_violations(found.annotate, ids, cut, later):
                raise RuntimeError(f"the annotator looks ahead: {wrong[0]}; install the package again, or report this")
    return f"annotator {found.digest}, tokenizer {tokenizer.digest}"


def kernels() -> str:
    """The fast attention paths of this machine against the slow twin, in value and gradient, on small views."""
    import torch

    from model.attention.check import largest_difference

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    said = []
    for device in devices:
        apart = largest_difference(torch.device(device))
        if not apart <= 1e-4:  # not a number, too
            raise RuntimeError(f"fast and slow attention differ by {apart:.1e} on {device}; use the versions pinned")
        said.append(f"{device} within {apart:.0e} of the slow twin")
    return "; ".join(said)


def recipes() -> str:
    from model.config import load_recipe, recipe_names

    for name in recipe_names():
        load_recipe(name)
    return f"{len(recipe_names())} recipes"


def queries() -> str:
    """A user's SELECT in its child process, and one that must be refused."""
    from pipeline.cache.layout import Cache
    from pipeline.sql import RefusedError, run_select

    with TemporaryDirectory() as folder:
        cache = Cache.create(Path(folder) / "cache", shards=1)
        if run_select(cache.folder, "SELECT 6 * 7 AS answer").to_pylist() != [{"answer": 42}]:
            raise RuntimeError("DuckDB gives wrong answers; install the versions of constraints.txt")
        try:
            run_select(cache.folder, "SELECT * FROM read_text('/etc/hostname')")
        except RefusedError:
            return "DuckDB, locked down"
    raise RuntimeError("a query could read a file outside the cache; do not offer `valency sql` to others")


def server() -> str:
    """The embedded Prefect server starts and answers; or the one that PREFECT_API_URL names does."""
    from flows.server import prefect_server

    with TemporaryDirectory() as home, prefect_server(Path(home)) as wait:
        wait()
    return f"the one at {os.environ['PREFECT_API_URL']}" if "PREFECT_API_URL" in os.environ else "embedded"


def room() -> str:
    """Free disk in the working folder: a cache takes some 60 bytes a word, text included."""
    free = shutil.disk_usage(Path.cwd()).free
    if free < 1 << 30:
        raise RuntimeError(f"{free >> 20} MiB are free in {Path.cwd()}; make room, or work in another folder")
    return f"{free >> 30} GiB free, {os.cpu_count()} cores"


def data() -> str:
    said = os.environ.get("VALENCY_DATA")
    if said is None:
        raise Skip("VALENCY_DATA is not set; only tests and benchmarks on real corpora need it")
    if not Path(said).is_dir():
        raise RuntimeError(f"VALENCY_DATA names {said}, which is no folder")
    return f"{sum(1 for _ in _visible(Path(said)))} corpora"


def _visible(folder: Path) -> Iterator[Path]:
    return (entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


CHECKS: dict[str, Callable[[], str]] = {
    "packages": packages,
    "lexicons": lexicons,
    "spacy model": spacy_model,
    "stanza": stanza_models,
    "annotator": annotator,
    "kernels": kernels,
    "recipes": recipes,
    "queries": queries,
    "server": server,
    "room": room,
    "data": data,
}
