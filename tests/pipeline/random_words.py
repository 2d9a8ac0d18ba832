"""Random documents for laws that hold for any text: trees without sense, brackets, quotations, breaks of lines."""

import numpy as np
from hypothesis import strategies as st

from lexicons.upos import UPOS_INDEX
from pipeline.records import Strings, Words

CELLS = (
    *(("the", "the", "DET"), ("old", "old", "ADJ"), ("king", "king", "NOUN"), ("books", "book", "NOUN")),
    *(("Mary", "mary", "PROPN"), ("she", "she", "PRON"), ("himself", "himself", "PRON"), ("his", "his", "PRON")),
    *(("it", "it", "PRON"), ("they", "they", "PRON"), ("gave", "give", "VERB"), ("puts", "put", "VERB")),
    *(
        ("saw", "see", "VERB"),
        ("was", "be", "AUX"),
        ("of", "of", "ADP"),
        ("to", "to", "PART"),
        ("that", "that", "SCONJ"),
    ),
    *(
        ("and", "and", "CCONJ"),
        ("very", "very", "ADV"),
        ("two", "two", "NUM"),
        ("(", "(", "PUNCT"),
        (")", ")", "PUNCT"),
    ),
    *(('"', '"', "PUNCT"), ("“", "“", "PUNCT"), ("”", "”", "PUNCT"), (".", ".", "PUNCT"), ("[", "[", "PUNCT")),
)
RELATIONS = (
    "nsubj",
    "obj",
    "iobj",
    "obl",
    "nmod",
    "conj",
    "xcomp",
    "ccomp",
    "advcl",
    "acl",
    "case",
    "nsubj:pass",
    "dep",
)
FEATS = ("", "Number=Sing", "Number=Plur", "Poss=Yes|PronType=Prs")


@st.composite
def sentence(draw: st.DrawFn, named: bool) -> list[tuple[str, str, str, int, str, str, int]]:
    """Form, lemma, tag, head (in the sentence, -1 for none), relation, features, space before."""
    size = draw(st.integers(1, 9))
    order = draw(st.permutations(range(size)))
    forest = draw(st.booleans())
    words = [None] * size
    for place, row in enumerate(order):
        head = order[draw(st.integers(0, place - 1))] if place else -1
        if forest and draw(st.integers(0, 3)) == 0:
            head = -1
        relation = "root" if head < 0 else draw(st.sampled_from(RELATIONS)) if named else "dep"
        space = draw(st.sampled_from((1, 1, 1, 1, 0, 2)))
        words[row] = (*draw(st.sampled_from(CELLS)), head, relation, draw(st.sampled_from(FEATS)), space)  # type: ignore[call-overload]
    return words  # type: ignore[return-value]


def documents(named: bool = True) -> st.SearchStrategy[list[list[list[tuple[str, str, str, int, str, str, int]]]]]:
    """Documents of sentences; named: with names of relations, else all are `dep`, as the prefix parser gives them."""
    return st.lists(st.lists(sentence(named), min_size=1, max_size=5), min_size=1, max_size=3)


def words_of_cells(texts: list[list[list[tuple[str, str, str, int, str, str, int]]]]) -> Words:
    """Columns of such documents; not annotated."""
    flat, document, number, head, start, end = [], [], [], [], [], []
    for which, sentences in enumerate(texts):
        place = 0
        for count, cells in enumerate(sentences):
            first = len(flat)
            for cell in cells:
                place += cell[6]
                document.append(which)
                number.append(count)
                head.append(cell[3] + first if cell[3] >= 0 else -1)
                start.append(place)
                place += len(cell[0])
                end.append(place)
                flat.append(cell)
    ints = {"document": document, "sentence": number, "head": head, "start": start, "end": end}
    return Words(
        documents=tuple(f"d{which}" for which in range(len(texts))),
        text=Strings.of(cell[0] for cell in flat),
        lemma=Strings.of(cell[1] for cell in flat),
        upos=np.array([UPOS_INDEX[cell[2]] for cell in flat], dtype=np.uint8),
        relation=Strings.of(cell[4] for cell in flat),
        feats=Strings.of(cell[5] for cell in flat),
        features=np.zeros(len(flat), np.uint64),
        verb_class=Strings.of([""] * len(flat)),
        **{name: np.array(values, dtype=np.int32) for name, values in ints.items()},
    )


def cut(words: Words, size: int) -> Words:
    """What a left-to-right parser says of the first words: arcs to later ones have not come."""
    rows = np.arange(size)
    strings = {name: getattr(words, name).take(rows) for name in ("text", "lemma", "feats", "verb_class")}
    numbers = {
        name: getattr(words, name)[:size] for name in ("document", "sentence", "start", "end", "upos", "features")
    }
    head = np.where(words.head[:size] < size, words.head[:size], -1).astype(np.int32)
    said = zip(head.tolist(), words.relation.to_list()[:size], strict=True)
    relation = Strings.of("root" if up < 0 else each for up, each in said)
    return words.with_columns(head=head, relation=relation, **strings, **numbers)
