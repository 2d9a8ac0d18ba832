"""Commands that the documents quote exist, with every option that they are given there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(valency\s[^`]+)`")
RAN = "- **Command**: "
"""Begins what a report says of its study: a command that ran once, with the options that there were."""


def quoted(page: str) -> Iterator[str]:
    """Texts that hold commands: lines of fenced blocks, continued ones joined, and spans of code."""
    for block in FENCED.findall(page):
        yield from block.replace("\\\n", " ").splitlines()
    rest = "\n".join(line for line in FENCED.sub("", page).splitlines() if not line.startswith(RAN))
    yield from (span.replace("\n", " ") for span in SPAN.findall(rest))


def commands(text: str) -> Iterator[list[str]]:
    """The words after `valency` of each command in a line of shell. Errors: ValueError if a quotation does not end."""
    if not re.search(r"(^|[\s/])valency\s", text):
        return
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            if command and Path(command[0]).name == "valency":
                yield command[1:]
            command = []
        else:
            command.append(word)


def wrong(words: list[str]) -> str | None:
    """What the command line does not know of these words."""
    command: Any = typer.main.get_command(app)  # of click, or of the click that newer versions of typer bring along
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            return f"there is no command {name!r}"
        command = command.commands[name]
    known = {"--help", *(option for each in command.params for option in (*each.opts, *each.secondary_opts))}
    options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)]
    return next((f"there is no option {option}" for option in options if option not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_quotes_exists(page: Path) -> None:
    found = [words for text in quoted(page.read_text(encoding="utf-8")) for words in commands(text)]
    mistakes = [f"valency {shlex.join(words)}: {what}" for words in found if (what := wrong(words))]
    assert mistakes == []


def test_every_command_that_a_file_of_the_flows_quotes_exists() -> None:
    """Spans of code, as in messages that say what to do, and lines of their heads."""
    mistakes = []
    for file in sorted((ROOT / "flows").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        texts = [*SPAN.findall(text), *re.findall(r"^ *(valency [a-z].*)$", text, re.MULTILINE)]
        found = [words for each in texts for words in commands(each) if words[-1] != "…" and words[0] != "WORDS"]
        mistakes += [f"{file.name}: {shlex.join(words)}: {what}" for words in found if (what := wrong(words))]
    assert mistakes == []


def test_the_readme_quotes_many() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    found = [words for text in quoted(page) for words in commands(text)]
    assert ["run", "--out", "out"] in found, "after && and with a folder before its name"
    assert len(found) > 15


def test_what_does_not_exist_is_found() -> None:
    page = """
```sh
python -m venv x && .venv/bin/valency run --out out   # valency nonsense
valency bench parse --parser prefix \\
    --conlu FILE | tee log
```
See `valency bench
nothing`, `valency certify RUN --pieces=9`, `valency stats CACHE [NAME] -x` and `valency[stanza]`.
"""
    found = [words for text in quoted(page) for words in commands(text)]
    assert [words[0] for words in found] == ["run", "bench", "bench", "certify", "stats"]
    said = [None, "there is no option --conlu", "there is no command 'nothing'", None, "there is no option -x"]
    assert [wrong(words) for words in found] == said
