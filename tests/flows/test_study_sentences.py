"""Sentences come out right for a gain, a loss, and what cannot be told apart; steps as they were measured."""

import numpy as np
import pytest

from flows.study_report.markdown import folded, percent, plain, several, signed, table
from flows.study_report.records import Case, Run, Study
from flows.study_report.sentences import (
    difference_said,
    leakage_said,
    perplexity_said,
    seeds_said,
    steps_said,
    tally_said,
)
from flows.study_report.statistics import Difference, Interval
from flows.study_report.steps import reach
from tests.flows.study_lines import line_run

CASE = Case("wikitext2", "six", "rotary")
GAIN, LOSS, NONE = Interval(-0.0123, -0.015, -0.0096), Interval(0.02, 0.01, 0.03), Interval(0.001, -0.002, 0.004)


def difference(interval: Interval, a: str = "sentence", seeds: int = 3, other: int = 0) -> Difference:
    return Difference(
        a=a,
        b="dense",
        seeds=tuple(range(seeds)),
        other_seeds=other,
        below=0,
        articles=60,
        bits=interval,
        relative=interval,
        perplexity=interval,
        without=None,
    )


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (GAIN, "`sentence` needs 1.23% fewer bits per byte than `dense` (95% CI −1.50 to −0.96; 3 seeds)"),
        (LOSS, "`sentence` needs 2.00% more bits per byte than `dense` (95% CI +1.00 to +3.00; 3 seeds)"),
        (
            NONE,
            "`sentence` and `dense` cannot be told apart: +0.10% bits per byte (95% CI −0.20 to +0.40, 0 included; "
            "3 seeds)",
        ),
    ],
)
def test_a_difference_is_said_with_its_interval(interval: Interval, said: str) -> None:
    assert difference_said(difference(interval)) == said


def test_a_perplexity_is_lower_or_higher() -> None:
    assert perplexity_said(difference(GAIN), "this", "that").startswith("this has a 1.23% lower perplexity than that (")
    assert perplexity_said(difference(LOSS), "this", "that").startswith("this has a 2.00% higher perplexity than that")
    assert "cannot be told apart: +0.10% perplexity" in perplexity_said(difference(NONE), "this", "that")


def test_seeds_are_said_as_they_are() -> None:
    assert seeds_said(difference(GAIN, seeds=5)) == "5 seeds"
    assert seeds_said(difference(GAIN, seeds=3, other=2)) == "3 seeds in common"
    assert seeds_said(difference(GAIN, seeds=1)) == "1 seed, so over articles only"


def test_tally_counts_each_verdict() -> None:
    found = [difference(each) for each in (GAIN, GAIN, LOSS, NONE)]
    assert tally_said(found) == "2 / 1 / 1"


@pytest.mark.parametrize(
    ("leaky", "clean", "said"),
    [
        (Interval(-0.10, -0.12, -0.08), LOSS, "the whole gain, and more, is leakage"),
        (Interval(-0.10, -0.12, -0.08), NONE, "no gain can be told from 0: as far as this can be measured"),
        # log(0.95) / log(0.9) = 0.487
        (
            Interval(-0.10, -0.12, -0.08),
            Interval(-0.05, -0.06, -0.04),
            "51% of that gain (in nats a piece) is leakage; 49%",
        ),
        (Interval(-0.05, -0.06, -0.04), Interval(-0.05, -0.06, -0.04), "None of the gain is leakage"),
        # who gains nothing for sure has no gain to divide, whatever is left without the future
        (NONE, LOSS, "The leaky arm's own gain is not established here (0 is in its interval)"),
        (NONE, GAIN, "The leaky arm's own gain is not established here"),
        (LOSS, LOSS, "The leaky arm itself loses here"),
    ],
)
def test_leakage_is_what_is_left_out_without_the_future(leaky: Interval, clean: Interval, said: str) -> None:
    whole = leakage_said(difference(leaky, "pos-leaky"), difference(clean, "pos"), difference(GAIN, "pos-leaky"))
    assert said in whole
    assert "is worth −1.23% (−1.50 to −0.96) of perplexity" in whole
    assert ("the whole gain, and more" in whole) == (leaky.high < 0 and clean is LOSS)


def study_of(lengths: dict[str, dict[int, list[float]]]) -> Study:
    """Validation bits per byte by recipe, steps and seed; dense's longest is the grid's length."""
    full = max(lengths["dense"])
    runs: list[Run] = []
    for recipe, by_steps in lengths.items():
        for steps, bits in by_steps.items():
            stage = "grid" if steps == full else "short"
            place = {"recipe": recipe, "steps": steps, "stage": stage}
            runs += [line_run(seed=seed, bits_per_byte=each, **place) for seed, each in enumerate(bits)]
    return Study(name="s", runs=tuple(runs), articles={})


DENSE = {400: [1.5, 1.6], 800: [1.3, 1.4], 1000: [1.2, 1.3]}


def test_the_shortest_length_that_is_as_good_counts() -> None:
    study = study_of({"dense": DENSE, "sentence": {400: [1.4, 1.5], 800: [1.15, 1.25], 1000: [1.1, 1.2]}})
    found = reach(study, CASE, "sentence")
    assert found is not None
    assert found.steps == 800
    np.testing.assert_allclose([length.mean for length in found.lengths], [0.2, -0.05, -0.1])
    assert steps_said(found) == "800 steps (−20%)"


def test_a_length_counts_only_if_every_seed_of_it_is_enough() -> None:
    """Dense's mean is 1.25: at 800 steps sentence's own mean, 1.2, is below it, and one of its seeds is not."""
    lengths = {400: [1.5, 1.6], 800: [1.1, 1.3], 1000: [1.1, 1.2]}
    found = reach(study_of({"dense": DENSE, "sentence": lengths}), CASE, "sentence")
    assert found is not None
    assert found.steps == 1000
    assert [(length.reached, length.enough) for length in found.lengths] == [(0, False), (1, False), (2, True)]
    np.testing.assert_allclose(found.lengths[1].gaps, [-0.15, 0.05])


def test_where_only_some_seeds_are_enough_is_said() -> None:
    lengths = {400: [1.5, 1.6], 800: [1.1, 1.3], 1000: [1.1, 1.26]}
    said = steps_said(reach(study_of({"dense": DENSE, "sentence": lengths}), CASE, "sentence"))
    assert said == "none of those tried (400, 800 and 1,000; only 1 of 2 seeds at 800 and 1 of 2 seeds at 1,000)"
    longer = {800: [1.1, 1.2], 1000: [1.1, 1.26]}
    said = steps_said(reach(study_of({"dense": DENSE, "sentence": longer}), CASE, "sentence"))
    assert said == "800 steps (−20%), the shortest tried, though only 1 of 2 seeds at 1,000"


def test_dense_is_as_good_as_itself_at_its_own_length() -> None:
    """One of two seeds is always above their mean; shorter runs are held to that mean like any other's."""
    found = reach(study_of({"dense": DENSE}), CASE, "dense")
    assert steps_said(found) == "1,000 steps (+0%)"
    assert steps_said(reach(study_of({"dense": DENSE | {800: [1.2, 1.25]}}), CASE, "dense")) == "800 steps (−20%)"


def test_seeds_are_paired_where_a_length_has_fewer() -> None:
    """Seed 0 of dense has 1.2; the mean of both seeds, 1.25, would let 1.24 through."""
    study = study_of({"dense": DENSE, "sentence": {800: [1.24], 1000: [1.1, 1.2]}})
    found = reach(study, CASE, "sentence")
    assert found is not None
    assert found.steps == 1000
    assert [len(length.gaps) for length in found.lengths] == [1, 2]


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ({800: [1.5, 1.5], 1000: [1.4, 1.4]}, "none of those tried (800 and 1,000)"),
        ({400: [1.1, 1.1], 1000: [1.0, 1.0]}, "400 steps (−60%), the shortest tried"),
        ({1000: [1.0, 1.0]}, "1,000 steps (+0%), the only length tried"),
    ],
)
def test_what_was_not_tried_is_not_claimed(lengths: dict[int, list[float]], said: str) -> None:
    assert steps_said(reach(study_of({"dense": DENSE, "pos": lengths}), CASE, "pos")) == said


def test_a_recipe_without_runs_is_not_measured() -> None:
    assert steps_said(reach(study_of({"dense": DENSE}), CASE, "pos")) == "not measured"


def test_numbers_and_tables() -> None:
    assert signed(-0.126) == "−0.13"
    assert plain(-0.0001) == "0.00"
    assert percent(Interval(-0.01, -0.02, 0.0)) == "−1.00% (−2.00 to +0.00)"
    assert several(["a", "b", "c"]) == "a, b and c"
    assert several(["a"]) == "a"
    assert table(["x", "n"], [["a|b", "1"]]).splitlines() == ["| x | n |", "| --- | ---: |", "| a\\|b | 1 |"]
    assert "</summary>\n\nbody\n\n</details>" in folded("t", "body")
