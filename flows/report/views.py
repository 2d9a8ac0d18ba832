"""The masks that a report shows: what each view lets through on the first pieces of a held-out document."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.batches import read_places
from model.columns import PiecesLayer, Split, read_layer
from model.parse import parse
from model.views import evaluate, view_masks
from pipeline.cache import Cache
from pipeline.pieces import Tokenizer

PIECES = 44
CUT, ANCHOR, SEEN = 0, 1, 2


def masks_of(cache: Cache, views: Sequence[Sequence[str]]) -> tuple[dict[str, NDArray[np.uint8]], list[str]]:
    """uint8 [N,N] by distinct view (0 cut, 1 an anchor only, 2 seen by the view), and the N pieces to be read."""
    layer = read_layer(cache.folder)
    split, document, first = _crop(layer)
    pieces = min(int(split.pieces()[document]) - first, PIECES)
    ids, context = read_places(split, np.full((1, pieces), document), first + np.arange(pieces)[None])
    drawn: dict[str, NDArray[np.uint8]] = {}
    for view in (parse(text) for text in dict.fromkeys(each for several in views for each in several)):
        seen = view_masks([view], context)[0, 0].numpy()
        itself = np.broadcast_to(evaluate(view, context)[0].numpy(), seen.shape)
        drawn[str(view)] = np.where(seen, np.where(itself, SEEN, ANCHOR), CUT).astype(np.uint8)
    tokenizer = Tokenizer.load(layer.tokenizer)
    return drawn, [readable(tokenizer.piece_bytes[piece]) for piece in ids[0].tolist()]


def readable(piece: bytes) -> str:
    """A piece for a label: spaces and line breaks made visible; a part of a character as its bytes."""
    if not piece:
        return "◇"  # begin or end of a document: it adds nothing to the text
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return piece.hex(" ")
    return text.replace("\n", "↵").replace("\t", "→").replace(" ", "·").replace("$", r"\$")  # $ would begin mathtext


def _crop(layer: PiecesLayer) -> tuple[Split, int, int]:
    """Split, document and position of the held-out crop in which the most sentences begin: it shows what they do."""
    held_out = layer.splits["validation"]
    split = held_out if held_out.documents else layer.splits["train"]
    best, most = (0, 0), 0
    for document, begin in enumerate(split.offset[:-1].tolist()):
        starts = np.unique(split.columns["sentence_start"][begin : int(split.offset[document + 1])])
        begun = np.searchsorted(starts, starts + PIECES) - np.arange(len(starts))
        if begun.max() > most:
            best, most = (document, int(starts[begun.argmax()])), int(begun.max())
    return split, *best
