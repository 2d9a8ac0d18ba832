"""The page of a study: it answers what the numbers say, repeats byte for byte, and flags what breaks a law."""

import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from flows.study_report import write_results
from flows.study_report.answers import told
from flows.study_report.records import Case
from tests.flows.study_lines import EFFECT, Plan, certificate, make_study, write, write_study
from tests.flows.test_cli import valency

# noise so small that every verdict is sure
CLEAR = Plan(
    corpora={"wikitext2": 12}, sizes=("seed",), positions=("rotary",), seed_noise=1e-5, article_noise=1e-4, short=(500,)
)


def page_of(folder: Path, plan: Plan) -> str:
    out = folder / "docs" / "RESULTS.md"
    write_results(write_study(folder / "data" / "results", plan), out)
    return out.read_text()


def section(page: str, title: str) -> str:
    """From a heading to the next of the same or a higher level."""
    level, _, _ = title.partition(" ")
    rest = page[page.index(title) + len(title) :]
    ends = [rest.find(f"\n{'#' * n} ") for n in range(1, len(level) + 1)]
    return rest[: min([end for end in ends if end >= 0], default=len(rest))]


def row(text: str, first: str) -> list[str]:
    """Cells of the table row that begins with this."""
    found = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_the_page_answers_what_was_put_in(tmp_path: Path) -> None:
    page = page_of(tmp_path, CLEAR)
    reach = section(page, "### How much do heads of different reach gain")
    assert "`sentence` needs 1.00% fewer bits per byte than `dense`" in reach
    assert "`windows` needs 0.6" in reach
    assert row(reach, "random-sentence − dense")[-1] == "0 / 0 / 1"
    grammar = section(page, "### Do tags or pos masks add anything")
    assert "`sentence+tag` and `sentence` cannot be told apart" in grammar
    assert "`pos` needs 0.6" in grammar
    assert "more bits per byte than `dense`" in grammar
    paper = section(page, "### How much of the seed paper's gain is leakage")
    assert "perplexity 26.33 against 26.56 (−0.87%) and −21% steps" in paper
    assert "Without the leak the mask loses: the whole gain, and more, is leakage." in paper
    assert "lowest on validation of the leak-free recipes, each at its best positions: `dense-sentence`" in page


def test_the_signs_turn_with_the_numbers(tmp_path: Path) -> None:
    page = page_of(tmp_path, replace(CLEAR, effect={name: -effect for name, effect in EFFECT.items()}))
    assert "`sentence` needs 1.00% more bits per byte" in section(page, "### How much do heads of different reach gain")
    assert "`pos` needs 0.60% fewer bits" in section(page, "### Do tags or pos masks add anything")
    assert "The leaky arm itself loses here" in section(page, "### How much of the seed paper's gain is leakage")
    same = page_of(tmp_path, replace(CLEAR, effect=dict.fromkeys(EFFECT, 0.0), article_noise=0.003))
    assert same.count("cannot be told apart") > 4


def test_rows_without_a_certificate_are_marked_and_the_others_say_what_was_replayed(tmp_path: Path) -> None:
    page = page_of(tmp_path, CLEAR)
    assert "†" not in page
    assert "each replayed over 1024 held-out pieces" in section(page, "## 8. Leaks")
    lines, rows = make_study(CLEAR)
    for one in lines:
        if one["recipe"] == "sentence":
            one.pop("format")
            one.pop("certificate")
        if one["leaky"]:
            broke = {"document": "d", "piece": 3, "what": "attributes"}
            one["certificate"] = certificate(certified=False, attributes_streamed="other", first_break=broke)
    out = tmp_path / "docs" / "RESULTS.md"
    write_results(write(tmp_path / "data" / "results", lines, rows), out)
    page = out.read_text()
    table = section(page, "### wikitext2, seed, rotary: 1,000 steps")
    assert row(table, "sentence †")[-1] == "yes"
    assert row(table, "dense")[-1] == "yes"
    assert row(section(page, "### Bits per byte, perplexity, and steps"), "sentence †")
    assert page.count("† uncertified: tested by cuts") == 2
    leaks = section(page, "## 8. Leaks")
    scored = [one for one in lines if one["stage"] in ("grid", "short")]
    clean = sum(not one["leaky"] for one in scored)
    assert f"Certified: {clean - 10} runs of {clean}, each replayed over 1024 held-out pieces" in leaks
    assert "Uncertified: 10 runs, made before" in leaks  # five seeds of the full steps and of half of them
    leaky = len(scored) - clean
    said = f"Of {leaky} replayed runs that leak on purpose the certificate was refused to {leaky}; the first to differ:"
    assert f"{said} attributes." in leaks


def test_a_certificate_that_was_refused_voids_the_row(tmp_path: Path) -> None:
    lines, rows = make_study(CLEAR)
    for one in lines:
        if one["recipe"] == "windows" and one["stage"] == "grid":
            one["certificate"] = certificate(certified=False, keys_streamed="other")
    out = tmp_path / "docs" / "RESULTS.md"
    write_results(write(tmp_path / "data" / "results", lines, rows), out)
    page = out.read_text()
    assert "> **Warning: not leak-free.** `windows`" in page
    assert row(section(page, "### wikitext2, seed, rotary: 1,000 steps"), "windows")[-1] == "**NO**"
    assert "**Not certified, though replayed**: 3 runs" in section(page, "## 8. Leaks")


def test_leaky_rows_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    page = page_of(tmp_path, CLEAR)
    tables = section(page, "### wikitext2, seed, rotary: 1,000 steps").split("**Leaky on purpose**")
    assert len(tables) == 2
    assert "leaky" not in tables[0]
    cells = row(tables[1], "pos-leaky")
    assert cells[-2:] == ["gain 0.10 nats, leak 0.09", "leaky, on purpose"]
    assert row(tables[0], "sentence+tag")[-2:] == ["gain 0.10 nats, leak 0.00", "yes"]
    assert row(tables[0], "sentence")[2] == "5"
    assert row(tables[0], "sentence")[-2] == "no attribute"
    overview = section(page, "### Bits per byte, perplexity")
    assert "leaky" not in overview


def test_a_recipe_that_leaks_against_its_promise_is_flagged(tmp_path: Path) -> None:
    page = page_of(tmp_path, replace(CLEAR, leaks={"sentence+tag": 0.05}))
    assert page.index("**Warning: not leak-free.** `sentence+tag`") < page.index("### How much do heads")
    assert row(section(page, "### wikitext2, seed, rotary: 1,000 steps"), "sentence+tag")[-1] == "**NO**"
    leaks = section(page, "## 8. Leaks")
    assert "are not leak-free: `wikitext2/seed/rotary/sentence+tag" in leaks
    assert "0.050 nats, **not within** ± 0.01" in leaks
    assert "`sentence+tag` with rotary" not in page


def test_leaks_are_said_as_measured(tmp_path: Path) -> None:
    leaks = section(page_of(tmp_path, CLEAR), "## 8. Leaks")
    assert "Every recipe that promises it was measured leak-free" in leaks
    assert "lowest reading is 0.090 nats, at least 0.07" in leaks


def test_unequal_trials_are_flagged(tmp_path: Path) -> None:
    assert "Every family had the same number of trials" in page_of(tmp_path, CLEAR)
    fewer = page_of(tmp_path, replace(CLEAR, trials={"dense": 4, "near": 3, "grammar": 4}))
    assert (
        "the families did not get the same number of trials.** wikitext2, seed: dense 4, near 3 and grammar 4" in fewer
    )
    absent = page_of(tmp_path, replace(CLEAR, trials={"dense": 4, "near": 4}))
    assert "dense 4, near 4 and grammar 0" in absent


def test_missing_recipes_are_left_out_and_named(tmp_path: Path) -> None:
    some = {name: EFFECT[name] for name in ("dense", "sentence", "pos")}
    page = page_of(tmp_path, replace(CLEAR, effect=some))
    assert "Not measured, for want of a recipe: sentence − windows, sentence − cut, sentence − random-sentence" in page
    assert "This is not measured yet (it needs `dense`, `pos` and `pos-leaky`)." in page
    assert "| sentence − dense |" in page


def test_a_study_that_has_only_dense_makes_a_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, replace(CLEAR, effect={"dense": 0.0}, short=(), trials={}))
    assert "this file holds no trials" in page
    assert "only one length was trained" in page


def test_positions_with_dense_alone_are_not_what_sentences_speak_of(tmp_path: Path) -> None:
    """Dense is best with learned positions, and no other recipe was run with them."""
    lines, rows = make_study(replace(CLEAR, positions=("rotary",), seeds={}))
    more, new = make_study(replace(CLEAR, positions=("alibi",), seeds={}, effect={"dense": -0.02}))
    added = [line for line in more if line["stage"] in ("grid", "short")]
    study = write_results(write(tmp_path, [*lines, *added], [*rows, *new]), tmp_path / "RESULTS.md")
    assert told(study) == [Case("wikitext2", "seed", "rotary")]
    page = (tmp_path / "RESULTS.md").read_text()
    assert "(sentence with rotary, dense with alibi): `sentence` needs" in page


def test_the_same_study_gives_the_same_bytes_and_small_pictures(tmp_path: Path) -> None:
    plan = Plan(corpora={"brown": 6}, positions=("rotary", "learned"), short=(500,))
    for name in ("a", "b"):
        page_of(tmp_path / name, plan)
    files = sorted(file for file in (tmp_path / "a" / "docs").rglob("*") if file.is_file())
    assert len(files) == 1 + 2 * 3
    page = (tmp_path / "a" / "docs" / "RESULTS.md").read_text()
    for file in files:
        assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()
        if file.suffix == ".svg":
            assert file.stat().st_size < 200_000
            assert ElementTree.fromstring(file.read_text()).attrib["aria-label"]
            assert f"](pictures/{file.name})" in page
    assert str(tmp_path) not in page
    assert "[first_study.jsonl](../data/results/first_study.jsonl)" in page


def test_the_command_writes_the_page_or_says_what_is_missing(tmp_path: Path) -> None:
    write_study(tmp_path, CLEAR)
    done: subprocess.CompletedProcess[str] = valency("report", "first_study.jsonl", "--out", "d/R.md", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" runs: d/R.md\n")
    assert (tmp_path / "d" / "R.md").read_text().startswith("# Results")
    assert valency("report", cwd=tmp_path).returncode == 2
    (tmp_path / "first_study.jsonl").write_text("{\n")
    done = valency("report", "first_study.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert "first_study.jsonl, line 1 is damaged" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_are_said(seeds: int, tmp_path: Path) -> None:
    page = page_of(tmp_path, replace(CLEAR, seeds=dict.fromkeys(EFFECT, seeds)))
    said = "1 seed, so over articles only" if seeds == 1 else "2 seeds"
    assert f"; {said})" in section(page, "### How much do heads of different reach gain")
