"""Sentences made from numbers. They come out right for a gain, a loss, and what no interval can tell from 0."""

import math
from collections.abc import Sequence

from flows.study_report.markdown import code, counted, percent, several, signed
from flows.study_report.statistics import Difference, Interval, verdict
from flows.study_report.steps import Reach


def difference_said(difference: Difference) -> str:
    """`sentence` gains −1.23% bits per byte against `dense` (95% CI …)."""
    return _changed(code(difference.a), code(difference.b), difference, difference.relative, "bits per byte")


def _changed(a: str, b: str, difference: Difference, interval: Interval, unit: str) -> str:
    mean = f"{signed(100 * interval.mean)}% {unit}"
    bounds = f"95% CI {signed(100 * interval.low)} to {signed(100 * interval.high)}"
    seeds = seeds_said(difference)
    return {
        "gain": f"{a} gains {mean} against {b} ({bounds}; {seeds})",
        "loss": f"{a} loses {mean} against {b} ({bounds}; {seeds})",
        "none": f"{a} and {b} cannot be told apart: {mean} ({bounds}, 0 included; {seeds})",
    }[verdict(interval)]


def seeds_said(difference: Difference) -> str:
    """`5 seeds`; `3 seeds in common` where one recipe has more; for one seed, what its interval is not over."""
    common = " in common" if difference.other_seeds else ""
    alone = ", so over articles only" if len(difference.seeds) == 1 else ""
    return f"{counted(len(difference.seeds), 'seed')}{common}{alone}"


def tally_said(differences: Sequence[Difference]) -> str:
    """`7 / 1 / 0`: settings in which the first needs fewer bits, cannot be told apart, needs more."""
    verdicts = [difference.verdict for difference in differences]
    return " / ".join(str(verdicts.count(each)) for each in ("gain", "none", "loss"))


def steps_said(reach: Reach | None) -> str:
    """`800 steps, −20% of dense's 1,000`, or that none of those tried was enough."""
    if reach is None:
        return "not measured"
    tried = several([f"{steps:,}" for steps, _, _ in reach.lengths])
    if reach.steps is None or reach.fewer is None:
        return f"none of those tried ({tried})"
    said = f"{reach.steps:,} steps ({signed(100 * reach.fewer, 0)}%)"
    if len(reach.lengths) == 1:
        return f"{said}, the only length tried"
    if reach.steps == reach.lengths[0][0]:
        return f"{said}, the shortest tried"
    if reach.crossing is None:
        return said
    return (
        f"{said}, by interpolation about {reach.crossing:,.0f} ({signed(100 * (reach.crossing / reach.full - 1), 0)}%)"
    )


def leakage_said(leaky: Difference, clean: Difference, future: Difference) -> str:
    """What the whole-word mask seems to give in perplexity, and what is left of it without the future.

    leaky: pos-leaky − dense; clean: pos − dense; future: pos-leaky − pos.
    """
    first = _changed("the mask of whole-word tags (leaky)", "dense", leaky, leaky.perplexity, "perplexity")
    second = _changed("the same mask, piece-causal,", "dense", clean, clean.perplexity, "perplexity")
    between = f"the leak itself, `pos-leaky` − `pos`, is worth {percent(future.perplexity)}"
    return f"{first}; {second}; {between}. {_share_said(leaky.perplexity, clean.perplexity)}"


def _share_said(leaky: Interval, clean: Interval) -> str:
    if verdict(leaky) != "gain":
        return "The leaky mask gains nothing here, so there is no gain to divide."
    if verdict(clean) == "loss":
        return "Without the leak the mask loses: the whole gain, and more, is leakage."
    if verdict(clean) == "none":
        return "Without the leak no gain can be told from 0: as far as this can be measured, the gain is leakage."
    # shares of a ratio add up in its logarithm
    kept = math.log1p(clean.mean) / math.log1p(leaky.mean)
    if kept >= 1:
        return "None of the gain is leakage: the piece-causal mask gains as much."
    return f"{100 * (1 - kept):.0f}% of that gain (in nats a piece) is leakage; {100 * kept:.0f}% stays without it."
