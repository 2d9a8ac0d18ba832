"""A study's lines and articles, read into records that the page may trust: whole, typed, finite, in agreement."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.study_report.records import CERTIFIED_FROM, NAMED_FROM, SCORED, Articles, Attribute, Run, Study
from pipeline.errors import Failure

TEXT, WHOLE, NUMBER, YES_NO, LIST, TABLE = (str,), (int,), (int, float), (bool,), (list,), (dict,)
NONE = (NoneType,)
FIELDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("run", "study", "stage", "corpus", "size", "recipe", "family", "positions"), TEXT),
    **dict.fromkeys(("command", "commit", "device"), TEXT),
    **dict.fromkeys(("seed", "steps", "parameters", "pieces", "packed"), WHOLE),
    "trial": (*WHOLE, *NONE),
    "leaky": YES_NO,
    "leak_free": (*YES_NO, *NONE),
    "seconds": NUMBER,
    **dict.fromkeys(("bits_per_byte", "perplexity"), (*NUMBER, *NONE)),
    **dict.fromkeys(("max_change", "test_bits_per_byte", "test_perplexity"), (*NUMBER, *NONE)),
    **dict.fromkeys(("leak_nats", "gain_nats"), (*NUMBER, *NONE)),
    "attributes": (*TABLE, *NONE),
    "curve": LIST,
    "settings": TABLE,
    "versions": TABLE,
    "made_from": TABLE,
    "format": WHOLE,
    "certificate": (*TABLE, *NONE),
}
"""What a line holds, with the JSON types that are right."""
OPTIONAL: Mapping[str, Any] = {"format": 1, "certificate": None}
"""What lines of format 1 do not say."""
CERTIFIES = (
    *("certified", "first_break", "documents", "pieces", "max_difference"),
    *("attributes", "attributes_streamed", "keys", "keys_streamed"),
)
"""What the report reads of a certificate."""
STAGES = ("horizon", "tuning", "grid", "short")
COLUMNS = ("run", "split", "document", "nats", "pieces", "bytes")
AGREE = 1e-5
"""Largest relative difference between a run's test bits per byte and the sum over its articles.

A line has seven digits and an article's score is a float32: together they differ by less than 1e-6.
"""
AGAIN = "run `valency study` again, or take the line out"


def load_study(file: Path) -> Study:
    """The study whose lines are in a file NAME.jsonl and whose articles are in NAME.articles.parquet beside it.

    Errors: ValueError if there is no such file; Failure if a line or an article is damaged, missing or contradicts
    another.
    """
    if not file.is_file():
        raise ValueError(f"{file} is not there; make it with `valency study`, or name the file of another study")
    runs = read_lines(file)
    if not runs:
        raise Failure(f"{file} holds no run yet; let `valency study` finish one")
    articles = read_articles(file.with_name(f"{file.stem}.articles.parquet"))
    for run in runs:
        if run.stage in SCORED:
            _check_articles(run, articles)
    # a study that was stopped leaves articles of runs that have no line yet
    known = {run.run: articles[run.run] for run in runs if run.run in articles}
    return Study(name=file.stem, runs=tuple(sorted(runs, key=lambda run: run.run)), articles=known)


def read_lines(file: Path) -> list[Run]:
    """The runs of a file, in its order; an empty line is nothing."""
    runs: dict[str, tuple[int, Run]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        run = read_line(line, f"{file.name}, line {number}")
        if run.run in runs:
            raise Failure(f"{file.name}, line {number}: {run.run} stands in line {runs[run.run][0]} too; take one out")
        runs[run.run] = number, run
    return [run for _, run in runs.values()]


def read_line(line: str, where: str) -> Run:
    """One run. where: said in front of what is wrong."""
    try:
        said = json.loads(line)
    except ValueError as error:
        raise Failure(f"{where} is damaged ({error}); {AGAIN}") from error
    if not isinstance(said, dict):
        raise Failure(f"{where} is no JSON object; {AGAIN}")
    said = {**OPTIONAL, **said}
    _check_names(said, where)
    for name, types in FIELDS.items():
        value = said[name]
        # True is an int to Python, and a seed to nobody
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            wanted = " or ".join("null" if each is NoneType else each.__name__ for each in types)
            raise Failure(f"{where}: {name} is {json.dumps(value)[:60]}, and should be {wanted}; {AGAIN}")
    try:
        attributes = {name: Attribute(**each) for name, each in (said["attributes"] or {}).items()}
        curve = tuple((int(step), _score(bits)) for step, bits in said["curve"])
    except (TypeError, ValueError) as error:
        raise Failure(f"{where}: curve or attributes are not as a study writes them ({error}); {AGAIN}") from error
    if said["certificate"] is not None and (lost := [name for name in CERTIFIES if name not in said["certificate"]]):
        raise Failure(f"{where}: the certificate lacks {', '.join(lost)}; {AGAIN}")
    scores = {name: _score(said[name]) for name in ("bits_per_byte", "perplexity")}
    run = Run(**(said | scores | {"attributes": attributes, "curve": curve}))
    _check_values(run, where)
    return run


def read_articles(file: Path) -> dict[str, Articles]:
    """The test articles of each run, in the order of their ids."""
    if not file.is_file():
        raise Failure(f"{file} is not there; it holds the score of each article, and `valency study` writes it")
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise Failure(f"{file} is damaged ({error}); run `valency study` again") from error
    if missing := set(COLUMNS) - set(table.column_names):
        raise Failure(f"{file} lacks the columns {', '.join(sorted(missing))}; run `valency study` again")
    columns = {name: np.array(table[name].to_pylist(), dtype=object) for name in ("run", "split", "document")}
    numbers = {name: table[name].to_numpy().astype(np.float64) for name in ("nats", "pieces", "bytes")}
    if any(not np.isfinite(values).all() for values in numbers.values()):
        raise Failure(f"{file} holds a score that is no number; run `valency study` again")
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(columns["split"] == "test"):
        rows.setdefault(columns["run"][row], []).append(int(row))
    articles = {}
    for run, some in rows.items():
        ordered = sorted(some, key=lambda row: str(columns["document"][row]))
        documents = tuple(columns["document"][ordered])
        if len(set(documents)) != len(documents):
            raise Failure(f"{file} holds an article of {run} twice; run `valency study` again")
        articles[run] = Articles(documents, *(numbers[name][ordered] for name in ("nats", "pieces", "bytes")))
    return articles


def _score(said: float | None) -> float:
    """JSON has no infinity, so a study writes null for the score of a run that diverged."""
    return math.inf if said is None else float(said)


def _check_names(said: Mapping[str, Any], where: str) -> None:
    assert set(FIELDS) == {field.name for field in fields(Run)}
    if missing := [name for name in FIELDS if name not in said]:
        raise Failure(f"{where} lacks {', '.join(missing)}; {AGAIN}")
    if unknown := sorted(set(said) - set(FIELDS)):
        raise Failure(
            f"{where} holds {', '.join(unknown)}, which this report does not know; "
            f"report with the version of Valency that ran the study"
        )


def _check_values(run: Run, where: str) -> None:
    if run.stage not in STAGES:
        raise Failure(f"{where}: the stage is {run.stage!r}, and should be one of {', '.join(STAGES)}; {AGAIN}")
    if run.stage in SCORED:
        _check_scored(run, where)
    elif run.test_bits_per_byte is not None or run.test_perplexity is not None:
        raise Failure(f"{where}: {run.run} was scored on the test split, which stage {run.stage} must not see; {AGAIN}")


def _check_scored(run: Run, where: str) -> None:
    numbers: Iterable[float | None] = (
        run.bits_per_byte,
        run.perplexity,
        run.test_bits_per_byte,
        run.test_perplexity,
        *(bits for _, bits in run.curve),
    )
    if any(number is None or not math.isfinite(number) for number in numbers):
        raise Failure(f"{where}: {run.run} has a score that is no number; {AGAIN}")
    if run.leak_free is None or run.max_change is None:
        raise Failure(f"{where}: {run.run} was not tested for leaks; {AGAIN}")
    if run.uncertified and run.format >= CERTIFIED_FROM:
        raise Failure(
            f"{where}: {run.run} is uncertified, and since format {CERTIFIED_FROM} every leak-free row must have been "
            f"replayed piece by piece; {AGAIN}"
        )
    if run.certificate is not None and run.format >= NAMED_FROM:
        _check_same_recipe(run, run.certificate, where)


def _check_same_recipe(run: Run, certificate: Mapping[str, Any], where: str) -> None:
    """A certificate is good for the run that it was made of, and for no other."""
    replayed, trained = certificate.get("recipe"), run.made_from.get("recipe")
    if replayed is None or replayed != trained:
        raise Failure(
            f"{where}: the certificate of {run.run} is of recipe {replayed}, and the run was made from {trained}; take "
            f"the line out and run `valency study` again, so that the run itself is replayed"
        )


def _check_articles(run: Run, articles: Mapping[str, Articles]) -> None:
    """What a run says of the test split, and what its articles say, must be the same."""
    if run.run not in articles:
        raise Failure(f"the articles of {run.run} are missing; run `valency study` again")
    said, summed = run.test_bits_per_byte or 0.0, articles[run.run].bits_per_byte()
    if abs(said - summed) > AGREE * summed:
        raise Failure(
            f"{run.run} says {said:.4f} bits per byte on the test split, its articles {summed:.4f}; "
            f"run `valency study` again"
        )
