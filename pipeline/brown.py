"""The Brown corpus (Francis and Kučera 1979) as plain text, from NLTK's copy: 500 American texts of 1961 in 15 genres.

Its licence grants non-commercial use: for experiments only, and nothing that is made from it is shipped.

NLTK stores tagged tokens; running text is laid out again by the rules of `lay_out`. What the corpus itself changed
stays changed: commas and question marks stand after the quotation mark that they stood before in print, Greek letters
and signs are codes (`**yb`), and headlines are sentences of their own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import nltk.data
from nltk.corpus.reader import CategorizedTaggedCorpusReader

from pipeline.corpus import Split

FILES = r"c[a-z]\d\d"

OPENING, CLOSING = {"``", "(", "["}, {"''", ")", "]", ",", ";", ":", ".", "?", "!"}
DOUBLED = {",", ";", ":", "?", "!"}
"""Marks that the corpus may write twice where print has them once: `; ;`, `? ?`, `! !` always."""


def write_brown(nltk_data: Path, out: Path) -> dict[Split, int]:
    """Write a file a text, `brown/ca01-train.txt`, under `out`; the name says the split. Returns files by split.

    nltk_data: the folder that holds corpora/brown.zip. Errors: ValueError where the corpus is not there.
    """
    corpus = _corpus(nltk_data)
    folder = out / "brown"
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[Split, int] = {"train": 0, "validation": 0, "test": 0}
    for name, split in splits(corpus):
        (folder / f"{name}-{split}.txt").write_text(text_of(corpus.paras(name)), encoding="utf-8")
        counts[split] += 1
    return counts


def splits(corpus: CategorizedTaggedCorpusReader) -> Iterator[tuple[str, Split]]:
    """(file, split), sorted: of every ten files of a genre the fifth is validation and the tenth is test.

    A genre of fewer than ten (humor, science fiction) gives no test file; one of five or more a validation file.
    """
    found: list[tuple[str, Split]] = []
    for genre in corpus.categories():
        for place, name in enumerate(sorted(corpus.fileids(genre))):
            found.append((name, {4: "validation", 9: "test"}.get(place % 10, "train")))  # type: ignore[arg-type]
    return iter(sorted(found))


def text_of(paragraphs: Sequence[Sequence[Sequence[str]]]) -> str:
    """Words by sentence by paragraph as text, a paragraph a line."""
    return "".join(lay_out(sentences) + "\n" for sentences in paragraphs)


def lay_out(sentences: Sequence[Sequence[str]]) -> str:
    """The tokens of a paragraph as they would be printed.

    Double quotation marks become `"`; no space stands after an opening mark or before a closing one. A `'` that
    stands alone opens and closes by turns within its sentence. A mark that is written twice is kept once, and so is
    the full stop after an abbreviation that ends its sentence (`Jr. .`).
    """
    text = ""
    for sentence in sentences:
        before, quoted, opened = "", False, False
        for token in sentence:
            if (token in DOUBLED and token == before) or (token == "." and before.endswith(".")):
                continue
            opens, closes = token in OPENING, token in CLOSING
            if token == "'":
                opens, closes, quoted = not quoted, quoted, not quoted
            text += ("" if closes or opened or not text else " ") + token.replace("``", '"').replace("''", '"')
            before, opened = token, opens
    return text


def _corpus(nltk_data: Path) -> CategorizedTaggedCorpusReader:
    """NLTK's reader on this very folder; the corpus may lie there as an archive or unpacked."""
    folder = str(nltk_data.resolve())
    if folder not in nltk.data.path:  # NLTK refuses any corpus below a folder that its search path does not name
        nltk.data.path.append(folder)
    for place in ("corpora/brown/", "corpora/brown.zip/brown/"):
        try:
            root = nltk.data.find(place, [folder])
        except LookupError:
            continue
        return CategorizedTaggedCorpusReader(root, FILES, cat_file="cats.txt", encoding="ascii")
    raise ValueError(
        f"no Brown corpus at {nltk_data / 'corpora' / 'brown.zip'}; point VALENCY_DATA at the folder that holds "
        f"nltk_data, or fetch it with `python -m nltk.downloader -d {nltk_data} brown`"
    )
