"""Sentences made from numbers. They come out right for a gain, a loss, and what no interval can tell from 0."""

import math
from collections.abc import Sequence

from flows.study_report.markdown import code, counted, percent, several, signed
from flows.study_report.statistics import Difference, Interval, verdict
from flows.study_report.steps import Reach


def difference_said(difference: Difference) -> str:
    """`sentence` gains −1.23% bits per byte against `dense` (95% CI …)."""
    names = code(difference.a), code(difference.b)
    return f"{_changed(*names, difference.relative, 'bits per byte')}{_seeds_said([difference])}"


def differences_said(differences: Sequence[Difference]) -> str:
    """Several in one line; what is said of the seeds is said once, of all of them."""
    parts = [_changed(code(each.a), code(each.b), each.relative, "bits per byte") for each in differences]
    return "; ".join(parts) + _seeds_said(differences)


def _changed(a: str, b: str, interval: Interval, unit: str) -> str:
    mean = f"{signed(100 * interval.mean)}% {unit}"
    bounds = f"95% CI {signed(100 * interval.low)} to {signed(100 * interval.high)}"
    return {
        "gain": f"{a} gains {mean} against {b} ({bounds})",
        "loss": f"{a} loses {mean} against {b} ({bounds})",
        "none": f"{a} and {b} cannot be told apart: {mean} ({bounds}, 0 included)",
    }[verdict(interval)]


def _seeds_said(differences: Sequence[Difference]) -> str:
    notes = []
    if few := [each for each in differences if len(each.seeds) == 1]:
        which = "" if len(few) == len(differences) else f" of {several([f'{each.a} − {each.b}' for each in few])}"
        notes.append(f"one seed{which}, so that interval is over articles only")
    if uneven := [each for each in differences if each.other_seeds]:
        common = [f"{each.a} − {each.b} {counted(len(each.seeds), 'seed')}" for each in uneven]
        notes.append(f"seeds that both have: {several(common)}")
    return f" [{'; '.join(notes)}]" if notes else ""


def tally_said(name: str, differences: Sequence[Difference]) -> str:
    """In how many cases a pair gains, loses, or cannot be told apart."""
    verdicts = [difference.verdict for difference in differences]
    share = [100 * difference.relative.mean for difference in differences]
    if not differences:
        return f"{name}: not measured"
    spread = f"{signed(min(share))}% to {signed(max(share))}%" if len(share) > 1 else f"{signed(share[0])}%"
    return (
        f"{name}: the interval lies below 0 (fewer bits) in {verdicts.count('gain')} of "
        f"{counted(len(verdicts), 'setting')}, includes 0 in {verdicts.count('none')}, "
        f"lies above 0 (more bits) in {verdicts.count('loss')}; {spread}"
    )


def steps_said(reach: Reach | None) -> str:
    """`800 steps, −20% of dense's 1,000`, or that none of those tried was enough."""
    if reach is None:
        return "not measured"
    tried = several([f"{steps:,}" for steps, _, _ in reach.lengths])
    if reach.steps is None or reach.fewer is None:
        return f"none of those tried ({tried})"
    said = f"{reach.steps:,} steps ({signed(100 * reach.fewer, 0)}%)"
    if reach.crossing is None:
        return f"{said}, the shortest tried" if len(reach.lengths) > 1 else f"{said}, the only length tried"
    return f"{said}, by interpolation about {reach.crossing:,.0f} ({signed(100 * (reach.crossing / reach.full - 1), 0)}%)"


def leakage_said(leaky: Difference, clean: Difference, future: Difference) -> str:
    """What the whole-word mask seems to give in perplexity, and what is left of it without the future.

    leaky: pos-leaky − dense; clean: pos − dense; future: pos-leaky − pos.
    """
    first = _changed("the mask of whole-word tags (leaky)", "dense", leaky.perplexity, "perplexity")
    second = _changed("the same mask, piece-causal,", "dense", clean.perplexity, "perplexity")
    between = f"the leak itself, `pos-leaky` − `pos`, is worth {percent(future.perplexity)}"
    seeds = _seeds_said([leaky, clean, future])
    return f"{first}; {second}; {between}.{seeds} {_share_said(leaky.perplexity, clean.perplexity)}"


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
