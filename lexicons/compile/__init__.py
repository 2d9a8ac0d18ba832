"""The compiler of `lexicons/tables`: WordNet 3.0, VerbNet 3.3 and a treebank in, a few megabytes of tables out.

Run `python -m lexicons.compile NLTK_DATA EWT_TRAIN.conllu` after a change here or in one of the hand-made tables
(`anchors.tsv`, `prepositions.tsv`, `pronouns.tsv`). The same inputs give the same bytes. NLTK is imported here alone.
"""

from pathlib import Path

from lexicons.compile.corpora import TaggedSenses, wordnet_3_0
from lexicons.compile.names import compile_names
from lexicons.compile.taxonomy import compile_taxonomy
from lexicons.compile.upos import compile_upos
from lexicons.compile.verbnet import compile_verbnet
from lexicons.compile.wordnet import compile_wordnet
from lexicons.tables import table


def compile_lexicons(nltk_data: Path, ewt_train: Path | None, out: Path) -> list[Path]:
    """Write every compiled table to the folder `out` and return their paths; about a minute on one core.

    nltk_data: the folder that holds `corpora/wordnet.zip`, `corpora/verbnet3.zip` and `corpora/names.zip`.
    ewt_train: CoNLL-U; the file that the tag matrix is estimated on. None: the matrix that ships is taken over.
    Raises LookupError (NLTK's) if a corpus is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    wordnet = wordnet_3_0(nltk_data)
    tagged = TaggedSenses(wordnet)
    node_of, taxonomy = compile_taxonomy(wordnet, tagged, out)
    return [
        *taxonomy,
        *compile_wordnet(wordnet, tagged, node_of, out),
        compile_verbnet(nltk_data, out),
        *compile_names(nltk_data, out),
        compile_upos(ewt_train, out) if ewt_train else _taken_over("upos.tsv", out),
    ]


def _taken_over(name: str, out: Path) -> Path:
    """A table that ships, copied to the folder `out`."""
    copy = out / name
    if copy.resolve() != table(name):
        copy.write_bytes(table(name).read_bytes())
    return copy
