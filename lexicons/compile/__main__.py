"""Compile the tables of this checkout: `python -m lexicons.compile NLTK_DATA EWT_TRAIN.conllu [OUT]`."""

import sys
from pathlib import Path

from lexicons.compile import compile_lexicons
from lexicons.tables import table

if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    folder = Path(sys.argv[3]) if len(sys.argv) == 4 else table(".")
    for path in compile_lexicons(Path(sys.argv[1]), Path(sys.argv[2]), folder):
        print(f"{path.stat().st_size:>9,} bytes  {path}")
