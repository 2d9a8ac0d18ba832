"""The columns of every layer, as Arrow schemas.

Strings that repeat are plain strings here: Parquet keeps a dictionary of them by itself, in the order in which they
come, so that the bytes depend on nothing else. Readers ask for the dictionaries with `read_dictionary`.
"""

import pyarrow as pa

from pipeline.records import KINDS

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("language", pa.string()),
        ("sha256", pa.string()),  # of the text as UTF-8; empty for what could not be read
        ("characters", pa.int64()),
        ("bytes", pa.int64()),
        ("text", pa.large_string()),
        ("status", pa.string()),  # ok | quarantined
        ("reason", pa.string()),
    ]
)

WORDS = pa.schema(
    [
        ("document", pa.string()),
        ("sentence", pa.int32()),  # of the document, from 0
        ("index", pa.int32()),  # in the document, from 0
        ("start", pa.int32()),  # characters, in the document
        ("end", pa.int32()),
        ("text", pa.string()),
        ("lemma", pa.string()),
        ("upos", pa.string()),
        ("feats", pa.string()),
        ("head", pa.int32()),  # words from this one to its head, 0 for a root: the head's index is index + head
        ("relation", pa.string()),
        ("features", pa.uint64()),  # bits of lexicons.features.FEATURES
        ("verb_class", pa.string()),
    ]
)

BONDS = pa.schema(  # one row a sentence; a bond stands with the sentence of its query
    [
        ("document", pa.string()),
        ("sentence", pa.int32()),
        ("first", pa.int32()),  # index in the document of the sentence's first word
        ("words", pa.int32()),
        ("query", pa.list_(pa.int32())),  # counted from `first`
        ("key", pa.list_(pa.int32())),  # counted from `first`; negative: in an earlier sentence
        ("kind", pa.list_(pa.string())),
        ("rule", pa.list_(pa.string())),
    ]
)

PIECES = pa.schema(  # one row a block of 4,096 pieces of a document; all positions count pieces of the document from 0
    [
        ("document", pa.string()),
        ("split", pa.string()),
        ("block", pa.int32()),
        ("start", pa.int32()),
        ("document_pieces", pa.int32()),
        ("document_bytes", pa.int64()),
        ("pieces", pa.list_(pa.int32())),
        ("first_word", pa.list_(pa.int32())),
        ("last_word", pa.list_(pa.int32())),
        ("closed_word", pa.list_(pa.int32())),
        ("sentence_start", pa.list_(pa.int32())),
        ("input_tag", pa.list_(pa.uint8())),
        ("key_tag", pa.list_(pa.uint8())),
        ("state", pa.string()),  # JSON: the annotator's state before the block's first piece
    ]
)

PIECES_WITH_BONDS = pa.schema(
    [
        *PIECES,
        # Words that a query of the block may ask for, from `first_listed` on, and their bonds, end to end.
        ("first_listed", pa.int32()),
        ("bond_count", pa.list_(pa.int32())),
        ("bond_step", pa.list_(pa.int32())),  # 2n - 1: the key stands n words before its query; 2n: n words after it
        ("bond_kind", pa.list_(pa.uint8())),  # position in pipeline.records.KINDS
    ]
)

KIND_COUNTS = [(kind, pa.int32()) for kind in KINDS]
"""Bonds of each kind."""

STATS = {
    "documents": pa.schema(
        [
            ("document", pa.string()),
            ("source", pa.string()),
            ("split", pa.string()),
            ("language", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
            ("characters", pa.int64()),
            ("bytes", pa.int64()),
            ("sentences", pa.int32()),
            ("words", pa.int32()),
            *KIND_COUNTS,
        ]
    ),
    "sentences": pa.schema(
        [("document", pa.string()), ("sentence", pa.int32()), ("words", pa.int32()), *KIND_COUNTS],
    ),
    # Histograms of a shard, one row a bin. What `measure` is decides what `value`, `query`, `key` and `rule` say:
    #   span: value = words from query to key, positive when the key stands before    reach: value = sentences between
    #   degree: value = bonds at a word, counted at both ends; kind `any` = all kinds, words without a bond included
    #   tags: query and key are UPOS tags                                              rule: rule is the bond's rule
    #   verb: rule is a lemma, count its occurrences as a verb that VerbNet knows
    #   filled: count of role bonds of the verb `rule` whose role is `key`; 0 for roles that its classes grant in vain
    "counts": pa.schema(
        [
            ("measure", pa.string()),
            ("kind", pa.string()),
            ("value", pa.int32()),
            ("query", pa.string()),
            ("key", pa.string()),
            ("rule", pa.string()),
            ("count", pa.int64()),
        ]
    ),
}
