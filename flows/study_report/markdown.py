"""Numbers and tables as the page prints them: a true minus sign, intervals in brackets, long tables folded."""

from collections.abc import Iterable, Sequence

from flows.study_report.statistics import Interval

NOTHING = "–"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table. left: columns of text, which stand at the left; the others hold numbers."""
    marks = ["---"] * left + ["---:"] * (len(head) - left)
    lines = [list(head), marks, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def folded(title: str, body: str) -> str:
    """A part that opens at a click. GitHub reads Markdown inside only after an empty line."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def code(name: str) -> str:
    return f"`{name}`"


def signed(number: float, digits: int = 2) -> str:
    """`+1.20`, `−0.31`."""
    return f"{number:+.{digits}f}".replace("-", "−")


def plain(number: float, digits: int = 2) -> str:
    """`0.31`, `−0.31`; what rounds to 0 carries no sign."""
    said = f"{number:.{digits}f}"
    return said.lstrip("-") if float(said) == 0 else said.replace("-", "−")


def percent(interval: Interval) -> str:
    """`−1.23% (−1.50 to −0.96)`, from fractions."""
    mean, low, high = (signed(100 * part) for part in (interval.mean, interval.low, interval.high))
    return f"{mean}% ({low} to {high})"


def several(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def counted(number: int, what: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")
