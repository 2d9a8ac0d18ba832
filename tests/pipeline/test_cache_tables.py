"""Words and bonds survive the way into Parquet and back."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.schema import BONDS, WORDS
from pipeline.cache.tables import bonds_of_table, bonds_table, words_of_table, words_table
from pipeline.records import KINDS, Bonds, Strings, Words, no_words
from tests.pipeline.sentences import documents_of, words_of

TWO = documents_of(
    ["She/PRON/2/nsubj slept/VERB/0/root"],
    ["Anna/PROPN/2/nsubj sang/VERB/0/root", "She/PRON/2/nsubj smiled/VERB/0/root then/ADV/2/advmod"],
)


def bonds(*each: tuple[int, int, str, str]) -> Bonds:
    query, key, kind, rule = zip(*each, strict=True) if each else ((), (), (), ())
    return Bonds(
        query=np.array(query, np.int32),
        key=np.array(key, np.int32),
        kind=np.array([KINDS.index(name) for name in kind], np.uint8),
        rule=Strings.of(rule),
    )


def same_words(one: Words, other: Words) -> bool:
    return one.documents == other.documents and words_table(one).equals(words_table(other))


def test_words_are_rows_with_heads_counted_from_themselves() -> None:
    rows = words_table(TWO).to_pylist()
    told = [(row["document"], row["sentence"], row["index"], row["text"], row["upos"], row["head"]) for row in rows]
    assert told == [
        ("d0", 0, 0, "She", "PRON", 1),
        ("d0", 0, 1, "slept", "VERB", 0),
        ("d1", 0, 0, "Anna", "PROPN", 1),
        ("d1", 0, 1, "sang", "VERB", 0),
        ("d1", 1, 2, "She", "PRON", 1),
        ("d1", 1, 3, "smiled", "VERB", 0),
        ("d1", 1, 4, "then", "ADV", -1),
    ]


def test_words_come_back(tmp_path: Path) -> None:
    pq.write_table(words_table(TWO), tmp_path / "words.parquet")
    back = words_of_table(pq.read_table(tmp_path / "words.parquet", read_dictionary=["text", "lemma", "document"]))
    assert same_words(back, TWO)
    assert back.head.tolist() == TWO.head.tolist()
    assert back.document.tolist() == TWO.document.tolist()


def test_bonds_are_rows_of_lists_counted_from_their_sentence() -> None:
    made = bonds((3, 2, "role", "sing Agent"), (4, 2, "binding", "pronoun"), (6, 5, "dependency", "advmod"))
    rows = bonds_table(TWO, made).to_pylist()
    assert [(row["document"], row["sentence"], row["first"], row["words"]) for row in rows] == [
        ("d0", 0, 0, 2),
        ("d1", 0, 0, 2),
        ("d1", 1, 2, 3),
    ]
    assert [list(zip(row["query"], row["key"], row["kind"], strict=True)) for row in rows] == [
        [],
        [(1, 0, "role")],
        [(0, -2, "binding"), (2, 1, "dependency")],  # negative: Anna stands in the sentence before
    ]


def test_no_words_and_no_bonds_are_empty_tables() -> None:
    assert words_table(no_words()).equals(WORDS.empty_table())
    assert bonds_table(no_words(), bonds()).equals(BONDS.empty_table())
    assert len(words_of_table(WORDS.empty_table())) == 0
    assert len(bonds_of_table(BONDS.empty_table())) == 0


@given(st.data())
def test_any_bonds_come_back(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=3))
    words = documents_of(*([" ".join(["w/NOUN/0/root"] * size) for size in document] for document in sizes))
    place = st.integers(0, len(words) - 1)
    bond = st.tuples(place, place, st.sampled_from(KINDS), st.sampled_from(["a", "b", "naïve [+x]"]))
    pairs = {(words.document[q], q, k, kind): rule for q, k, kind, rule in data.draw(st.lists(bond, max_size=12))}
    inside = sorted((q, k, kind, rule) for (d, q, k, kind), rule in pairs.items() if words.document[k] == d)
    made = bonds(*inside)
    back = bonds_of_table(pa.table(bonds_table(words, made)))
    assert back.query.tolist() == made.query.tolist()
    assert back.key.tolist() == made.key.tolist()
    assert back.kind.tolist() == made.kind.tolist()
    assert back.rule.to_list() == made.rule.to_list()


WRONG_WORDS = {
    "head": ([1, 9, 1, -1, 3, -1, 3], "a head lies outside"),
    "index": ([0, 1, 0, 1, 1, 3, 4], "words are not in their order"),
    "sentence": ([0, 0, 1, 0, 1, 1, 1], "sentences are not in their order"),
    "start": ([0, 4, 99, 5, 10, 14, 21], "ends before it starts"),
    "upos": (["NOUN", "NON"] + ["NOUN"] * 5, "'NON'"),
    "document": (["d1", "d1", "d0", "d0", "d0", "d0", "d1"], "words are not in their order"),
}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_words_that_do_not_agree_with_one_another_are_refused(name: str) -> None:
    values, said = WRONG_WORDS[name]
    table = words_table(TWO)
    place = table.schema.get_field_index(name)
    with pytest.raises(ValueError, match=said):
        words_of_table(table.set_column(place, name, pa.array(values, WORDS.field(name).type)))


WRONG_BONDS = {
    "query": ([[2], [], []], "leaves its document"),
    "key": ([[-1], [], []], "leaves its document"),
    "kind": ([["rule"], [], []], "'rule'"),
    "rule": ([[], [], []], "differ in length"),
    "words": ([2, 0, 5], "no words"),
    "first": ([0, 0, 1], "not in their order"),
}


@pytest.mark.parametrize("name", WRONG_BONDS)
def test_bonds_that_leave_their_document_are_refused(name: str) -> None:
    values, said = WRONG_BONDS[name]
    table = bonds_table(TWO, bonds((1, 0, "role", "r")))
    assert len(bonds_of_table(table)) == 1
    place = table.schema.get_field_index(name)
    with pytest.raises(ValueError, match=said):
        bonds_of_table(table.set_column(place, name, pa.array(values, BONDS.field(name).type)))


def test_strings_that_do_not_occur_leave_no_trace() -> None:
    longer = words_of("She/PRON/2/nsubj slept/VERB/0/root soundly/ADV/2/advmod")
    shorter = longer.with_columns(
        **{
            name: value.take(np.arange(2)) if isinstance(value, Strings) else value[:2]
            for name, value in ((name, getattr(longer, name)) for name in Words.__dataclass_fields__)
            if name != "documents"
        }
    )
    assert words_table(shorter).equals(words_table(words_of("She/PRON/2/nsubj slept/VERB/0/root")))
