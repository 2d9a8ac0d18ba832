"""How much the lexicons know of running text, how fast they are there, and how large they are.

valency bench lexicons --conllu EWT-test.conllu --json data/results/lexicons.json

At the top: the coverage of the first treebank (`lexicons.compile.measure` says what counts), `load_seconds`, the median
of RUNS fresh processes from the import of this floor (numpy is there already) to one answer of every table, and
`bytes`, the size of the tables as they ship. Under `treebanks`: all that is measured on each file. Under `make`: how
often the rules for nouns that WordNet does not have are right about nouns that it has.
"""

import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lexicons.compile.measure import measure
from lexicons.compile.measure_make import measure_make
from lexicons.tables import table

RUNS = 7
REQUIRED = ("verbs_with_class", "nouns_with_feature", "pronouns_with_entry")
LOAD = """
import sys, time
import numpy as np
sys.path[:0] = sys.argv[1:]
start = time.perf_counter()
from lexicons import pronouns, taxonomy, upos, verbnet, wordnet
tag = np.array([upos.UPOS_INDEX["NOUN"]], dtype=np.uint8)
node = wordnet.nodes(["dog"], tag)
told = wordnet.semantic(["dog"], tag)[0], taxonomy.similarity(node, node)[0]
assert all(told) and verbnet.frames("give") and pronouns.pronoun("she") and upos.compatible().any()
print(time.perf_counter() - start)
"""
"""One answer of every table, timed in a process of its own."""


def bench_lexicons(treebanks: Sequence[Path]) -> dict[str, Any]:
    """Measure; treebanks: CoNLL-U files, the one that stands at the top first. Some 10 s a file of 25,000 words.

    Raises ValueError if no treebank is named, or if one is no file.
    """
    if not treebanks:
        raise ValueError("no treebank to measure on; name a CoNLL-U file with --conllu")
    for file in treebanks:
        if not file.is_file():
            raise ValueError(f"{file} is no file; name a CoNLL-U file with --conllu")
    measured = {file.stem: measure(file) for file in treebanks}
    first: dict[str, Any] = next(iter(measured.values()))
    seconds = [load_seconds() for _ in range(RUNS)]
    return {
        **{key: first["coverage"][key] for key in REQUIRED},
        "load_seconds": round(statistics.median(seconds), 4),
        "load_seconds_runs": [round(second, 4) for second in sorted(seconds)],
        "bytes": table_bytes(),
        "treebanks": measured,
        "make": measure_make(),
    }


def load_seconds() -> float:
    """Seconds until every table has answered, in a fresh process."""
    root = Path(__file__).resolve().parents[2]
    line = [sys.executable, "-P", "-c", LOAD, str(root)]
    return float(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


def table_bytes() -> int:
    """Bytes of all files of `lexicons/tables` but its code."""
    return sum(path.stat().st_size for path in table(".").iterdir() if path.is_file() and path.suffix != ".py")
