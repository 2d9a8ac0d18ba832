"""A corpus that lives on the device: what model.batches makes on the host, made there by a few array operations.

The host then has no part in a training step, and the step can be captured as a GPU graph. Letters: P pieces of the
corpus, S steps, B rows, N pieces of a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.batches import NO_TARGET, Batch, epoch_plan, evaluation_places
from model.columns import COLUMNS, Split
from model.context import NO_TAG, Context

ROWS = (*COLUMNS, "document", "position")
"""What `DeviceCorpus.table` holds of a piece, row by row."""
PADDING = -1
"""The source of a place that holds no piece."""


@dataclass(frozen=True, slots=True)
class DeviceCorpus:
    """All splits of a corpus, one after another."""

    table: Tensor
    """int32 [len(ROWS), P]."""
    begins: Mapping[str, int]
    """Where each split begins."""
    splits: Mapping[str, Split]


def to_device(splits: Mapping[str, Split], device: torch.device | str) -> DeviceCorpus:
    """Copy the splits there. Documents are numbered over all splits."""
    sizes = {name: int(split.offset[-1]) for name, split in splits.items()}
    ends = dict(zip(sizes, np.cumsum(list(sizes.values())), strict=True))
    pieces = np.concatenate([split.pieces() for split in splits.values()])
    rows = [np.concatenate([split.columns[name] for split in splits.values()]) for name in COLUMNS]
    rows.append(np.repeat(np.arange(len(pieces)), pieces))
    rows.append(np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces))
    table = torch.from_numpy(np.stack(rows).astype(np.int32)).to(device)
    return DeviceCorpus(table, {name: int(ends[name]) - sizes[name] for name in sizes}, splits)


def read(table: Tensor, source_BN: Tensor) -> Batch:
    """The batch whose place (b, n) holds piece `source` of the table; the twin of model.batches.gather."""
    valid_BN, at_BN = source_BN != PADDING, source_BN.clamp(min=0)
    column = dict(zip(ROWS, torch.where(valid_BN, table[:, at_BN], 0).long(), strict=True))
    next_piece_BN = table[0, torch.where(valid_BN, at_BN + 1, 0)].long()
    document_BN = torch.where(valid_BN, column["document"], -1)
    place = torch.arange(source_BN.shape[1], device=source_BN.device)
    context = Context(
        document=document_BN,
        sentence_start=place.expand_as(document_BN),
        first_word=torch.where(valid_BN, column["first_word"], -1),
        last_word=torch.where(valid_BN, column["last_word"], -1),
        closed_word=column["closed_word"],
        input_tag=torch.where(valid_BN, column["input_tag"], NO_TAG),
        key_tag=torch.where(valid_BN, column["key_tag"], NO_TAG),
    )
    in_row_BN = torch.maximum(place - column["position"] + column["sentence_start"], context.sequence_start())
    context = context._replace(sentence_start=torch.where(valid_BN, in_row_BN, place))
    return Batch(column["pieces"], torch.where(valid_BN, next_piece_BN, NO_TARGET), context)


def training_sources(corpus: DeviceCorpus, *, steps: int, rows: int, length: int, seed: int) -> Tensor:
    """int32 [S,B,N]: the batches that model.batches.TrainingRows gives under this seed, as pieces of the table."""
    split, device = corpus.splits["train"], corpus.table.device
    offset = torch.from_numpy(split.offset).to(device) + corpus.begins["train"]
    parts: list[Tensor] = []
    wanted, epoch = steps * rows, 0
    while wanted > 0:
        plan = epoch_plan(split, epoch, length=length, seed=seed)
        documents, ends, order = (
            torch.from_numpy(each).to(device) for each in (plan.documents, plan.ends, plan.order[:wanted])
        )
        stream = order[:, None] * length + torch.arange(length, device=device) - plan.shift
        inside = (stream >= 0) & (stream < ends[-1])
        which = torch.searchsorted(ends, torch.where(inside, stream, 0), right=True)
        begin = torch.cat([ends.new_zeros(1), ends[:-1]])[which]
        parts.append(torch.where(inside, offset[documents[which]] + stream - begin, PADDING).int())
        wanted, epoch = wanted - len(order), epoch + 1
    return torch.cat(parts).view(steps, rows, length)


def evaluation_sources(
    corpus: DeviceCorpus, name: str, *, rows: int, length: int, pieces: int | None = None
) -> tuple[Tensor, Tensor]:
    """int32 [batches,B,N]: the batches of model.batches.evaluation_batches, all of one shape; and int64 [batches,B]:
    the document of each row within its split, -1 for a row of padding."""
    split, begin = corpus.splits[name], corpus.begins[name]
    sources, documents = [], []
    for document_BN, position_BN in evaluation_places(split, rows=rows, length=length, pieces=pieces):
        B, N = document_BN.shape
        source = np.full((rows, length), PADDING, np.int32)
        source[:B, :N] = np.where(document_BN < 0, PADDING, split.offset[document_BN] + position_BN + begin)
        sources.append(source)
        documents.append(np.concatenate([document_BN[:, 0], np.full(rows - B, -1)]))
    empty = np.empty((0, rows, length), np.int32)
    stacked = np.stack(sources) if sources else empty
    owner = np.stack(documents) if documents else np.empty((0, rows), np.int64)
    return torch.from_numpy(stacked).to(corpus.table.device), torch.from_numpy(owner)
