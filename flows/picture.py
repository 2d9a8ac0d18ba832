"""`valency picture`: one text seen by a run's heads, beside its bonds, and the learning curves of runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flows.evaluate import text_model
from flows.overlap_pairs import words_of_pieces
from flows.pictures.attention import Looked, all_heads, beside_bonds, by_kinds, heads_by_kinds
from flows.pictures.curves import learning_curves
from flows.pictures.page import Shown, write_page
from model.attention.views import ViewsAttention
from model.batches import read_places
from model.context import Context
from model.evaluate.overlap import pairs_of_bonds, word_weights
from model.evaluate.overlap_weights import attention_weights
from model.evaluate.shares import gate_shares
from model.evaluate.text import TextModel
from model.run import load_result, load_run, read_curve
from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.corpus import Document
from pipeline.draw import arcs_svg
from pipeline.errors import Failure
from pipeline.parsers import load_parser
from pipeline.provenance import command
from pipeline.records import KINDS, Bonds, Words

MOST_WORDS = 60
"""Beyond it nobody can read the names of a picture's rows."""


def picture(runs: Sequence[Path], text: str | None, out: Path) -> list[Path]:
    """Write the page, with figures as SVG and PNG beside it; returns the files.

    runs: the first one's heads are shown on the text, if there is one; the curves of all stand side by side.
    Errors: ValueError for a text without words or with too many, or a run that is not finished.
    """
    shown = []
    if text is not None:
        words, bonds = parsed(text)
        drawn = arcs_svg(words, bonds)
        shown = [Shown("bonds", "The bonds of the text", "Arrows point to the word looked at.", drawn)]
        given = read_in(runs[0], text)
        mixed = shares_of(given)
        shown += maps_of(looked(given, text, words, bonds)) if mixed is None else [mixed]
    if (opened := gates_of(runs[0])) is not None:
        shown.append(
            Shown(
                name="gates",
                title="Gates",
                caption="What each kind of bond is worth to each head, as training left it: the weight of a pair that "
                "such a bond joins is multiplied by its gate. 1 is open.",
                figure=by_kinds(opened, KINDS, "gate", 1.0),
            )
        )
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run) for run in runs]
    curves = {name: read_curve(run) for name, run in zip(names, runs, strict=True)}
    if missing := [name for name, lines in curves.items() if not lines]:
        raise ValueError(f"{missing[0]} holds no curve of a training; name run directories")
    shown.append(
        Shown(
            name="curves",
            title="Learning curves",
            caption="Left: bits per byte of held-out documents while training. Right: the loss of training.",
            figure=learning_curves(curves),
        )
    )
    lead = f"“{' '.join(text.split())}” as {names[0]} reads it." if text else "What training did."
    return write_page(out, f"Inside {names[0]}", lead, shown, command=command())


class Given(NamedTuple):
    """A run's model, and a text as it takes it."""

    reader: TextModel
    ids: Tensor
    context: Context


def maps_of(seen: Looked) -> list[Shown]:
    """Attention over the text."""
    return [
        Shown(
            name="beside",
            title="Attention beside bonds",
            caption="Rows look at columns. The head is the one that gives most of its attention to bonded words.",
            figure=beside_bonds(seen),
        ),
        Shown(
            name="heads",
            title="All heads",
            caption="layer.head; dark: much attention; dots: bonds. Each map has a scale of its own.",
            figure=all_heads(seen),
        ),
        Shown(
            name="kinds",
            title="Heads and kinds",
            caption="The share of its attention that a word with bonds of a kind gives to them, mean over words. "
            "Kinds whose bonds are near get more of any head: `valency overlap` sets controls beside it.",
            figure=heads_by_kinds(seen),
        ),
    ]  # fmt: skip


def shares_of(given: Given) -> Shown | None:
    """What the gates of a run give to the patterns that they mix; None for a run without such gates."""
    found = gate_shares(given.reader.model, given.ids, given.context)
    if found is None:
        return None
    names, shares = found
    return Shown(
        name="shares",
        title="Shares of patterns",
        caption="What each head's gate gives to each sparse pattern, mean over the pieces of the text. Layers without "
        "a gate are left blank.",
        figure=by_kinds(shares.double().numpy(), names, "share", 1.0),
    )


def gates_of(run: Path) -> NDArray[np.float64] | None:
    """[layers, heads, kinds] between 0 and 1; None for a run without gates, or that is not finished."""
    if load_result(run) is None:
        return None
    attentions = [layer.attention for layer in load_run(run)[0].layers]
    gates = [each.terms.gates() if isinstance(each, ViewsAttention) else None for each in attentions]
    known = [each.double().numpy() for each in gates if each is not None]
    return np.stack(known) if len(known) == len(gates) else None


def parsed(text: str) -> tuple[Words, Bonds]:
    """The words and bonds of a text, by the shipped parser. Errors: ValueError without words, or with too many."""
    if not text.strip():
        raise ValueError("there are no words to look at; give a sentence in quotation marks")
    document = Document(id="text", source="text", split="train", language="en", text=text)
    words, failed = load_parser("spacy", None).parse([document])
    if failed:
        raise Failure(f"the parser gave the text up: {next(iter(failed.values()))}")
    if not 0 < len(words) <= MOST_WORDS:
        raise ValueError(f"a picture holds 1 to {MOST_WORDS} words, this text has {len(words)}; give a sentence or two")
    annotated = annotate(words)
    return annotated, bonds_of(annotated, BondConfig())


def looked(given: Given, text: str, words: Words, bonds: Bonds) -> Looked:
    """What all heads of a run do with a text. Errors: ValueError for a run whose layers are not all of views."""
    reader, ids, context = given
    of_piece = words_of_pieces(reader.tokenizer, text, words)[: ids.shape[1]]
    of_piece = np.where(of_piece < 0, len(words), of_piece)
    weights = [word_weights(each[0], of_piece, len(words))[0] for each in attention_weights(reader.model, ids, context)]
    kinds = [kind for kind in KINDS if (bonds.kind == KINDS.index(kind)).any()]
    return Looked(
        words=words.text.to_list(),
        weights=np.stack([each.double().numpy() for each in weights]),
        pairs={kind: pairs_of_bonds(*_of_kind(bonds, kind)) for kind in kinds},
    )


def read_in(run: Path, text: str) -> Given:
    """Errors: ValueError for more pieces than a row of training has."""
    reader, _ = text_model(run)
    split = reader.split([reader.ids(text)])
    pieces = int(split.pieces()[0]) - 1
    if pieces > reader.length:
        raise ValueError(f"the text takes {pieces} pieces, the run reads {reader.length}; give a shorter one")
    ids, context = read_places(split, np.zeros((1, pieces), np.int64), np.arange(pieces)[None])
    return Given(reader, ids, context)


def _of_kind(bonds: Bonds, kind: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    kept = bonds.kind == KINDS.index(kind)
    return bonds.query[kept], bonds.key[kept]
