"""Sentences made from numbers. They come out right for a gain, a loss, and what no interval can tell from 0."""

import math
from collections.abc import Sequence

from flows.study_report.markdown import code, counted, percent, plain, several, signed
from flows.study_report.statistics import Difference, Interval, verdict
from flows.study_report.steps import Length, Reach


def difference_said(difference: Difference) -> str:
    """`sentence` needs 1.23% fewer bits per byte than `dense` (95% CI …)."""
    words = ("needs", "fewer bits per byte", "more bits per byte", "bits per byte")
    return _changed(code(difference.a), code(difference.b), difference, difference.relative, words)


def perplexity_said(difference: Difference, a: str, b: str) -> str:
    """… has a 1.66% lower perplexity than … (95% CI …). a, b: what the two recipes are called."""
    return _changed(
        a, b, difference, difference.perplexity, ("has a", "lower perplexity", "higher perplexity", "perplexity")
    )


def _changed(a: str, b: str, difference: Difference, interval: Interval, words: tuple[str, str, str, str]) -> str:
    """words: the verb, and what is named where a is below b, where it is above, and where this cannot be told."""
    verb, below, above, unit = words
    size, mean = f"{plain(100 * abs(interval.mean))}%", f"{signed(100 * interval.mean)}% {unit}"
    bounds = f"95% CI {signed(100 * interval.low)} to {signed(100 * interval.high)}"
    seeds = seeds_said(difference)
    return {
        "gain": f"{a} {verb} {size} {below} than {b} ({bounds}; {seeds})",
        "loss": f"{a} {verb} {size} {above} than {b} ({bounds}; {seeds})",
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
    """`800 steps (−20%)`, or that none of those tried was enough; and where only some seeds are."""
    if reach is None:
        return "not measured"
    if reach.steps is None or reach.fewer is None:
        tried = several([f"{length.steps:,}" for length in reach.lengths])
        some = [f"{_seeds_reached(length)} at {length.steps:,}" for length in reach.lengths if length.reached]
        return f"none of those tried ({tried}{'; only ' + several(some) if some else ''})"
    said = f"{reach.steps:,} steps ({signed(100 * reach.fewer, 0)}%)"
    if len(reach.lengths) == 1:
        return f"{said}, the only length tried"
    if reach.steps == reach.lengths[0].steps:
        said += ", the shortest tried"
    longer = [length for length in reach.lengths if length.steps > reach.steps and not length.enough]
    again = [f"{_seeds_reached(length)} at {length.steps:,}" for length in longer]
    return f"{said}, though only {several(again)}" if again else said


def _seeds_reached(length: Length) -> str:
    return f"{length.reached} of {counted(len(length.gaps), 'seed')}"


def leakage_said(leaky: Difference, clean: Difference, future: Difference) -> str:
    """What the whole-word mask seems to give in perplexity, and what is left of it without the future.

    leaky: pos-leaky − dense; clean: pos − dense; future: pos-leaky − pos.
    """
    first = perplexity_said(leaky, "the mask of whole-word tags (leaky)", "dense")
    second = perplexity_said(clean, "the same mask made piece-causal", "dense")
    between = f"the leak itself, `pos-leaky` − `pos`, is worth {percent(future.perplexity)} of perplexity"
    return f"{first}; {second}; {between}. {_share_said(leaky.perplexity, clean.perplexity)}"


def _share_said(leaky: Interval, clean: Interval) -> str:
    if verdict(leaky) == "none":
        return "The leaky arm's own gain is not established here (0 is in its interval), so no share of it is given."
    if verdict(leaky) == "loss":
        return "The leaky arm itself loses here, so there is no gain to divide."
    if verdict(clean) == "loss":
        return "Without the leak the mask loses: the whole gain, and more, is leakage."
    if verdict(clean) == "none":
        return "Without the leak no gain can be told from 0: as far as this can be measured, the gain is leakage."
    # shares of a ratio add up in its logarithm
    kept = math.log1p(clean.mean) / math.log1p(leaky.mean)
    if kept >= 1:
        return "None of the gain is leakage: the piece-causal mask gains as much."
    return f"{100 * (1 - kept):.0f}% of that gain (in nats a piece) is leakage; {100 * kept:.0f}% stays without it."
