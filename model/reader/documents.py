"""The documents of a split in the order of their ids, and where the pieces of each lie in the mapped copies."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.reader.mapped import Segment, mapped_files, segments
from pipeline.cache.layout import Cache
from pipeline.errors import Failure

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Documents of one split; D of them. A document lies in one segment, from end to end."""

    layer: str
    """Path of the pieces layer in the cache: it names all that made it."""
    documents: tuple[str, ...]
    """Ids, sorted: the order depends neither on shards nor on who wrote them."""
    segment: Ints
    """[D]: position in `segments`."""
    first_piece: Ints
    """[D]: where its pieces begin in the segment's columns."""
    size: Ints
    """[D]: number of its pieces, begin and end among them."""
    bytes: Ints
    """[D]: UTF-8 bytes of its text."""
    segments: tuple[Segment, ...]
    digest: str
    """Twelve hex digits over ids, sizes and the shards' bytes: documents with another digest are another stream."""

    def pieces(self) -> Ints:
        """[D]: number of pieces of each document."""
        return self.size

    @property
    def causal(self) -> bool:
        """Whether the layer is for causal models: its attributes come from the left-to-right annotator."""
        return "annotator=" in self.layer


def open_documents(folder: str | Path, split: str) -> Documents:
    """The documents of the cache's current pieces layer. Memory: some 100 bytes a document; pieces stay on disk.

    Errors: ValueError if the folder is no cache or has no pieces; Failure if a shard is damaged, or a document torn.
    """
    cache = Cache.open(folder)
    layer = cache.layer("pieces")
    held = [segment for file in mapped_files(cache, layer) for segment in segments(file)]
    found = [each for number, segment in enumerate(held) for each in _documents_of(segment, number, split)]
    found.sort()  # by id; no two are the same
    ids = tuple(name for name, *_ in found)
    columns: list[Ints] = list(np.array([numbers for _, *numbers in found], np.int64).reshape(-1, 4).T)
    names = ("segment", "first_piece", "size", "bytes")
    places = dict(zip(names, columns, strict=True))
    digest = _digest(ids, places["size"], held)
    return Documents(layer=layer, documents=ids, segments=tuple(held), digest=digest, **places)


def _digest(ids: tuple[str, ...], size: Ints, held: list[Segment]) -> str:
    said = {"documents": ids, "pieces": size.tolist(), "shards": list(dict.fromkeys(each.shard for each in held))}
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def _documents_of(segment: Segment, number: int, split: str) -> list[tuple[str, int, int, int, int]]:
    """(id, segment, first piece, pieces, bytes) of the segment's documents of a split."""
    batch = segment.batch
    name, block = batch.column("document").to_pylist(), batch.column("block").to_numpy()
    size, split_of = batch.column("document_pieces").to_numpy(), batch.column("split").to_pylist()
    bytes_ = batch.column("document_bytes").to_numpy()
    firsts = np.flatnonzero(block == 0)
    run = np.cumsum(block == 0) - 1
    for row, (number_of, which) in enumerate(zip(block.tolist(), run.tolist(), strict=True)):
        if which < 0 or name[row] != name[firsts[which]] or number_of != row - firsts[which]:
            raise _incomplete(name[row])
    begin, end = segment.offset[firsts], segment.offset[np.append(firsts[1:], len(block))[: len(firsts)]]
    for first, there in zip(firsts.tolist(), (end - begin).tolist(), strict=True):
        if size[first] != there:
            raise _incomplete(name[first])
    return [
        (name[first], number, int(segment.offset[first]), int(size[first]), int(bytes_[first]))
        for first in firsts.tolist()
        if split_of[first] == split
    ]


def _incomplete(document: str) -> Failure:
    return Failure(f"the pieces of {document} are incomplete; run `valency preprocess` on the cache again")
