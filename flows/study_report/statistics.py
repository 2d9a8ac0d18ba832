"""Paired differences between two recipes on the test split, with bootstrap intervals over seeds and articles.

Letters: S seeds, A articles, R replicates. A seed is paired with itself (same start, same order of the data) and an
article with itself, so what is resampled is always a difference. Each replicate draws A articles and, by themselves, S
seeds, with replacement (Efron & Tibshirani 1993, chapter 13, percentile intervals; crossed as in Owen 2007):

    replicate = estimate(all seeds, articles drawn)
                + widening(S) * (estimate(seeds drawn, all articles) - estimate(all seeds, all articles))

Articles are many and seeds are few. Of few, the plain bootstrap gives intervals that are too short: a mean of S drawn
from S varies by (S - 1) / S of the variance that is meant, and its percentiles know nothing of how badly so few tell
their own spread, for which Student's t is there. Where seeds alone differ, a plain 95% interval over three seeds holds
the truth 3 times in 4 (it ends at the lowest and the highest of them). `widening` mends both.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flows.study_report.records import Articles, Run
from pipeline.errors import Failure

REPLICATES = 10_000
SEED = 20_240
LEVEL = 0.95

STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""Student's t at 0.975 with 1 to 10 degrees of freedom."""
NORMAL = 1.959964
"""What it comes to when they are endless."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Without:
    """A relative difference with one article left out."""

    document: str
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Recipe a less recipe b; below 0 where a predicts the text with fewer bits."""

    a: str
    b: str
    seeds: tuple[int, ...]
    """Those that both have."""
    other_seeds: int
    """Seeds that one of them has and the other has not, left out here."""
    below: int
    """Seeds whose own difference is below 0."""
    articles: int
    bits: Interval
    """Bits per byte, a − b."""
    relative: Interval
    """a / b − 1 of bits per byte."""
    perplexity: Interval
    """a / b − 1 of perplexity a piece."""
    without: Without | None
    """Without the article whose absence moves the relative difference most; None where there is one article alone."""

    @property
    def verdict(self) -> str:
        """Of the relative difference in bits: `gain` where its whole interval lies below 0, `loss` above, or `none`."""
        return verdict(self.relative)


def verdict(interval: Interval) -> str:
    """`gain` (all below 0), `loss` (all above 0) or `none` (0 is inside)."""
    return "gain" if interval.high < 0 else "loss" if interval.low > 0 else "none"


def paired_difference(
    a: Mapping[int, Run], b: Mapping[int, Run], articles: Mapping[str, Articles], replicates: int = REPLICATES
) -> Difference | None:
    """a, b: the runs of two recipes by seed; None where they have no seed in common.

    Errors: Failure if two runs were scored on different articles.
    """
    seeds = sorted(set(a) & set(b))
    if not seeds:
        return None
    first = articles[a[seeds[0]].run]
    for run in [runs[seed] for runs in (a, b) for seed in seeds]:
        _check_same(first, articles[run.run], run.run)
    nats_a_SA, nats_b_SA = (np.stack([articles[runs[seed].run].nats for seed in seeds]) for runs in (a, b))
    bits, relative, perplexity = intervals(nats_a_SA, nats_b_SA, first.bytes, first.pieces, replicates)
    return Difference(
        a=a[seeds[0]].recipe,
        b=b[seeds[0]].recipe,
        seeds=tuple(seeds),
        other_seeds=len(set(a) ^ set(b)),
        below=int((nats_a_SA.sum(1) < nats_b_SA.sum(1)).sum()),
        articles=len(first.documents),
        bits=bits,
        relative=relative,
        perplexity=perplexity,
        without=most_influential(nats_a_SA, nats_b_SA, first.documents),
    )


def intervals(
    nats_a_SA: Floats, nats_b_SA: Floats, bytes_A: Floats, pieces_A: Floats, replicates: int = REPLICATES
) -> tuple[Interval, Interval, Interval]:
    """Difference in bits per byte, ratio − 1 of bits per byte, ratio − 1 of perplexity; a against b."""
    seeds, articles = nats_a_SA.shape
    scores = nats_a_SA, nats_b_SA, bytes_A, pieces_A
    means = statistics(*scores, np.ones((1, seeds)), np.ones((1, articles)))
    drawn = replicated(*scores, *resamples(seeds, articles, replicates))
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(drawn, tails, axis=1)
    three = [Interval(float(means[n, 0]), float(low[n]), float(high[n])) for n in range(3)]
    return three[0], three[1], three[2]


def replicated(
    nats_a_SA: Floats, nats_b_SA: Floats, bytes_A: Floats, pieces_A: Floats, seed_RS: Floats, article_RA: Floats
) -> Floats:
    """float64 [3,R]: the replicates of each statistic, by the formula above. One seed: over articles alone."""
    scores = nats_a_SA, nats_b_SA, bytes_A, pieces_A
    all_seeds, all_articles = np.ones((1, seed_RS.shape[1])), np.ones((1, article_RA.shape[1]))
    by_article = statistics(*scores, all_seeds, article_RA)
    by_seed = statistics(*scores, seed_RS, all_articles) - statistics(*scores, all_seeds, all_articles)
    return by_article + widening(seed_RS.shape[1]) * by_seed


def widening(seeds: int) -> float:
    """What the part of the seeds is stretched by: 2.69 for three, 1.58 for five, towards 1 for many; 0 for one."""
    return math.sqrt(seeds / (seeds - 1)) * student(seeds - 1) / NORMAL if seeds > 1 else 0.0


def student(freedom: int) -> float:
    """Student's t at 0.975; beyond the table by the first terms of its expansion (Abramowitz & Stegun 26.7.5)."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = NORMAL
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def most_influential(nats_a_SA: Floats, nats_b_SA: Floats, documents: tuple[str, ...]) -> Without | None:
    """Each article is left out once; of equal ones the first counts."""
    if len(documents) < 2:
        return None
    a_A, b_A = nats_a_SA.sum(0), nats_b_SA.sum(0)
    left_A = (a_A.sum() - a_A) / (b_A.sum() - b_A) - 1
    most = int(np.abs(left_A - (a_A.sum() / b_A.sum() - 1)).argmax())
    return Without(documents[most], float(left_A[most]))


def statistics(
    nats_a_SA: Floats, nats_b_SA: Floats, bytes_A: Floats, pieces_A: Floats, seed_RS: Floats, article_RA: Floats
) -> Floats:
    """float64 [3,R], as `intervals` orders them. seed_RS, article_RA: how often each is drawn in each replicate.

    A first axis of 1 instead of R stands for all replicates.
    """
    share_RS = seed_RS / seed_RS.sum(1, keepdims=True)
    a_R = (share_RS * (article_RA @ nats_a_SA.T)).sum(1)
    b_R = (share_RS * (article_RA @ nats_b_SA.T)).sum(1)
    bits_R = (a_R - b_R) / math.log(2) / (article_RA @ bytes_A)
    perplexity_R = np.expm1((a_R - b_R) / (article_RA @ pieces_A))
    return np.stack([bits_R, a_R / b_R - 1, perplexity_R])


@lru_cache(maxsize=32)
def resamples(seeds: int, articles: int, replicates: int) -> tuple[Floats, Floats]:
    """float64 [R,S] and [R,A]: how often each seed and each article is drawn. The same for every pair of recipes."""
    generator = np.random.default_rng([SEED, seeds, articles])
    seed_RS = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=replicates)
    article_RA = generator.multinomial(articles, np.full(articles, 1 / articles), size=replicates)
    return seed_RS.astype(np.float64), article_RA.astype(np.float64)


def _check_same(one: Articles, other: Articles, run: str) -> None:
    same = one.documents == other.documents
    if not same or (one.bytes != other.bytes).any() or (one.pieces != other.pieces).any():
        raise Failure(
            f"{run} was scored on other test articles than the runs it is compared with; run `valency study` again"
        )
