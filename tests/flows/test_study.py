"""A study from its plan to its lines: choices, one line a run, resuming, and what is refused."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.study.lines import SCHEMA, append_line, join_articles, read_lines
from flows.study.plan import Plan, load_plan
from flows.study.run import StudySettings, check_caches, in_chunks, run_study
from flows.study.stages import StudyRun, chosen_settings, chosen_steps, horizon_runs, stages
from flows.study.worker import made_from
from flows.study_report import write_results
from flows.study_report.load import load_study
from model.evaluate.leak_meter import MeterConfig
from pipeline.errors import Failure
from tests.model.tiny_cache import STORIES, write_cache

SHIPPED = Path(__file__).parents[2] / "data" / "studies" / "first_study.toml"

SMALL = """
name = "small"
corpora = ["stories"]
families = ["dense", "near"]
train = {rows = 2, length = 16, evaluate_pieces = 64}
sizes.mini = {layers = 1, dim = 16, heads = 2}

[horizon]
recipe = "dense"
tolerance = 0.001
seed = 9
learning_rate = 2e-3
weight_decay = 0.1
dropouts = [0.0]
steps.stories.mini = [4, 8]

[tuning]
seed = 9
trials = [[2e-3, 0.1, 0.0], [4e-3, 0.1, 0.1]]
recipes = {dense = "dense", near = "sentence"}

[mix]
corpora = ["stories"]
sizes = ["mini"]
recipes = {dense = ["dense@alibi"], near = ["windows"]}

[grid]
seeds = [0]
recipes.rotary = ["dense", "sentence", "tag-leaky"]

[short]
corpora = ["stories"]
positions = ["rotary"]
seeds = [0]
fractions = [0.5]
recipes = {mini = ["sentence"]}

[recipes.dense]
family = "dense"
views.mini = ["dense"]
[recipes.sentence]
family = "near"
views.mini = ["dense", "sentence"]
[recipes.windows]
family = "near"
views.mini = ["dense", "window(4)"]
[recipes.tag-leaky]
family = "near"
settings = "dense"
tags = true
leaky = true
views.mini = ["dense"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    (made / "small.toml").write_text(SMALL, encoding="utf-8")
    write_cache(made / "cache")
    return made


@pytest.fixture(scope="module")
def plan(folder: Path) -> Plan:
    return load_plan(folder / "small.toml")


def settings(folder: Path, out: str = "results") -> StudySettings:
    meter = MeterConfig(fit_pieces=150, held_pieces=50, cuts=20)
    caches = {"stories": folder / "cache"}
    return StudySettings(caches=caches, out=folder / out, work=folder / "work" / out, measurers=1, meter=meter)


def line(bits: float | None, name: str = "") -> dict[str, Any]:
    return {"bits_per_byte": bits, "run": name}


@pytest.mark.slow
def test_every_run_leaves_a_line_that_the_report_reads_and_a_second_call_runs_nothing(folder: Path, plan: Plan) -> None:
    said: list[tuple[str, int, int, str]] = []

    def on_line(stage: str, done: int, of: int, line: Mapping[str, Any]) -> None:
        said.append((stage, done, of, line["run"]))

    run_study(plan, settings(folder), on_line)
    counts = {stage: (done, of) for stage, done, of, _ in said}
    assert counts.keys() == {"horizon", "tuning", "mix", "grid", "short"}
    assert all(done == of for done, of in counts.values())
    file = folder / "results" / "small.jsonl"
    lines = read_lines(file)
    assert [run for *_, run in said] == list(lines)
    for name, one in lines.items():
        scored = one["stage"] in ("grid", "short")
        assert (one["test_bits_per_byte"] is not None) == (one["leak_free"] is not None) == scored, name
        assert one["curve"][-1][0] == one["steps"]
        if scored:
            assert one["leak_free"] is not one["leaky"]
            assert (one["max_change"] > 1e-6) is one["leaky"]
            held = one["certificate"]
            assert held["certified"] is not one["leaky"]
            assert (held["attributes"] == held["attributes_streamed"]) is not one["leaky"]
            assert (held["documents"], held["pieces"]) == (1, 16)
        else:
            assert one["certificate"] is None
    leaky = next(one for one in lines.values() if one["leaky"])
    assert leaky["attributes"].keys() == {"input_tag"}
    assert leaky["leak_nats"] == leaky["attributes"]["input_tag"]["leak"] != 0
    assert next(one for one in lines.values() if one["recipe"] == "dense")["leak_nats"] is None
    assert next(one for one in lines.values() if one["recipe"] == "sentence")["leak_nats"] == 0
    study = load_study(file)
    assert [run.recipe for run in study.runs if run.broken or run.uncertified] == []
    assert study.articles.keys() == {name for name, one in lines.items() if one["stage"] in ("grid", "short")}
    before = [each.read_bytes() for each in sorted(file.parent.iterdir())]
    run_study(plan, settings(folder), lambda *_: pytest.fail("a finished run was run again"))
    assert [each.read_bytes() for each in sorted(file.parent.iterdir())] == before

    # interrupted: two lines are lost, one of them torn
    text = file.read_text(encoding="utf-8").splitlines()
    again = folder / "again" / file.name
    again.parent.mkdir()
    again.write_text("\n".join([*text[:-2], text[-2][:50]]), encoding="utf-8")
    redone: list[str] = []
    run_study(plan, settings(folder, "again"), lambda _stage, _done, _of, line: redone.append(line["run"]))
    assert sorted(redone) == sorted(json.loads(each)["run"] for each in text[-2:])
    scores = ("bits_per_byte", "test_bits_per_byte", "max_change", "curve")
    for name, one in read_lines(again).items():
        assert [one[key] for key in scores] == [lines[name][key] for key in scores]


FIXED = """
name = "again"
corpora = ["stories"]
families = ["dense", "near"]
train = {rows = 2, length = 16, evaluate_pieces = 64}
certificate = {documents = 1, pieces = 12}
sizes.mini = {layers = 1, dim = 16, heads = 2}
grid = {seeds = [0], recipes.rotary = ["dense", "cut"]}

[fixed]
chosen_by = "small"
steps.stories.mini = 3
settings = {dense = [2e-3, 0.1, 0.0], near = [4e-3, 0.1, 0.1]}

[recipes.dense]
family = "dense"
views.mini = ["dense"]
[recipes.cut]
family = "near"
control = "random-sentences"
views.mini = ["dense", "sentence"]
"""


def test_a_study_with_settings_of_another_one_has_no_stages_but_its_grid(folder: Path) -> None:
    file = folder / "again.toml"
    file.write_text(FIXED, encoding="utf-8")
    run_study(load_plan(file), settings(folder, "fixed"), lambda *_: None)
    lines = read_lines(folder / "fixed" / "again.jsonl")
    assert list(lines) == [f"stories/mini/rotary/{name}/grid/3/0" for name in ("dense", "cut")]
    dense, cut = lines.values()
    assert (dense["settings"]["learning_rate"], cut["settings"]["learning_rate"]) == (2e-3, 4e-3)
    assert dense["settings"]["chosen_by"] == "small"
    for one in (dense, cut):
        assert one["format"] == 3
        assert one["certificate"]["certified"] is True
        assert one["certificate"]["recipe"] == one["made_from"]["recipe"]
        assert one["certificate"]["pieces"] == 12
    page = folder / "docs" / "RESULTS.md"
    write_results(folder / "fixed" / "again.jsonl", page)
    text = page.read_text(encoding="utf-8")
    assert "Steps and settings are those that `small` chose, on validation." in text
    assert "Certified: 2 runs of 2, each replayed over 12 held-out pieces" in text
    assert "†" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[fixed]", "[fixes]"), "unknown fixes"),
        (("steps.stories.mini = 3", "steps.stories.midi = 3"), "[fixed.steps] has none for stories.mini"),
        (("near = [4e-3, 0.1, 0.1]", "far = [4e-3, 0.1, 0.1]"), "'near' is no family with settings under"),
        (("near = [4e-3, 0.1, 0.1]", "near = [4e-3, 0.1]"), "give rate, weight decay, dropout"),
        (("[recipes.dense]", "[mix]\ncorpora = []\nsizes = []\nrecipes = {}\n[recipes.dense]"), "leave out [horizon]"),
    ],
)
def test_settings_of_another_study_must_be_whole(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    file = tmp_path / "again.toml"
    assert change[0] in FIXED
    file.write_text(FIXED.replace(*change), encoding="utf-8")
    with pytest.raises(ValueError, match=r"again\.toml") as error:
        load_plan(file)
    assert said in str(error.value)


def test_the_certified_rows_are_those_of_the_first_study() -> None:
    """The same recipes with the settings that it chose, so that the two may be compared."""
    first, again = load_plan(SHIPPED), load_plan(SHIPPED.with_name("certified.toml"))
    assert again.train == first.train
    for name, arm in again.arms.items():
        assert replace(arm, views={}) == replace(first.arms[name], views={})
        assert arm.views == {"six": first.arms[name].views["six"]}
    lines = read_lines(SHIPPED.parents[1] / "results" / "first_study.jsonl")
    rows = every_stage(again)
    assert list(rows) == ["grid"]
    for run in rows["grid"]:
        other = lines[run.name]
        kept = {name: other["settings"][name] for name in ("learning_rate", "weight_decay", "dropout", "warmup")}
        train = run.recipe.train
        assert kept == {
            "learning_rate": train.learning_rate,
            "weight_decay": train.weight_decay,
            "dropout": run.recipe.model.dropout,
            "warmup": train.warmup,
        }
        assert other["steps"] == train.steps
    assert len(rows["grid"]) == 9 * 5


def test_the_shortest_length_within_the_tolerance_and_the_best_settings_are_chosen(plan: Plan) -> None:
    walk = stages(plan, {})
    _, horizon = next(walk)
    assert [run.recipe.train.steps for run in horizon] == [4, 8]
    key = ("stories", "mini")
    assert chosen_steps(plan, {horizon[0].name: line(2.0), horizon[1].name: line(1.9)})[key] == 8
    lines = {horizon[0].name: line(2.0), horizon[1].name: line(1.999)}
    assert chosen_steps(plan, lines)[key] == 4
    tuning = next(dict([each]) for each in stages_after(plan, lines))["tuning"]
    assert [(run.family, run.trial) for run in tuning] == [("dense", 0), ("dense", 1), ("near", 0), ("near", 1)]
    bits = (2.0, None, 2.0, 1.9)  # the second diverged
    lines |= {run.name: line(each) for run, each in zip(tuning, bits, strict=True)}
    chosen = chosen_settings(plan, lines, {key: 4})
    assert plan.tuning is not None
    assert chosen[*key, "dense"] == plan.tuning.trials[0]
    assert chosen[*key, "near"] == plan.tuning.trials[1]


def stages_after(plan: Plan, lines: dict[str, dict[str, Any]]) -> Any:
    walk = stages(plan, lines)
    next(walk)
    return walk


def every_stage(plan: Plan) -> dict[str, list[StudyRun]]:
    """All stages of a plan where every run scores the same."""
    lines: dict[str, dict[str, Any]] = {}
    found = {}
    for stage, runs in stages(plan, lines):
        found[stage] = runs
        lines |= {run.name: line(1.0) for run in runs}
    return found


def test_the_shipped_plan_is_fair_and_has_the_rows_that_it_must_have() -> None:
    plan = load_plan(SHIPPED)
    found = every_stage(plan)
    names = [run.name for runs in found.values() for run in runs]
    assert len(set(names)) == len(names)
    for corpus in plan.corpora:
        for size in plan.sizes:
            trials = [
                run for stage in ("tuning", "mix") for run in found[stage] if (run.corpus, run.size) == (corpus, size)
            ]
            counts = {family: sum(run.family == family for run in trials) for family in plan.families}
            assert len(set(counts.values())) == 1, counts
    rows = {(run.corpus, run.size, run.positions, run.recipe.name) for run in found["grid"]}
    for positions, recipes in plan.grid.recipes.items():
        for recipe in recipes:
            places = {(corpus, size, positions) for corpus in plan.corpora for size in plan.arms[recipe].views}
            assert {(*place, recipe) for place in places} <= rows
    tested = {run.recipe.train.seed for run in found["grid"]}
    assert plan.tuning is not None
    assert plan.horizon is not None
    assert plan.tuning.seed not in tested
    assert plan.horizon.seed not in tested
    # a control differs from what it controls in one thing
    arms = plan.arms
    for control, of in (("cut", "sentence"), ("sentence+pos-permuted", "sentence+pos"), ("pos-leaky", "pos")):
        assert all(views == arms[of].views[size] for size, views in arms[control].views.items())
        assert (arms[control].settings or arms[control].family) == (arms[of].settings or arms[of].family)


def test_chunks_hold_runs_of_one_shape_each_run_once() -> None:
    runs = every_stage(load_plan(SHIPPED))["grid"]
    chunks = list(in_chunks(runs))
    assert sorted(run.name for chunk in chunks for run in chunk) == sorted(run.name for run in runs)
    for chunk in chunks:
        assert len({(run.recipe.model.views, run.recipe.model.positions, run.size) for run in chunk}) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[recipes.windows]", "[recipes.window]"), "there is no recipe 'windows'; write a table [recipes.windows]"),
        (('settings = "dense"', 'settings = "grammar"'), "'grammar' is no family"),
        (('["dense@alibi"]', '["dense@alibi", "dense@learned"]'), "give each family as many"),
        (('views.mini = ["dense", "window(4)"]', 'views.midi = ["dense"]'), "a size 'midi' that [sizes] does not know"),
        (("[short]", "[shorts]"), "unknown shorts; missing nothing"),
        (("[grid]", "[grids]"), "unknown grids; missing grid"),
        (
            ('name = "small"', 'name = "small"\ncertificate = {pieces = 99}'),
            "replays 99 pieces of a document, and rows",
        ),
        (('name = "small"', 'name = "small"\ncertificate = {piece = 9}'), "did you mean 'pieces'?"),
        (("[tuning]\nseed = 9\ntrials", "[tunings]\nseed = 9\ntrials"), "unknown tunings"),
        (("tolerance = 0.001", "tolerence = 0.001"), "tolerence"),
        (("rows = 2", "rows = 0"), "rows is 0"),
        (("tags = true", "tag = true"), "recipes.tag-leaky"),
    ],
)
def test_a_plan_that_does_not_fit_says_where(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    file = tmp_path / "plan.toml"
    assert change[0] in SMALL
    file.write_text(SMALL.replace(*change), encoding="utf-8")
    with pytest.raises(ValueError, match=r"plan\.toml") as error:
        load_plan(file)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("horizon", ('recipe = "dense"', 'recipe = "bare"')),
        ("tuning", ('near = "sentence"}', 'near = "bare"}')),
        ("mix", ('near = ["windows"]}', 'near = ["bare@alibi"]}')),
        ("short", ('{mini = ["sentence"]}', '{mini = ["sentence", "bare"]}')),
    ],
)
def test_a_stage_that_runs_a_recipe_without_views_for_the_size_is_refused_when_the_plan_is_read(
    tmp_path: Path, stage: str, change: tuple[str, str]
) -> None:
    file = tmp_path / "plan.toml"
    bare = '[recipes.bare]\nfamily = "near"\nviews = {}\n'
    file.write_text(SMALL + bare, encoding="utf-8")
    load_plan(file)  # nobody runs it
    assert change[0] in SMALL
    file.write_text(SMALL.replace(*change) + bare, encoding="utf-8")
    said = (
        rf"plan\.toml: recipe 'bare' has no views for the size 'mini', at which \[{stage}\] runs it; write views\.mini"
    )
    with pytest.raises(ValueError, match=said):
        load_plan(file)


@pytest.mark.parametrize(
    ("stage", "change"),
    [("mix", ('sizes = ["mini"]', 'sizes = ["midi"]')), ("short", ("{mini = [", "{midi = ["))],
)
def test_a_stage_at_a_size_that_is_not_there_is_refused(tmp_path: Path, stage: str, change: tuple[str, str]) -> None:
    file = tmp_path / "plan.toml"
    assert change[0] in SMALL
    file.write_text(SMALL.replace(*change), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"\[{stage}\] runs at a size 'midi'; write a table \[sizes\.midi\]"):
        load_plan(file)


def test_a_corpus_without_a_cache_and_caches_of_two_tokenizers_are_refused(folder: Path, plan: Plan) -> None:
    with pytest.raises(ValueError, match=r"reads 'stories'; name its cache, as in --cache stories=FOLDER"):
        check_caches(plan, {})
    both = replace(plan, corpora=("stories", "tales"))
    alike = write_cache(folder / "alike", {"train": STORIES[:2], "validation": STORIES[2:3], "test": STORIES[3:4]})
    check_caches(both, {"stories": folder / "cache", "tales": alike})
    larger = write_cache(folder / "larger", size=330)
    with pytest.raises(ValueError, match=r"have tokenizers .*'tales': .* compares perplexity, so make them with one"):
        check_caches(both, {"stories": folder / "cache", "tales": larger})


def test_a_line_made_from_other_settings_is_not_taken_for_the_plans(folder: Path, plan: Plan) -> None:
    first = horizon_runs(plan)[0]
    line = {"run": first.name, "bits_per_byte": 1.0, "made_from": made_from(first.recipe, folder / "cache")}
    append_line(folder / "other" / "small.jsonl", line)
    changed = replace(plan, train=replace(plan.train, clip=0.5))
    with pytest.raises(Failure, match=r"was made from .* bring plan and cache back, or give the plan another name"):
        run_study(changed, settings(folder, "other"), lambda *_: None)


def test_a_last_line_without_its_end_is_kept_and_the_next_one_stands_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "study.jsonl"
    file.write_text('{"run": "a"}', encoding="utf-8")
    assert list(read_lines(file)) == ["a"]
    append_line(file, {"run": "b"})
    assert list(read_lines(file)) == ["a", "b"]


def articles(run: str, nats: float) -> pa.Table:
    row = {"run": run, "split": "test", "document": "d", "nats": nats, "pieces": 3, "bytes": 9}
    return pa.Table.from_pylist([row], schema=SCHEMA)


def test_articles_of_a_run_that_is_done_again_are_the_new_ones_and_those_without_a_line_go(tmp_path: Path) -> None:
    together, single = tmp_path / "study.articles.parquet", tmp_path / "single"
    single.mkdir()
    for run, nats in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        pq.write_table(articles(run, nats), single / f"{run}.parquet")
    join_articles(single, together, {"a", "b"})
    (single / "b.parquet").unlink()
    pq.write_table(articles("a", 4.0), single / "a.parquet")
    join_articles(single, together, {"a", "b"})
    table = pq.read_table(together)
    assert dict(zip(table["run"].to_pylist(), table["nats"].to_pylist(), strict=True)) == {"a": 4.0, "b": 2.0}


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "study.jsonl"
    file.write_text('{"run": "a"}\nnonsense\n{"run": "b"}\n', encoding="utf-8")
    with pytest.raises(Failure, match=r"line 2 is damaged .* its run is done again"):
        read_lines(file)


def test_sound_lines_are_not_written_again(tmp_path: Path) -> None:
    """A kill in the middle of writing would lose them; U+2028 ends no line."""
    file = tmp_path / "study.jsonl"
    append_line(file, {"run": "a", "device": "x\u2028y"})
    before = file.stat()
    assert read_lines(file).keys() == {"a"}
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    with file.open("a", encoding="utf-8") as out:
        out.write('{"run": "torn')
    assert read_lines(file).keys() == {"a"}
    assert file.read_text(encoding="utf-8").count("\n") == 1
