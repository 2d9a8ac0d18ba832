"""What was found in a text, and why: every word with its features, every bond with its rule. For people and JSON."""

from collections.abc import Sequence

import numpy as np

from lexicons.features import names
from lexicons.upos import UPOS
from pipeline.records import KINDS, Bonds, Words

COLUMNS = ("#", "word", "lemma", "tag", "head", "relation", "features", "VerbNet classes")
GAP = "  "


def records(words: Words, bonds: Bonds) -> list[dict[str, object]]:
    """One JSON object a word; under `bonds` those whose query it is. Indices count the words of the document from 0."""
    index, head = words.index().tolist(), words.head.tolist()
    found: list[dict[str, object]] = [
        {
            "document": words.documents[words.document[row]],
            "sentence": int(words.sentence[row]),
            "index": index[row],
            "text": words.text[row],
            "start": int(words.start[row]),
            "end": int(words.end[row]),
            "lemma": words.lemma[row],
            "upos": UPOS[words.upos[row]],
            "feats": words.feats[row],
            "head": index[head[row]] if head[row] >= 0 else -1,
            "relation": words.relation[row],
            "features": list(names(int(words.features[row]))),
            "verb_class": words.verb_class[row].split(),
            "bonds": [],
        }
        for row in range(len(words))
    ]
    for query, key, kind, rule in _each(bonds):
        bond = {"kind": kind, "key": index[key], "word": words.text[key], "rule": rule}
        found[query]["bonds"].append(bond)  # type: ignore[attr-defined]
    return found


def bond_records(words: Words, bonds: Bonds) -> list[dict[str, object]]:
    """One JSON object a bond: the two words, their indices in the document from 0, kind and rule."""
    index = words.index().tolist()
    return [
        {
            "query": words.text[query],
            "key": words.text[key],
            "query_index": index[query],
            "key_index": index[key],
            "kind": kind,
            "rule": rule,
        }
        for query, key, kind, rule in _each(bonds)
    ]


def explain(words: Words, bonds: Bonds, text: str) -> str:
    """A plain table for the terminal, sentence by sentence: the text, its words, its bonds by kind.

    words, bonds: of one document; text: of that document. Ends with a newline; empty for a text without words.
    """
    first = words.sentence_first()
    blocks = []
    for begin in np.unique(first).tolist():
        rows = np.flatnonzero(first == begin).tolist()
        said = " ".join(text[words.start[begin] : words.end[rows[-1]]].split())
        blocks.append("\n".join([said, "", *_word_table(words, rows), *_bond_tables(words, bonds, rows)]))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _word_table(words: Words, rows: Sequence[int]) -> list[str]:
    cells, index = [COLUMNS], words.index().tolist()
    for row in rows:
        head = int(words.head[row])
        cells.append(
            (
                str(index[row] + 1),
                words.text[row],
                words.lemma[row],
                UPOS[words.upos[row]],
                words.text[head] if head >= 0 else "–",
                words.relation[row],
                " ".join(names(int(words.features[row]))),
                words.verb_class[row],
            )
        )
    return _aligned(cells)


def _bond_tables(words: Words, bonds: Bonds, rows: Sequence[int]) -> list[str]:
    """Under each kind's name its bonds whose query is in this sentence, every word with its number in the text."""
    said = [f"{text} {number + 1}" for text, number in zip(words.text.to_list(), words.index().tolist(), strict=True)]
    lines = []
    mine = [bond for bond in _each(bonds) if rows[0] <= bond[0] <= rows[-1]]
    for kind in KINDS:
        chosen = [(f"  {said[query]}", f"→ {said[key]}", rule) for query, key, one, rule in mine if one == kind]
        if chosen:
            lines += ["", f"{kind} ({len(chosen)})", *_aligned(chosen)]
    return lines


def _each(bonds: Bonds) -> list[tuple[int, int, str, str]]:
    kinds = [KINDS[kind] for kind in bonds.kind.tolist()]
    return list(zip(bonds.query.tolist(), bonds.key.tolist(), kinds, bonds.rule.to_list(), strict=True))


def _aligned(cells: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
