"""The table of first names, from the Names Corpus of Mark Kantrowitz (NLTK's `names.zip`)."""

from pathlib import Path
from zipfile import ZipFile

HEADER = (
    "# First names and the gender of their bearers (m, f, or both). From the Names Corpus, version 1.3 (1994-03-29),\n"
    "# copyright (C) 1991 Mark Kantrowitz, additions by Bill Ross; LICENSE-names.txt is its README.\n"
)


def compile_names(nltk_data: Path, out: Path) -> list[Path]:
    """Write `first_names.tsv` and, as its licence asks, the corpus' README beside it; return their paths.

    Raises LookupError if the corpus is missing.
    """
    corpus = nltk_data / "corpora" / "names.zip"
    if not corpus.is_file():
        raise LookupError(f"{corpus} is missing; give NLTK's data with corpora/names.zip in it")
    with ZipFile(corpus) as files:
        male, female = ({name.strip().lower() for name in _lines(files, part)} - {""} for part in ("male", "female"))
        readme = files.read("names/README")
    rows = [f"{name}\t{'m' * (name in male)}{'f' * (name in female)}\n" for name in sorted(male | female)]
    path, licence = out / "first_names.tsv", out / "LICENSE-names.txt"
    path.write_text(HEADER + "".join(rows), encoding="utf-8")
    licence.write_bytes(readme)
    return [path, licence]


def _lines(files: ZipFile, part: str) -> list[str]:
    return files.read(f"names/{part}.txt").decode("utf-8").splitlines()
