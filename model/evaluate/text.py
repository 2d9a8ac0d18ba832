"""How well a run predicts any text, in units that compare runs of different tokenizers.

The fixed unit is the nat a byte: the nats of all pieces of a document, its end included, over the UTF-8 bytes of its
text. Neither depends on how the text was cut. All the rest follows from it:

    bits per byte                  = nats per byte / ln 2
    perplexity per piece           = exp(nats / pieces)        pieces of the run's own tokenizer, an end a document
    perplexity per word            = exp(nats / words)         words between spaces, and an end a document (as the
                                                               `<eos>` of word-level corpora is counted)
    perplexity on the fixed pieces = exp(nats / fixed pieces)  pieces that the shipped tokenizer makes of the same text,
                                                               an end a document

So the last two are what a model over words, or over the shipped pieces, would need to have to say the same text in as
many nats: a unit of account, not a second prediction. A run over the shipped tokenizer has the same perplexity per
piece and on the fixed pieces.

A text is annotated by the run's own annotator, piece-causally, as a document of its own; what is longer than a row of
training is cut into rows, whose first pieces then have little context. Letters: D documents, B rows, N pieces, M width.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.batches import NO_TARGET, Batch, evaluation_places, gather, read_places
from model.columns import ATTRIBUTES, Split, split_of
from model.context import NO_TAG
from model.evaluate.intervals import ratio_interval
from model.evaluate.leak import Annotator, known_of
from model.masked import mask_piece
from model.transformer import Decoder
from model.whole import whole_split
from pipeline.pieces import Tokenizer
from pipeline.prefix import Attributes

Floats = NDArray[np.float64]
Ids = NDArray[np.int32]

PLACES = 4_096
"""Places of a batch: its logits over 8,192 pieces take 128 MiB."""
TOGETHER = 65_536
"""Pieces annotated in one call: calls cost a millisecond and a half each, and test suites are of short sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextModel:
    """A run and all that it needs to read new text."""

    model: Decoder
    """In evaluation mode."""
    tokenizer: Tokenizer
    annotator: Annotator
    """With bonds (model.bond_reader.Bonded) if the model reads them."""
    length: int
    """Pieces of a row, as in training."""
    leaky: bool = False
    """Whether every piece is told the tag of its whole word, as the recipe wants it."""
    objective: str = "causal"
    """As in the model's configuration; what is no name in NATS says nothing of how likely a text is."""
    device: str = "cpu"

    def ids(self, text: str) -> Ids:
        """int32 [N]: begin, the text's pieces, end."""
        return self.tokenizer.document(text)

    def split(self, documents: Sequence[Ids]) -> Split:
        """Documents, annotated, under their numbers as names."""
        annotated = annotate_all(self.annotator, documents, self.tokenizer.begin)
        known = [known_of(self.annotator, ids) for ids in documents] if self.model.config.reads_words() else []
        split = split_of(
            {str(number): pair for number, pair in enumerate(zip(documents, annotated, strict=True))},
            [each for each in known if each is not None],
        )
        if self.objective != "causal":
            return whole_split(split)
        return split.with_whole_word_tags() if self.leaky else split

    def nats(self, documents: Sequence[Ids]) -> list[Floats]:
        """Of each document [N - 1]: the nats of every piece after the first. Errors: ValueError for its objective."""
        if self.objective not in NATS:
            raise ValueError(
                f"a model of the objective {self.objective!r} does not say how likely a text is; give a run of "
                f"{' or '.join(NATS)}"
            )
        return NATS[self.objective](self, documents)

    def means(self, documents: Sequence[Ids]) -> Floats:
        """[D,M]: mean hidden state of each document's pieces but the end, rows of `length` pieces read alone."""
        split = self.split(documents)
        total = np.zeros((len(documents), self.model.config.dim))
        for batch, document_BN, _ in batches(split, self.length, self.device):
            with torch.no_grad():
                hidden_BNM = self.model.hidden(batch.ids, batch.context).double()
            inside = document_BN >= 0
            np.add.at(total, document_BN[inside], hidden_BNM.cpu().numpy()[inside])
        return total / np.maximum(split.pieces() - 1, 1)[:, None]


def annotate_all(annotator: Annotator, documents: Sequence[Ids], begin_piece: int) -> list[Attributes]:
    """What `annotator.annotate` says of each document, many documents in a call.

    A document's begin ends whatever stood before it, so that documents in a row disturb one another nowhere but in
    pieces before a document's first word, which know of no sentence and no tag and are set right here. Documents
    without a begin, as crops are, are annotated one by one.
    """
    if not all(len(ids) and ids[0] == begin_piece for ids in documents):
        return [annotator.annotate(ids) for ids in documents]
    found: list[Attributes] = []
    sizes = np.array([len(each) for each in documents])
    parts = np.split(np.arange(len(documents)), np.flatnonzero(np.diff(np.cumsum(sizes) // TOGETHER)) + 1)
    for part in (part for part in parts if len(part)):
        whole = annotator.annotate(np.concatenate([documents[number] for number in part]))
        offset = np.cumsum([0, *sizes[part]])
        for begin, end in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True):
            words = int(whole.closed_word[begin])
            column = {name: getattr(whole, name)[begin:end] for name in ATTRIBUTES}
            column |= {name: column[name] - words for name in ("first_word", "last_word", "closed_word")}
            # begin itself belongs to no word: what it carries over is of the document before
            column["first_word"] = np.maximum(column["first_word"], -1)
            wordless = column["last_word"] < 0
            column["sentence_start"] = np.where(wordless, 0, column["sentence_start"] - begin).astype(np.int32)
            column["key_tag"] = np.where(wordless, NO_TAG, column["key_tag"]).astype(np.uint8)
            found.append(Attributes(**column))
    return found


def batches(split: Split, length: int, device: str) -> Iterator[tuple[Batch, NDArray[np.int64], NDArray[np.int64]]]:
    """Batches in which every piece but begin is a target once, and the document and position of each place [B,N]."""
    longest = int((split.pieces() - 1).max(initial=1))
    rows = max(1, PLACES // min(length, longest))
    for document_BN, position_BN in evaluation_places(split, rows=rows, length=length):
        yield gather(split, document_BN, position_BN).to(device), document_BN, position_BN


def causal_nats(text: TextModel, documents: Sequence[Ids]) -> list[Floats]:
    """Nats of each piece given those before it."""
    return split_nats(text, text.split(documents))


def split_nats(text: TextModel, split: Split) -> list[Floats]:
    """The same for documents that are annotated already, as those of a cache are."""
    found = np.zeros(int(split.offset[-1]))
    for batch, document_BN, position_BN in batches(split, text.length, text.device):
        with torch.no_grad():
            nats_BN = place_nats(text.model(batch.ids, batch.context), batch.targets).cpu().numpy()
        inside = document_BN >= 0
        found[split.offset[document_BN[inside]] + position_BN[inside]] = nats_BN[inside]
    return [found[begin : end - 1] for begin, end in zip(split.offset[:-1], split.offset[1:], strict=True)]


def place_nats(logits_BNV: Tensor, targets_BN: Tensor) -> Tensor:
    """[B,N]: nats of each target, in 32 bits or more; 0 where there is none."""
    logits = logits_BNV.flatten(0, 1).to(torch.promote_types(logits_BNV.dtype, torch.float32))
    nats = functional.cross_entropy(logits, targets_BN.flatten(), ignore_index=NO_TARGET, reduction="none")
    return nats.view(targets_BN.shape)


def masked_nats(text: TextModel, documents: Sequence[Ids]) -> list[Floats]:
    """Nats of each piece given all others, each hidden by itself (pseudo-log-likelihood, Salazar et al. 2020).

    0 for the end. Their sum ranks texts; it is the length of no code. Cost: a text of N pieces is read N times.
    """
    hidden, tokenizer = mask_piece(text.tokenizer), text.tokenizer
    found = [np.zeros(len(ids) - 1) for ids in documents]
    for ids, nats in zip(documents, found, strict=True):
        for first in range(0, len(ids) - 1, text.length):
            crop = ids[first : min(first + text.length, len(ids) - 1)]
            asked = np.flatnonzero((crop != tokenizer.begin) & (crop != tokenizer.end))
            for some in np.split(asked, range(max(1, PLACES // len(crop)), len(asked), max(1, PLACES // len(crop)))):
                if len(some):
                    nats[first + some - 1] = _hidden_nats(text, crop, some, hidden)
    return found


def _hidden_nats(text: TextModel, crop: Ids, asked: NDArray[np.int64], hidden: int) -> Floats:
    """[A]: nats of the pieces at these places of a crop, of which each row hides one."""
    seen_AN = np.repeat(crop[None], len(asked), axis=0)
    seen_AN[np.arange(len(asked)), asked] = hidden
    # Annotated after hiding, so that no attribute knows what is hidden (law 1); the end closes the last word.
    split = text.split([np.append(row, text.tokenizer.end).astype(np.int32) for row in seen_AN])
    row_AN = np.repeat(np.arange(len(asked))[:, None], len(crop), axis=1)
    ids, context = read_places(split, row_AN, np.repeat(np.arange(len(crop))[None], len(asked), axis=0))
    targets_AN = np.full(seen_AN.shape, NO_TARGET, np.int64)
    targets_AN[np.arange(len(asked)), asked] = crop[asked]
    batch = Batch(ids, torch.from_numpy(targets_AN), context).to(text.device)
    with torch.no_grad():
        nats_AN = place_nats(text.model(batch.ids, batch.context), batch.targets)
    return nats_AN.sum(1).double().cpu().numpy()


NATS: dict[str, Callable[[TextModel, Sequence[Ids]], list[Floats]]] = {"causal": causal_nats, "masked": masked_nats}
"""By objective: what says the nats of pieces. It is handed bare ids, never attributes: one that masks pieces annotates
what is left after masking, so that nothing of a hidden piece can reach the model (law 1, masked objectives)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the texts of D documents hold, [D] each; an end a document is counted as a piece and as a word."""

    bytes: Floats
    words: Floats
    fixed_pieces: Floats


def counted(texts: Sequence[str], fixed: Tokenizer) -> Counted:
    """fixed: the tokenizer that all runs are measured on, the shipped one."""
    return Counted(
        bytes=np.array([len(text.encode()) for text in texts], float),
        words=np.array([len(text.split()) + 1 for text in texts], float),
        fixed_pieces=np.array([len(fixed.encode(text)) + 1 for text in texts], float),
    )


def text_scores(nats: Sequence[Floats], count: Counted) -> dict[str, object]:
    """All units of one text; with an interval for the bits per byte if there are several documents.

    Errors: ValueError for a text without bytes.
    """
    total, size = sum(float(each.sum()) for each in nats), int(count.bytes.sum())
    if not size:
        raise ValueError("there is no text to score; give a file that holds some")
    scores: dict[str, object] = {
        "documents": len(nats),
        "bytes": size,
        "pieces": sum(map(len, nats)),
        "words": int(count.words.sum()),
        "fixed_pieces": int(count.fixed_pieces.sum()),
        "nats_per_byte": total / size,
        "bits_per_byte": total / size / math.log(2),
        "perplexity_per_piece": math.exp(total / sum(map(len, nats))),
        "perplexity_per_word": perplexity(total / count.words.sum()),
        "perplexity_on_fixed_pieces": perplexity(total / count.fixed_pieces.sum()),
    }
    if len(nats) > 1:
        each = np.array([[values.sum()] for values in nats])
        low, high = ratio_interval(each, count.bytes[:, None] * math.log(2))
        scores |= {"bits_per_byte_low": float(low[0]), "bits_per_byte_high": float(high[0])}
    return scores


def perplexity(nats: float) -> float | None:
    """exp; None where no float holds it, as for a model that knows nothing of long words: JSON has no infinity."""
    return math.exp(nats) if nats < 700 else None
