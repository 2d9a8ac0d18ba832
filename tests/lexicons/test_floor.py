"""The floor as a whole: light, quick to load, and with a digest that its tables decide."""

import subprocess
import sys
import time
from pathlib import Path

import lexicons
from lexicons import tables_digest

ROOT = Path(lexicons.__file__).resolve().parents[1]
USE = """
import sys, numpy as np
from lexicons import features, pronouns, restriction, taxonomy, upos, verbnet, wordnet
tag = np.array([upos.UPOS_INDEX["NOUN"]], dtype=np.uint8)
assert wordnet.semantic(["dog"], tag)[0] and verbnet.frames("give") and pronouns.pronoun("she")
assert taxonomy.similarity(wordnet.nodes(["dog"], tag), wordnet.nodes(["cat"], tag))[0] > 0
assert upos.compatible().any()
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_using_the_floor_loads_no_heavy_library_and_no_higher_floor() -> None:
    run = subprocess.run([sys.executable, "-c", USE], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {"lexicons", "numpy"} <= loaded
    assert not loaded & {"torch", "prefect", "nltk", "spacy", "duckdb", "pyarrow", "pipeline", "model", "flows"}


def test_the_digest_is_twelve_hex_digits_and_cheap() -> None:
    tables_digest.digest.cache_clear()
    start = time.perf_counter()
    said = lexicons.digest()
    assert time.perf_counter() - start < 0.5  # some 10 ms; the margin is for a busy machine
    assert len(said) == 12
    assert int(said, 16) >= 0


def test_no_table_is_a_pickle_and_all_fit_into_eight_megabytes() -> None:
    files = [path for path in (ROOT / "lexicons" / "tables").iterdir() if path.is_file() and path.suffix != ".py"]
    assert {path.suffix for path in files} <= {".npy", ".tsv", ".txt", ".json"}
    assert sum(path.stat().st_size for path in files) < 8 * 2**20
