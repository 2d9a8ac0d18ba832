"""From the text of a view to the view: `parse("(pos & sentences(2)) | window(8)")`, with errors that point."""

import re
from difflib import get_close_matches
from typing import NoReturn

from model.masks import MASKS
from model.views import And, Named, Not, Or, Random, View

TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<number>\d+)|(?P<sign>[()&|~]))")

RANDOM = "random"

LONGEST = 400
"""Characters of a view; the longest that mean something have a hundred, and the reader descends a level a bracket."""


def parse(text: str) -> View:
    """The view that a text says.

    Errors: ValueError with the place in the text, and the nearest mask for a misspelt name.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a view of {len(text):,} characters ({text[:40]!r} …); {LONGEST} are enough for any")
    reader = _Reader(text)
    view = reader.either()
    if reader.kind != "end":
        reader.fail("expected `&`, `|` or the end")
    return view


class _Reader:
    """Recursive descent over the tokens of one text; `kind`, `said` and `place` are the token at hand."""

    def __init__(self, text: str) -> None:
        self.text, self.next = text, 0
        self.advance()

    def advance(self) -> str:
        """Step to the next token; returns the one left behind."""
        left = getattr(self, "said", "")
        found = TOKEN.match(self.text, self.next)
        if found is None:
            rest = self.text[self.next :]
            self.place = self.next + len(rest) - len(rest.lstrip())
            self.kind, self.said = ("other", rest.strip()[0]) if rest.strip() else ("end", "")
            return left
        self.kind, self.said = str(found.lastgroup), found[str(found.lastgroup)]
        self.place, self.next = found.start(str(found.lastgroup)), found.end()
        return left

    def either(self) -> View:
        view = self.both()
        while self.said == "|":
            self.advance()
            view = Or(view, self.both())
        return view

    def both(self) -> View:
        view = self.single()
        while self.said == "&":
            self.advance()
            view = And(view, self.single())
        return view

    def single(self) -> View:
        if self.said == "~":
            self.advance()
            return Not(self.single())
        if self.said == "(":
            self.advance()
            view = self.either()
            self.close()
            return view
        if self.kind != "name":
            self.fail("expected a mask, `~` or `(`")
        return self.random() if self.said == RANDOM else self.named()

    def random(self) -> Random:
        self.advance()
        if self.said != "(":
            self.fail(f"{RANDOM!r} needs the view whose number of keys it takes, as in `{RANDOM}(sentence)`")
        self.advance()
        view = self.either()
        self.close()
        return Random(view)

    def named(self) -> Named:
        name = self.said
        if name not in MASKS:
            near = get_close_matches(name, [*MASKS, RANDOM], n=1)
            known = ", ".join(f"{each}(n)" if mask.counted else each for each, mask in MASKS.items())
            known += f", {RANDOM}(view)"
            self.fail(f"did you mean {near[0]!r}?" if near else f"known masks: {known}", f"unknown mask {name!r}")
        self.advance()
        if MASKS[name].counted:
            return Named(name, self.count(name))
        if self.said == "(":
            counted = f"; did you mean `{name}s(2)`?" if f"{name}s" in MASKS else ""
            self.fail(f"{name!r} takes no number{counted}")
        return Named(name)

    def count(self, name: str) -> int:
        """The number in parentheses that must follow a counted mask."""
        if self.said != "(":
            self.fail(f"{name!r} needs a number, as in `{name}(2)`")
        self.advance()
        if self.kind != "number" or int(self.said) < 1:
            self.fail(f"{name!r} counts from 1, as in `{name}(2)`")
        count = int(self.advance())
        self.close()
        return count

    def close(self) -> None:
        if self.said != ")":
            self.fail("expected `)`")
        self.advance()

    def fail(self, wanted: str, what: str | None = None) -> NoReturn:
        found = what or ("the text ends" if self.kind == "end" else f"{self.said!r} stands")
        raise ValueError(f"view {self.text!r}: {found} at character {self.place + 1}; {wanted}")
