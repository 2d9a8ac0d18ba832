"""Words and bonds to Arrow tables and back. Arrays to arrays: no Python object a word."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lexicons.upos import UPOS
from pipeline.cache.schema import BONDS, WORDS
from pipeline.records import KINDS, Bonds, Strings, Words

Ints = NDArray[np.int32]


def words_table(words: Words) -> pa.Table:
    """One row a word, in the schema of the words layer."""
    first = document_first(words)
    columns = {
        "document": _named(words.document, words.documents),
        "sentence": words.sentence,
        "index": np.arange(len(words), dtype=np.int32) - first,
        "start": words.start,
        "end": words.end,
        "text": strings_array(words.text),
        "lemma": strings_array(words.lemma),
        "upos": _named(words.upos.astype(np.int32), UPOS),
        "feats": strings_array(words.feats),
        "head": np.where(words.head >= 0, words.head - np.arange(len(words)), 0).astype(np.int32),
        "relation": strings_array(words.relation),
        "features": words.features,
        "verb_class": strings_array(words.verb_class),
    }
    return pa.table(columns, schema=WORDS)


def words_of_table(table: pa.Table) -> Words:
    """The words of one row group. Documents without words are not among them: they left no row.

    Errors: ValueError if the columns do not agree with one another.
    """
    column = {name: table[name].combine_chunks() for name in WORDS.names}
    document = _strings(column["document"])
    index, head = column["index"].to_numpy(), column["head"].to_numpy()
    _check_words(document, index, head, *(column[name].to_numpy() for name in ("sentence", "start", "end")))
    return Words(
        documents=document.values,
        document=document.code,  # documents stand one after the other, so their codes never decrease
        upos=_tags(column["upos"], UPOS),
        head=np.where(head != 0, head + np.arange(len(head)), -1).astype(np.int32),
        text=_strings(column["text"]),
        lemma=_strings(column["lemma"]),
        feats=_strings(column["feats"]),
        relation=_strings(column["relation"]),
        verb_class=_strings(column["verb_class"]),
        sentence=column["sentence"].to_numpy(),
        start=column["start"].to_numpy(),
        end=column["end"].to_numpy(),
        features=column["features"].to_numpy(),
    )


def bonds_table(words: Words, bonds: Bonds) -> pa.Table:
    """One row a sentence, in the schema of the bonds layer; sentences without a bond have empty lists."""
    begin, sizes = sentences(words)
    sentence_of_word = np.repeat(np.arange(len(begin), dtype=np.int32), sizes)
    home = sentence_of_word[bonds.query]
    first = begin[home]
    # Bonds are sorted by query, hence by sentence: each row's list is a slice.
    offsets = pa.array(np.searchsorted(home, np.arange(len(begin) + 1)).astype(np.int32))
    kind = _named(bonds.kind.astype(np.int32), KINDS).cast(pa.string())
    rule = strings_array(bonds.rule).cast(pa.string())
    lists = {"query": pa.array(bonds.query - first), "key": pa.array(bonds.key - first), "kind": kind, "rule": rule}
    columns = {
        "document": _named(words.document[begin], words.documents),
        "sentence": words.sentence[begin],
        "first": begin - document_first(words)[begin],
        "words": sizes,
    } | {name: pa.ListArray.from_arrays(offsets, values) for name, values in lists.items()}
    return pa.table(columns, schema=BONDS)


def bonds_of_table(table: pa.Table) -> Bonds:
    """The bonds of one row group, as rows of the same row group of the words layer, in the order they were stored.

    Errors: ValueError if a list is longer than another, or a bond leaves its document.
    """
    lists = {name: table[name].combine_chunks() for name in ("query", "key", "kind", "rule")}
    sizes = table["words"].to_numpy()
    counts = lists["query"].value_lengths().to_numpy(zero_copy_only=False)
    lengths = [each.value_lengths().to_numpy(zero_copy_only=False) for each in lists.values()]
    _check(all(np.array_equal(each, counts) for each in lengths), "lists of one sentence differ in length")
    _check((sizes > 0).all() and sizes.sum(dtype=np.int64) < 2**31, "a sentence has no words, or too many")
    query, key = lists["query"].flatten().to_numpy(), lists["key"].flatten().to_numpy()
    begin = np.cumsum(sizes) - sizes  # every sentence of the row group has its row, so sizes add up to word rows
    before = table["first"].to_numpy()
    _check(not len(before) or before[0] == 0, "sentences are not in their order")
    opens = np.maximum.accumulate(np.where(before == 0, begin, -1))  # row of the first word of each row's document
    _check(np.array_equal(opens + before, begin), "sentences are not in their order")
    ends = np.append(begin[before == 0], sizes.sum())[np.cumsum(before == 0)]
    least, most = np.repeat(-before, counts), np.repeat(ends - begin, counts)
    inside = (query >= 0) & (query < np.repeat(sizes, counts)) & (key >= least) & (key < most)
    _check(inside.all(), "a bond leaves its document")
    first = np.repeat(begin, counts).astype(np.int32)
    return Bonds(
        query=query + first,
        key=key + first,
        kind=_tags(lists["kind"].flatten(), KINDS),
        rule=_strings(lists["rule"].flatten()),
    )


def _check_words(document: Strings, index: Ints, head: Ints, sentence: Ints, start: Ints, end: Ints) -> None:
    """Whether documents stand one after the other, each with its words counted from 0, heads and spans within it.

    head: words from a word to its head, 0 for a root.
    """
    opens = np.diff(document.code, prepend=-1) != 0
    expected = np.arange(len(index)) - np.maximum.accumulate(np.where(opens, np.arange(len(index)), 0))
    _check((np.diff(document.code) >= 0).all() and np.array_equal(index, expected), "words are not in their order")
    size = np.bincount(document.code, minlength=len(document.values))[document.code]
    _check(((index + head >= 0) & (index + head < size)).all(), "a head lies outside its document")
    climbs = np.where(opens, sentence, np.diff(sentence, prepend=0))
    _check((climbs >= 0).all(), "sentences are not in their order")
    _check(((start >= 0) & (start <= end)).all(), "a word ends before it starts")


def _check(well: bool | np.bool_, said: str) -> None:
    if not well:
        raise ValueError(said)


def sentences(words: Words) -> tuple[Ints, Ints]:
    """Row of each sentence's first word, and its number of words: int32 [S] each."""
    begin = np.unique(words.sentence_first()).astype(np.int32)
    return begin, np.diff(np.append(begin, len(words))).astype(np.int32)


def document_first(words: Words) -> Ints:
    """int32 [W]: row of the first word of each word's document."""
    return np.searchsorted(words.document, words.document, side="left").astype(np.int32)


def strings_array(column: Strings) -> pa.Array:
    """The column as an Arrow array of strings [W]."""
    return _named(column.code, column.values)


def _named(code: Ints, values: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(code), pa.array(values, pa.string())).cast(pa.string())


def _strings(column: pa.Array) -> Strings:
    array = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    return Strings(array.indices.to_numpy().astype(np.int32), tuple(array.dictionary.to_pylist()))


def _tags(column: pa.Array, table: tuple[str, ...]) -> NDArray[np.uint8]:
    """uint8 [W]: position of each string in the table."""
    strings = _strings(column)
    _check(
        set(strings.values) <= set(table), f"{sorted(set(strings.values) - set(table))[:1]} is none of the known names"
    )
    place = np.asarray([table.index(value) for value in strings.values], dtype=np.uint8)
    return place[strings.code] if len(strings) else np.empty(0, np.uint8)
