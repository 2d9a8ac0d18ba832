"""What a layer is told besides its input: one immutable record of attributes a piece, the same for every mechanism.

A new mechanism reads what it needs and never changes its callers. Letters: B rows, N pieces of a row.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lexicons.upos import UPOS

NO_TAG = len(UPOS)
"""17, the tag of a piece that holds no word character; those of words come before it."""
TAGS = NO_TAG + 1


class BondLists(NamedTuple):
    """Keys that bonds give to each piece, as compressed sparse rows; E of them in all rows together."""

    begin: Tensor
    """int32 [B,N]: the keys of query (b, t) are `key[begin[b, t]:end[b, t]]`; all queries of a word share theirs."""
    end: Tensor
    """int32 [B,N]"""
    key: Tensor
    """int32 [E]: place of a piece in the query's row. A pair stands once for each bond that joins it."""
    kind: Tensor
    """uint8 [E]: position in pipeline.records.KINDS."""

    def to(self, device: torch.device | str) -> "BondLists":
        return BondLists(*(part.to(device) for part in self))


class Facts(NamedTuple):
    """What the compatibility score (pipeline.compatibility) asks of a piece as a query and as a key."""

    query_features: Tensor
    """int64 [B,N]: bits of lexicons.features; so with the keys'."""
    query_selects: Tensor
    """int64 [B,N]: row of `selection`, 0 for what is no verb."""
    query_fills: Tensor
    """int64 [B,N]: column of `selection`, 0 where nothing is known."""
    key_features: Tensor
    key_selects: Tensor
    key_fills: Tensor
    selection: Tensor
    """int8 [S,F]: 1, 0 or -1, how the noun fits what the verb asks for."""

    def to(self, device: torch.device | str) -> "Facts":
        return Facts(*(part.to(device) for part in self))


class Context(NamedTuple):
    """Attributes of the pieces of B rows. A row is a sequence (one document, or a crop of it) or several packed.

    A tuple with names and not a dataclass: wrappers of a model that walk its inputs (precision, devices) know tuples.
    Every attribute at piece t is a function of the pieces <= t of its document, `key_tag` alone excepted: the full
    tag of a word may be read only by queries for which the word is closed (`Context.seen_tag`).
    """

    document: Tensor
    """int64 [B,N]: whose piece this is; -1 is padding. Nothing crosses from one document to another."""
    sentence_start: Tensor
    """int64 [B,N]: row position where the piece's sentence begins, as known at the piece; not before its sequence."""
    first_word: Tensor
    """int64 [B,N]: index in the document of the first word with a character in the piece; -1 before any word."""
    last_word: Tensor
    """int64 [B,N]: index of the last such word; for a piece without word characters, of the last word begun."""
    closed_word: Tensor
    """int64 [B,N]: word w is closed at the piece iff w < closed_word; never decreasing in a document."""
    input_tag: Tensor
    """int64 [B,N]: tag of last_word by the string so far."""
    key_tag: Tensor
    """int64 [B,N]: tag of last_word once it is closed."""
    causal: bool = True
    """Whether a piece may read earlier pieces only."""
    bonds: BondLists | None = None
    """Keys by sparse bonds; None where nobody looks through them."""
    facts: Facts | None = None
    """What scores are made of; None where nobody asks for them."""
    biases: Mapping[str, Tensor] = MappingProxyType({})
    """What is added to attention's scores, [B,H or 1,N,N], by what the heads see: made once a batch for all layers."""
    opened: Tensor | None = None
    """No dimension, 0 to 1: how far views are open on the way to a model without them (model.scaffold). None: not at
    all, and nothing is computed for it."""
    plans: Mapping[str, Any] = MappingProxyType({})
    """How heads are computed, by what they see: a mechanism's own, made once a batch for all layers, on one device."""

    def valid(self) -> Tensor:
        """bool [B,N]: which places hold a piece."""
        return self.document >= 0

    def sequence_start(self) -> Tensor:
        """int64 [B,N]: row position where the piece's sequence (its document or crop of it) begins in the row."""
        place = torch.arange(self.document.shape[1], device=self.document.device)
        begins = torch.ones_like(self.document, dtype=torch.bool)
        begins[:, 1:] = self.document[:, 1:] != self.document[:, :-1]
        return torch.where(begins, place, 0).cummax(dim=1).values

    def seen_tag(self) -> Tensor:
        """int64 [B,N,N]: the tag of key s as query t may know it: the full tag once its word is closed at t."""
        closed = self.last_word[:, None, :] < self.closed_word[:, :, None]
        return torch.where(closed, self.key_tag[:, None, :], self.input_tag[:, None, :])

    def to(self, device: torch.device | str) -> "Context":
        """The same attributes on another device."""
        moved = {name: getattr(self, name).to(device) for name in PER_PIECE}
        biases = {look: bias.to(device) for look, bias in self.biases.items()}
        bonds, facts = self.bonds and self.bonds.to(device), self.facts and self.facts.to(device)
        opened = None if self.opened is None else self.opened.to(device)
        return self._replace(**moved, bonds=bonds, facts=facts, opened=opened, biases=biases, plans={})


PER_PIECE = ("document", "sentence_start", "first_word", "last_word", "closed_word", "input_tag", "key_tag")
"""The fields of a context that have an entry a piece."""
