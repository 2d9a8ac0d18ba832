"""Batches of sequences for rank r of w, by any number of worker processes, to be left and come back to at any place.

    loader = Loader(Sequences(cache, length=1024, seed=0), rows=8, rank=0, world=2, workers=4)
    for batch in loader: …
    state = loader.state_dict()        # at any time: after the last batch that was given out
    loader.load_state_dict(state)      # the next batch is the one that would have come; workers may be others

The manner is that of torchdata's StatefulDataLoader; but here a place in the stream is all the state there is, so that
the number of workers, and of ranks while rows times ranks stay, may change, and coming back skips nothing. Letters: B
rows of a batch, N pieces of a row, E keys of all rows, Q blocks of queries of a row, K blocks of keys of all rows.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.batches import Batch
from model.context import Context
from model.reader.lists import block_lists
from model.reader.sequences import Sequences

Place = tuple[int, int]
"""Epoch, and position in it."""
ATTRIBUTES = ("document", "sentence_start", "first_word", "last_word", "closed_word", "input_tag", "key_tag")


class SequenceBatch(NamedTuple):
    """B sequences as tensors."""

    ids: Tensor
    """int64 [B,N]; so are the targets and all attributes."""
    targets: Tensor
    attributes: dict[str, Tensor]
    begin: Tensor
    """int32 [B,N]: the keys of query (b, t) by bonds are `key[begin[b, t]:end[b, t]]`."""
    end: Tensor
    key: Tensor
    """int32 [E]: place in the query's row."""
    kind: Tensor
    """uint8 [E]: position in pipeline.records.KINDS."""
    block_begin: Tensor
    """int32 [B,Q+1]: row b's block q of queries sees the blocks `block_key[block_begin[b, q]:block_begin[b, q + 1]]` of
    keys. Empty where no kinds were asked for."""
    block_key: Tensor
    """int32 [K]"""
    causal: bool

    def batch(self) -> Batch:
        """What a model takes."""
        context = Context(causal=self.causal, **self.attributes)  # type: ignore[arg-type]
        return Batch(self.ids, self.targets, context)


@dataclass(frozen=True, slots=True)
class Batches(Dataset[SequenceBatch]):
    """Lists of places to batches: what a worker process holds."""

    sequences: Sequences
    block_kinds: tuple[str, ...]

    def __getitem__(self, places: Sequence[Place]) -> SequenceBatch:
        found = [self.sequences[place] for place in places]

        def stacked(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(each, name) for each in found]).astype(np.int64))

        keys = np.cumsum([0, *(len(each.lists.key) for each in found)], dtype=np.int32)
        blocks = [block_lists(each.lists, self.block_kinds) for each in found] if self.block_kinds else []
        block_keys = np.cumsum([0, *(len(each.key) for each in blocks)], dtype=np.int32)
        block_begin = [each.begin + first for each, first in zip(blocks, block_keys, strict=False)]
        return SequenceBatch(
            ids=stacked("ids"),
            targets=stacked("targets"),
            attributes={name: stacked(name) for name in ATTRIBUTES},
            begin=torch.from_numpy(np.stack([each.lists.begin + key for each, key in zip(found, keys, strict=False)])),
            end=torch.from_numpy(np.stack([each.lists.end + key for each, key in zip(found, keys, strict=False)])),
            key=torch.from_numpy(np.concatenate([each.lists.key for each in found])),
            kind=torch.from_numpy(np.concatenate([each.lists.kind for each in found])),
            block_begin=torch.from_numpy(np.stack(block_begin) if blocks else np.empty((len(found), 0), np.int32)),
            block_key=torch.from_numpy(np.concatenate([np.empty(0, np.int32), *(each.key for each in blocks)])),
            causal=self.sequences.documents.causal,
        )


class Loader:
    """Endless batches, or those of so many epochs. Iterating goes on from where the last iteration was left.

    All ranks together read the stream's next `rows * world` sequences, each its own part of them, so that the ranks
    part the stream whatever their number. A batch may reach into the next epoch; with a number of epochs the last one
    may have fewer rows, or none for some ranks. Read to their end, all ranks stand at the same place.
    """

    def __init__(
        self,
        sequences: Sequences,
        *,
        rows: int,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        epochs: int | None = None,
        block_kinds: tuple[str, ...] = (),
    ) -> None:
        """rows: sequences of a rank's batch. block_kinds: kinds of bond whose blocks are wanted."""
        if not 0 <= rank < world or rows < 1 or workers < 0:
            raise ValueError(f"rank {rank} of {world}, {rows} rows, {workers} workers cannot be; count ranks from 0")
        self.sequences, self.rows, self.rank, self.world = sequences, rows, rank, world
        self.workers, self.epochs, self.block_kinds = workers, epochs, block_kinds
        self._place: Place = (0, 0)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream goes on, and what stream it is; JSON values."""
        epoch, position = self._place
        return {**self._stream(), "epoch": epoch, "position": position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state. Errors: ValueError for the state of another stream."""
        for name, value in self._stream().items():
            if state.get(name) != value:
                raise ValueError(
                    f"the state is of another stream: its {name} is {state.get(name)!r}, here it is {value!r}; "
                    "open the same cache with the settings that it was saved with"
                )
        self._place = (int(state["epoch"]), int(state["position"]))

    def _stream(self) -> dict[str, Any]:
        sequences = self.sequences
        return {
            "layer": sequences.documents.layer,
            "content": sequences.documents.digest,
            "documents": len(sequences.documents.documents),
            "split": sequences.split,
            "length": sequences.length,
            "seed": sequences.seed,
        }

    def __iter__(self) -> Iterator[SequenceBatch]:
        after: deque[Place] = deque()
        """Of every batch that a worker has been asked for: where the stream goes on after it."""
        batches = Batches(self.sequences, self.block_kinds)
        loader: DataLoader[SequenceBatch] = DataLoader(
            batches,
            batch_size=None,
            sampler=_Noting(self, after),
            num_workers=self.workers,
            multiprocessing_context="spawn" if self.workers else None,  # a fork of a process with threads may hang
            generator=torch.Generator(),  # else it draws from the global one, and whoever reads on sees other numbers
        )
        for batch in loader:
            self._place = after.popleft()
            yield batch
        if after:  # the other ranks' last batch, which had no row for this one
            self._place = after.popleft()

    def _batches(self) -> Iterator[tuple[list[Place], Place]]:
        """From the present place on: places of this rank's next batch, and where the stream goes on after it.

        The last batch may have no places for this rank.
        """
        (epoch, position), wanted = self._place, self.rows * self.world
        while True:
            places: list[Place] = []
            while len(places) < wanted and (self.epochs is None or epoch < self.epochs):
                size = self.sequences.rows(epoch)
                stop = min(size, position + wanted - len(places))
                places += [(epoch, row) for row in range(position, stop)]
                epoch, position = (epoch + 1, 0) if stop == size else (epoch, stop)
            mine = places[self.rank * self.rows : (self.rank + 1) * self.rows]
            if places:
                yield mine, (epoch, position)
            if not mine:
                return


class _Noting:
    """The places of batches, in order; notes where the stream goes on after each, as it is handed to a worker."""

    def __init__(self, loader: Loader, after: "deque[Place]") -> None:
        self.loader, self.after = loader, after

    def __iter__(self) -> Iterator[list[Place]]:
        for places, after in self.loader._batches():
            self.after.append(after)
            if places:
                yield places
