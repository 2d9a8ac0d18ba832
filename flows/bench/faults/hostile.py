"""Documents that nobody would write by hand: a generator a kind, and what must become of each.

A kind gives the bytes of a file or a line of JSON, from a random generator; `readable` says whether it must end as `ok`
(True), as quarantined (False), or either (None: bytes that may or may not be a text).
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

WORDS = ("the", "a", "river", "boat", "she", "he", "it", "they", "gave", "read", "saw", "broke", "mended", "that", "of",
         "in", "and", "who", "had", "not", "because", "Anna")  # fmt: skip
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e"
BREAKS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
SCRIPTS = [(0x400, 0x4FF), (0x590, 0x5F4), (0x600, 0x6FF), (0x900, 0x97F), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
           (0x1F300, 0x1FAFF), (0x300, 0x36F), (0xE000, 0xF8FF), (0xFDD0, 0xFDEF), (0x10FFF0, 0x10FFFF)]  # fmt: skip
MARKS = "!?.,;:-—…“”‘’\"'()[]{}<>/\\|@#$%^&*_+=~`"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One document: the content of a file of that ending, or the JSON of a line (ending `.jsonl`)."""

    ending: str
    content: bytes
    readable: bool | None


Maker = Callable[[Random], Hostile]


def _line(text: str, readable: bool | None = True) -> Hostile:
    """As a line of JSON, where lone surrogates can stand as escapes."""
    return Hostile(".jsonl", json.dumps({"text": text}).encode(), readable)


def _file(content: bytes, readable: bool | None, ending: str = ".txt") -> Hostile:
    return Hostile(ending, content, readable)


def prose(draw: Random, words: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(words)) + "."


def sprinkled(draw: Random, marks: str, words: int = 40) -> str:
    """Prose with characters put in at random places."""
    text = list(prose(draw, words))
    for _ in range(words):
        text.insert(draw.randrange(len(text)), draw.choice(marks))
    return "".join(text)


def characters(draw: Random, count: int) -> str:
    low, high = draw.choice(SCRIPTS)
    return "".join(chr(draw.randint(low, high)) for _ in range(count))


KINDS: dict[str, Maker] = {
    "random bytes": lambda draw: _file(b"\xff" + draw.randbytes(draw.randint(1, 2000)), False),
    "an executable's head": lambda draw: _file(b"\x7fELF\x02\x01\x01\0" + draw.randbytes(300), False),
    "NUL": lambda draw: _file(sprinkled(draw, "\0").encode(), False),
    "NUL in JSON": lambda draw: _line(sprinkled(draw, "\0"), False),
    "bidi": lambda draw: _file(sprinkled(draw, BIDI).encode(), True),
    "zero-width": lambda draw: _file(sprinkled(draw, ZERO_WIDTH).encode(), True),
    "only zero-width": lambda draw: _line("".join(draw.choices(ZERO_WIDTH, k=50)), None),
    "lone surrogates": lambda draw: _line(sprinkled(draw, "\ud800\udfff\udc00"), False),
    "lone surrogate bytes": lambda draw: _file(b"She read \xed\xa0\x80 it.", False),
    "empty": lambda draw: _file(b"", False),
    "spaces": lambda draw: _file(draw.choice([" ", "\n\n\n", "\t \r\n", " \u3000"]).encode(), False),
    "byte order marks": lambda draw: _file(b"\xef\xbb\xbf" + prose(draw, 9).encode() + b"\xef\xbb\xbf", True),
    "UTF-16": lambda draw: _file(prose(draw, 9).encode("utf-16"), False),
    "line ends": lambda draw: _line(draw.choice(BREAKS).join(prose(draw, 5) for _ in range(20)), True),
    "blank lines": lambda draw: _line("\n" * draw.randint(1, 5000) + prose(draw, 5) + "\n" * 5000, True),
    "control characters": lambda draw: _line(sprinkled(draw, "".join(map(chr, range(1, 32)))), True),
    "no space": lambda draw: _line(
        draw.choice(["x", "é", "ß", "\u0301", "\U0001f469\u200d", "."]) * draw.randint(500, 20_000), None
    ),
    "combining marks": lambda draw: _line("".join(each + "\u0301\u0323" * 20 for each in prose(draw, 9)), None),
    "other scripts": lambda draw: _line(" ".join(characters(draw, draw.randint(1, 12)) for _ in range(40)), None),
    "marks alone": lambda draw: _line("".join(draw.choices(MARKS, k=draw.randint(1, 800))), True),
    "one character": lambda draw: _line(draw.choice("a.’€👍"), True),
    "brackets": lambda draw: _line(draw.choice('([{“‘"<') * draw.randint(10, 3000) + prose(draw, 3), True),
    "one word again": lambda draw: _line(f"{draw.choice(WORDS)} " * draw.randint(100, 2000), True),
    "no full stop": lambda draw: _line(prose(draw, draw.randint(300, 2000))[:-1], True),
    "numbers": lambda draw: _line(" ".join(str(draw.getrandbits(draw.randint(1, 400))) for _ in range(30)), True),
    "addresses": lambda draw: _line("https://" + "a.b/c?d=%s&" * draw.randint(1, 400) + " " + prose(draw, 3), True),
    "markup": lambda draw: _line("<p>" * 200 + "<!-- " + prose(draw, 20) + "\x1b[31m &nbsp; {{x}} $(rm)", True),
    "no object": lambda draw: Hostile(".jsonl", draw.choice([b"[]", b"3", b"null", b'"text"']), False),
    "no text": lambda draw: Hostile(".jsonl", draw.choice([b"{}", b'{"text": 3}', b'{"text": null}']), False),
    "broken JSON": lambda draw: Hostile(".jsonl", draw.choice([b'{"text": "x', b"{{", b"\xff\xfe", b"["]), False),
    "deep JSON": lambda draw: Hostile(".jsonl", b'{"text":' + b"[" * 50_000, False),
    "broken archive": lambda draw: _file(gzip.compress(prose(draw, 99).encode())[:-9], False, ".txt.gz"),
    "no archive": lambda draw: _file(draw.randbytes(90), False, draw.choice([".txt.gz", ".txt.zst"])),
    "no Parquet": lambda draw: _file(b"PAR1" + draw.randbytes(90) + b"PAR1", False, ".parquet"),
    "no treebank": lambda draw: _file(b"1\tShe\tshe\tPRON\t_\t_\t9\tnsubj\t_\n\n", False, ".conllu"),
    "plain": lambda draw: _line(prose(draw, draw.randint(1, 80)), True),
}
"""Hostile kinds by name, and plain prose, which must not suffer from its neighbours."""

HUGE: dict[str, Maker] = {
    "a 1,000,000-character line": lambda draw: _line(prose(draw, 300_000)[:1_000_000], True),
    "1,000,000 characters without a space": lambda draw: _line("x" * 1_000_000, True),
    "a 100,000-word sentence": lambda draw: _line(prose(draw, 100_000), True),
    "1,000,000 zero-width characters": lambda draw: _line("She " + "\u200b" * 1_000_000 + " read.", None),
}
"""One of them in every batch."""
