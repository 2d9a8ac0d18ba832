"""What a study's files may hold: whole lines, known fields, articles that agree; errors say where, and what to do."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.study_report.load import load_study, read_line
from flows.study_report.records import Case
from pipeline.errors import Failure
from tests.flows.study_lines import Plan, certificate, json_line, line, line_run, make_study, write, write_study

SMALL = Plan(
    corpora={"brown": 4}, sizes=("six",), positions=("rotary",), effect={"dense": 0.0, "sentence": -0.01}, short=(500,)
)


def small() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return make_study(SMALL)


def test_a_study_is_read_whole(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path, SMALL))
    case = Case("brown", "six", "rotary")
    assert study.cases == (case,)
    assert study.full_steps(case) == 1000
    assert study.recipes(case) == ["dense", "sentence"]
    assert list(study.grid(case, "dense")) == [0, 1, 2, 3, 4]
    assert list(study.annealed(case, "sentence")) == [500, 1000]
    run = study.grid(case, "dense")[0]
    assert study.articles[run.run].bits_per_byte() == pytest.approx(run.test_bits_per_byte, rel=1e-6)
    assert all("test#" in document for document in study.articles[run.run].documents)


def test_order_of_lines_changes_nothing(tmp_path: Path) -> None:
    lines, rows = small()
    one, other = (
        load_study(write(tmp_path / "a", lines, rows)),
        load_study(write(tmp_path / "b", lines[::-1], rows[::-1])),
    )
    assert one.runs == other.runs
    assert (one.articles[lines[-1]["run"]].nats == other.articles[lines[-1]["run"]].nats).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json_line()[:-20], "is damaged"),
        ("[1, 2]", "no JSON object"),
        (json.dumps({k: v for k, v in line().items() if k not in ("seed", "curve")}), "lacks seed, curve"),
        (json_line(colour="red"), "holds colour, which this report does not know"),
        (json_line(seed="0"), 'seed is "0", and should be int'),
        (json_line(seed=True), "seed is true, and should be int"),
        (json_line(leaky=None), "leaky is null, and should be bool"),
        (json_line(test_bits_per_byte="low"), "should be int or float or null"),
        (json_line(stage="warm-up"), "should be one of horizon, tuning, grid, short"),
        (json_line(curve=[[1, 2, 3]]), "curve or attributes are not"),
        (json_line(attributes={"input_tag": {"win": 1.0}}), "curve or attributes are not"),
        (json_line(bits_per_byte=float("nan")), "a score that is no number"),
        (json_line(bits_per_byte=None), "a score that is no number"),
        (json_line(curve=[[500, None], [1000, 1.2]]), "a score that is no number"),
        (json_line(made_from="a recipe"), "should be dict"),
        (json_line(test_perplexity=None), "a score that is no number"),
        (json_line(leak_free=None), "was not tested for leaks"),
        (json_line(stage="tuning", trial=1), "which stage tuning must not see"),
        (json_line(certificate=None), "is uncertified, and since format 2 every leak-free row must have been replayed"),
        (
            json_line(certificate=certificate() | {"recipe": "ba9876543210"}),
            "is of recipe ba9876543210, and the run was made from 0123456789ab; take the line out and run",
        ),
        (
            json_line(certificate={name: value for name, value in certificate().items() if name != "recipe"}),
            "is of recipe None, and the run was made from 0123456789ab",
        ),
        (json_line(certificate="yes"), "should be dict or null"),
        (json_line(certificate={"certified": True}), "the certificate lacks first_break, documents, pieces"),
    ],
)
def test_a_wrong_line_is_named_with_what_to_do(text: str, said: str, tmp_path: Path) -> None:
    file = write(tmp_path, [], [])
    file.write_text(f"{json_line(seed=7)}\n\n{text}\n")
    with pytest.raises(Failure, match=r"first_study\.jsonl, line 3") as caught:
        load_study(file)
    assert said in str(caught.value)
    assert "again" in str(caught.value) or "report with the version" in str(caught.value)


def test_lines_of_the_first_format_need_no_certificate_and_leaky_ones_never() -> None:
    said = {name: value for name, value in line().items() if name not in ("format", "certificate")}
    old = read_line(json.dumps(said), "here")
    assert old.format == 1
    assert old.uncertified
    assert not old.certified
    assert not old.broken
    leaky = line_run(certificate=None, leaky=True, leak_free=False, recipe="pos-leaky")
    assert not leaky.uncertified


def test_certificates_of_the_second_format_may_name_the_recipe_by_another_digest() -> None:
    other = certificate() | {"recipe": "ba9876543210"}
    assert line_run(certificate=other, format=2).certified
    with pytest.raises(Failure, match="so that the run itself is replayed"):
        line_run(certificate=other, format=3)


def test_a_certificate_counts_by_its_numbers() -> None:
    assert line_run().certified
    for wrong in (
        {"certified": False},
        {"attributes_streamed": "other"},
        {"keys": "other"},
        {"max_difference": 2e-9},
        {"max_difference": None},
        {"max_difference": -1.0},
        {"max_difference": "0"},
        {"pieces": 0},
        {"documents": "many"},
        {"attributes": None, "attributes_streamed": None},
        {"first_break": {"what": "keys"}},
    ):
        run = line_run(certificate={**certificate(), **wrong})
        assert not run.certified
        assert run.broken
        assert not run.uncertified


def test_a_diverged_trial_is_no_error() -> None:
    """A study writes null for a score that is no number: JSON knows neither infinity nor NaN."""
    unseen = {"test_bits_per_byte": None, "test_perplexity": None, "leak_free": None, "max_change": None}
    for stage in ("horizon", "tuning"):
        failed = line(stage=stage, trial=0, bits_per_byte=None, perplexity=None, curve=[[500, 9.0], [1000, None]])
        run = read_line(json.dumps(failed | unseen, allow_nan=False), "here")
        assert run.bits_per_byte == run.perplexity == math.inf
        assert run.curve == ((500, 9.0), (1000, math.inf))


def test_articles_of_a_run_without_a_line_are_nothing(tmp_path: Path) -> None:
    lines, rows = small()
    study = load_study(write(tmp_path, lines[:-1], rows))
    assert lines[-1]["run"] not in study.articles
    assert lines[-2]["run"] in study.articles


def test_a_run_that_stands_twice_is_refused(tmp_path: Path) -> None:
    lines, rows = small()
    with pytest.raises(Failure, match=rf"line {len(lines) + 1}: .* stands in line 1 too"):
        load_study(write(tmp_path, [*lines, lines[0]], rows))


def test_missing_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.jsonl is not there; make it with `valency study`"):
        load_study(tmp_path / "nothing.jsonl")
    file = write_study(tmp_path, SMALL)
    articles = file.with_name("first_study.articles.parquet")
    articles.write_bytes(articles.read_bytes()[:-30])
    with pytest.raises(Failure, match="is damaged"):
        load_study(file)
    articles.unlink()
    with pytest.raises(
        Failure, match=r"first_study\.articles\.parquet is not there; it holds the score of each article"
    ):
        load_study(file)
    file.write_text("\n")
    with pytest.raises(Failure, match="holds no run yet"):
        load_study(file)


def test_articles_must_be_there_once_and_agree(tmp_path: Path) -> None:
    lines, rows = small()
    name = lines[-1]["run"]
    with pytest.raises(Failure, match=f"the articles of {name} are missing"):
        load_study(write(tmp_path, lines, [row for row in rows if row["run"] != name]))
    with pytest.raises(Failure, match=f"an article of {name} twice"):
        load_study(write(tmp_path, lines, [*rows, next(row for row in rows if row["run"] == name)]))
    with pytest.raises(Failure, match=f"{name} says .* bits per byte on the test split, its articles"):
        load_study(
            write(
                tmp_path,
                [*lines[:-1], lines[-1] | {"test_bits_per_byte": lines[-1]["test_bits_per_byte"] * (1 + 3e-5)}],
                rows,
            )
        )
    with pytest.raises(Failure, match="a score that is no number"):
        load_study(write(tmp_path, lines, [rows[0] | {"nats": float("nan")}, *rows[1:]]))


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    file = write_study(tmp_path, SMALL)
    articles = file.with_name("first_study.articles.parquet")
    table = pq.read_table(articles)
    assert isinstance(table, pa.Table)
    pq.write_table(table.drop_columns(["bytes"]), articles)
    with pytest.raises(Failure, match="lacks the columns bytes"):
        load_study(file)
