"""Paired differences: the fast bootstrap against a slow one, effects that are known, and how often intervals hold."""

import math

import numpy as np
import pytest

from flows.study_report.records import Articles, Run
from flows.study_report.statistics import (
    intervals,
    most_influential,
    paired_difference,
    replicated,
    resamples,
    statistics,
    student,
    widening,
)
from pipeline.errors import Failure
from tests.flows.study_lines import line_run


def pair(
    effect: float, seeds_a: int = 3, seeds_b: int = 3, articles: int = 12
) -> tuple[list[dict[int, Run]], dict[str, Articles]]:
    """Runs of `sentence` and `dense` whose bits per byte differ by `effect` in every article."""
    runs = [
        {seed: line_run(recipe=recipe, seed=seed) for seed in range(n)}
        for recipe, n in (("sentence", seeds_a), ("dense", seeds_b))
    ]
    random = np.random.default_rng(0)
    bytes_a = random.integers(1000, 9000, articles).astype(np.float64)
    hard = random.uniform(1.0, 1.5, articles)
    scores = {}
    for more, several in zip((effect, 0.0), runs, strict=True):
        for seed, each in several.items():
            nats = (hard + 0.01 * seed + more) * bytes_a * math.log(2)
            names = tuple(f"{n}" for n in range(articles))
            scores[each.run] = Articles(names, nats, bytes_a / 4, bytes_a)
    return runs, scores


def slow_statistics(nats_a, nats_b, bytes_, pieces, seeds, articles):  # type: ignore[no-untyped-def]
    """From the formula, one run and one article after another. seeds, articles: how often each is drawn, once."""
    bits, ratio_a, ratio_b, perplexity, drawn = 0.0, 0.0, 0.0, 0.0, sum(seeds)
    for s, times in enumerate(seeds):
        a = sum(nats_a[s][n] for n in range(len(articles)) for _ in range(int(articles[n])))
        b = sum(nats_b[s][n] for n in range(len(articles)) for _ in range(int(articles[n])))
        all_bytes = sum(bytes_[n] * articles[n] for n in range(len(articles)))
        all_pieces = sum(pieces[n] * articles[n] for n in range(len(articles)))
        bits += times * (a - b) / math.log(2) / all_bytes
        perplexity += times * (a - b) / all_pieces
        ratio_a, ratio_b = ratio_a + times * a, ratio_b + times * b
    return bits / drawn, ratio_a / ratio_b - 1, math.exp(perplexity / drawn) - 1


def slow_replicate(nats_a, nats_b, bytes_, pieces, seeds, articles):  # type: ignore[no-untyped-def]
    """Articles drawn, and what drawing the seeds moves, stretched by their number."""
    scores, every_seed, every_article = (nats_a, nats_b, bytes_, pieces), [1] * len(seeds), [1] * len(articles)
    by_article = slow_statistics(*scores, every_seed, articles)
    by_seed = slow_statistics(*scores, seeds, every_article)
    whole = slow_statistics(*scores, every_seed, every_article)
    # t at 0.975 with one degree of freedom less than there are seeds, from a printed table
    stretch = {1: 0.0, 3: math.sqrt(3 / 2) * 4.3027 / 1.959964, 5: math.sqrt(5 / 4) * 2.7764 / 1.959964}[len(seeds)]
    return [one + stretch * (two - three) for one, two, three in zip(by_article, by_seed, whole, strict=True)]


@pytest.mark.parametrize(("seeds", "articles"), [(1, 1), (1, 5), (3, 7), (5, 4)])
def test_the_bootstrap_is_its_formula(seeds: int, articles: int) -> None:
    random = np.random.default_rng(seeds)
    a, b = random.uniform(100, 200, (2, seeds, articles))
    bytes_, pieces = random.integers(50, 90, articles) * 1.0, random.integers(10, 30, articles) * 1.0
    drawn = resamples(seeds, articles, 20)
    for fast, slow in ((statistics, slow_statistics), (replicated, slow_replicate)):
        found = fast(a, b, bytes_, pieces, *drawn)
        expected = [slow(a, b, bytes_, pieces, *each) for each in zip(*drawn, strict=True)]
        np.testing.assert_allclose(found, np.array(expected).T, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.7062), (10, 2.2281), (11, 2.2010), (20, 2.0860), (29, 2.0452)])
def test_students_t_is_that_of_the_tables(freedom: int, t: float) -> None:
    assert student(freedom) == pytest.approx(t, abs=0.003)


def test_few_seeds_are_stretched_and_one_is_left_alone() -> None:
    assert widening(1) == 0.0
    assert [round(widening(seeds), 2) for seeds in (2, 3, 5)] == [9.17, 2.69, 1.58]
    assert 1.0 < widening(1000) < 1.01


def test_each_replicate_draws_as_many_seeds_and_articles_as_there_are() -> None:
    seeds, articles = resamples(3, 11, 500)
    assert (seeds.sum(1) == 3).all()
    assert (articles.sum(1) == 11).all()
    assert len(np.unique(seeds, axis=0)) == 10  # all ways to draw three of three


def test_a_constant_effect_is_found_without_doubt() -> None:
    runs, scores = pair(effect=-0.02)
    found = paired_difference(*runs, scores)
    assert found is not None
    # what is hard in an article, and what is lucky in a seed, is the same for both and cancels
    np.testing.assert_allclose([found.bits.mean, found.bits.low, found.bits.high], -0.02, rtol=1e-9)
    assert found.verdict == "gain"
    assert found.below == 3
    assert found.without is not None
    assert found.without.relative == pytest.approx(found.relative.mean, rel=0.05)
    assert found.perplexity.mean == pytest.approx(2 ** (-0.02 * 4) - 1)  # four bytes a piece
    assert -0.02 / 1.0 < found.relative.mean < -0.02 / 1.6


def test_verdicts() -> None:
    for effect, said in ((-0.02, "gain"), (0.02, "loss"), (0.0, "none")):
        runs, scores = pair(effect)
        found = paired_difference(*runs, scores)
        assert found is not None
        assert found.verdict == said


def test_common_seeds_are_used_and_the_others_counted() -> None:
    runs, scores = pair(effect=0.01, seeds_a=5, seeds_b=3)
    found = paired_difference(*runs, scores)
    assert found is not None
    assert found.seeds == (0, 1, 2)
    assert found.other_seeds == 2


def test_no_common_seed_is_no_difference() -> None:
    runs, scores = pair(effect=0.01)
    assert paired_difference(runs[0], {}, scores) is None


def test_one_seed_leaves_an_interval_over_articles() -> None:
    runs, scores = pair(effect=0.01, seeds_a=1)
    name = runs[0][0].run
    noise = np.random.default_rng(1).normal(0, 20, 12)
    scores[name] = Articles(scores[name].documents, scores[name].nats + noise, scores[name].pieces, scores[name].bytes)
    found = paired_difference(*runs, scores)
    assert found is not None
    assert found.seeds == (0,)
    assert found.bits.low < found.bits.mean < found.bits.high


@pytest.mark.parametrize("what", ["documents", "bytes", "pieces"])
def test_other_articles_are_refused(what: str) -> None:
    runs, scores = pair(effect=0.01)
    name = runs[1][2].run
    old = scores[name]
    changed = {
        "documents": Articles(("other", *old.documents[1:]), old.nats, old.pieces, old.bytes),
        "bytes": Articles(old.documents, old.nats, old.pieces, old.bytes + 1),
        "pieces": Articles(old.documents, old.nats, old.pieces + 1, old.bytes),
    }
    with pytest.raises(Failure, match=r"dense/grid/1000/2 was scored on other test articles"):
        paired_difference(*runs, scores | {name: changed[what]})


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("seed_noise", "article_noise"), [(0.005, 0.0), (0.002, 0.02), (0.0, 0.02)])
def test_intervals_hold_the_truth_as_often_as_they_promise(seeds: int, seed_noise: float, article_noise: float) -> None:
    """Seeds alone differ, both do, articles alone do. The plain bootstrap holds 0.75 of the first at three seeds."""
    random, articles, trials, truth = np.random.default_rng(7), 40, 400, -0.01
    bytes_ = random.integers(2000, 9000, articles) * 1.0
    held = 0
    for _ in range(trials):
        b = np.tile(random.uniform(1, 1.4, articles), (seeds, 1))
        noise = seed_noise * random.standard_normal((seeds, 1)) + article_noise * random.standard_normal(articles)
        nats = [bits * bytes_ * math.log(2) for bits in (b + truth + noise, b)]
        bits, _, _ = intervals(*nats, bytes_, bytes_ / 4, replicates=1000)
        held += bits.low <= truth <= bits.high
    assert 0.92 <= held / trials <= 0.98


def test_the_most_influential_article_is_named_with_what_is_left_without_it() -> None:
    """Both have 100 nats in each of four articles, but for -2, -1, 0 and +9: without the last, 297 / 300 - 1."""
    a, b = np.array([[98.0, 99.0, 100.0, 109.0]]), np.full((1, 4), 100.0)
    found = most_influential(a, b, ("w", "x", "y", "z"))
    assert found is not None
    assert found.document == "z"
    assert found.relative == pytest.approx(297 / 300 - 1)
    assert most_influential(a[:, :1], b[:, :1], ("w",)) is None
