"""What the replays found: how many leak-free runs are certified, and that the leaky ones are not."""

from collections.abc import Sequence

from flows.study_report.markdown import counted
from flows.study_report.records import Run


def certificates_said(clean: Sequence[Run], leaky: Sequence[Run]) -> str:
    """clean: runs that promise to be leak-free. Nothing, where no run was replayed and none promised."""
    held = [run for run in clean if run.certified]
    lines = []
    if held:
        pieces = [str(each) for each in sorted({(run.certificate or {})["pieces"] for run in held})]
        largest = max((run.certificate or {})["max_difference"] for run in held)
        lines.append(
            f"Certified: {counted(len(held), 'run')} of {len(clean):,}, each replayed over {' or '.join(pieces)} "
            "held-out pieces in a process that was sent one piece at a time and answered before the next: attributes "
            f"and visible keys are the same to the bit, and no logit differs by more than {largest:.1e} of the largest."
        )
    if without := sum(run.uncertified for run in clean):
        lines.append(f"Uncertified: {counted(without, 'run')}, made before there was such a replay.")
    if failed := [run for run in clean if run.certificate is not None and not run.certified]:
        lines.append(f"**Not certified, though replayed**: {counted(len(failed), 'run')}; {_first(failed)}.")
    replayed = [run for run in leaky if run.certificate is not None]
    if replayed:
        refused = [run for run in replayed if not run.certified]
        lines.append(
            f"Of {counted(len(replayed), 'replayed run')} that leak on purpose the certificate was refused to "
            f"{len(refused)}{f'; {_first(refused)}' if refused else ''}."
        )
    return " ".join(lines)


def _first(runs: Sequence[Run]) -> str:
    """Where the two sides first part, by what."""
    breaks = [(run.certificate or {}).get("first_break") or {} for run in runs]
    kinds = sorted({str(each.get("what", "nothing said")) for each in breaks})
    return f"the first to differ: {', '.join(kinds)}"
