"""A process that is handed documents one piece at a time, and must answer each piece before it gets the next.

with Stream(Setup.of(model, annotator, tokenizer, change)) as stream:
    stream.begin(seed)
    for piece in ids:
        answer = stream.read(piece)      # digests of what the model is given there, and its logits

The process is spawned, not forked: it holds code, weights and tables, and of documents only what came through the pipe.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray

from model.columns import ATTRIBUTES
from model.config import ModelConfig
from model.controls import honest
from model.controls.words import Change, Columns
from model.evaluate.incremental import Incremental, incremental
from model.evaluate.past import Past, attributes_told, keys_told
from model.transformer import Decoder
from model.views import view_masks
from pipeline.bonds.config import BondConfig
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.prefix import Attributes, PrefixAnnotator
from pipeline.prefix.tables import Tables

if TYPE_CHECKING:
    from model.bond_reader import Known

STOP_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All that the process is given before the first piece; none of it says anything of the documents to come."""

    config: ModelConfig
    weights: dict[str, NDArray[np.float64]]
    tables: dict[str, NDArray[Any]]
    """Of the annotator."""
    piece_bytes: tuple[bytes, ...]
    begin: int
    end: int
    change: Change = honest
    """What the recipe makes of honest columns; of a control, with what it draws from the training split."""
    bonds: BondConfig | None = None
    """Settings of the bonds that the model reads; None: it reads none."""
    planted: str = ""
    """Name of a leak in model.evaluate.planted, to show that it is caught."""
    whole_prefix: bool = False
    """Use the slow twin of the K/V cache."""
    pieces: int | None = None
    """From the beginning of each document, those of which keys and logits are asked; None: all, however many come."""

    @classmethod
    def of(cls, model: Decoder, annotator: PrefixAnnotator, tokenizer: Tokenizer, change: Change = honest) -> "Setup":
        return cls(
            config=model.config,
            weights={name: weight.detach().cpu().double().numpy() for name, weight in model.state_dict().items()},
            tables={name: table.numpy() for name, table in annotator.named_buffers()},
            piece_bytes=tokenizer.piece_bytes,
            begin=tokenizer.begin,
            end=tokenizer.end,
            change=change,
        )

    def model(self) -> Decoder:
        """In float64."""
        made = Decoder(self.config, len(self.piece_bytes)).double()
        made.load_state_dict({name: torch.from_numpy(weight) for name, weight in self.weights.items()})
        return made.eval()

    def read_words(self) -> Callable[[NDArray[np.int32]], "Known | None"] | None:
        """What tells of the words of some pieces, if the model reads anything of words."""
        if not self.config.reads_words():
            return None
        from model.bond_reader import Bonded, BondReader  # late: it reads the lexicons
        from model.evaluate.planted import PLANTED, LeakyBonds

        reader = BondReader.load(_Bytes(self.piece_bytes, self.begin, self.end), self.bonds)
        bonded: Bonded | LeakyBonds = Bonded(self.annotator(), reader)
        if self.planted and PLANTED[self.planted].bonds:
            bonded = LeakyBonds(bonded)
        return bonded.known

    def annotator(self) -> PrefixAnnotator:
        return PrefixAnnotator(Tables(**self.tables), self.piece_bytes, self.begin, self.end)


@dataclass(frozen=True, slots=True)
class _Bytes:
    """What a reader of words asks of a tokenizer."""

    piece_bytes: tuple[bytes, ...]
    begin: int
    end: int

    def decode(self, ids: NDArray[np.int32]) -> str:
        return b"".join(self.piece_bytes[each] for each in ids).decode("utf-8", errors="replace")


class Answer(NamedTuple):
    """What the process says of a piece before it knows the next."""

    attributes: bytes
    """SHA-256 of `attributes_told`."""
    keys: bytes
    """SHA-256 of `keys_told`; nothing behind the pieces of which they are asked."""
    logits: NDArray[np.float64]
    """[vocabulary]: of the next piece; [0] behind them."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Another document: all that was known is forgotten."""

    seed: int
    """Of the document, by its name; what controls draw from."""


class Replay:
    """The streaming side itself, without the process around it."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.decoder, self.annotator = setup, setup.model(), setup.annotator()
        self.change = planted_change(setup.planted) or setup.change
        self.views, self.read_words = setup.config.distinct_views(), setup.read_words()
        self.past: Past | None = None
        self.model: Incremental | None = None

    def begin(self, seed: int) -> None:
        self.past = Past(self.annotator, self.change, seed, self.read_words)
        self.model = incremental(self.decoder, self.setup.whole_prefix)

    def read(self, piece: int) -> Answer:
        assert self.past is not None  # begin comes first
        assert self.model is not None
        self.past.read(piece)
        last, asked = self.past.pieces - 1, self.setup.pieces
        if asked is not None and last >= asked:
            return Answer(sha256(attributes_told(self.past.columns(), last)).digest(), b"", np.empty(0))
        context = self.past.context()
        attributes = sha256(attributes_told(self.past.columns(), last, context)).digest()
        seen_VN = view_masks(list(self.views.values()), context)[0, :, last]
        keys = sha256(keys_told(list(self.views), seen_VN)).digest()
        return Answer(attributes, keys, self.model.logits(self.past, seen_VN).numpy())


def serve(parent: Connection) -> None:
    """Answer what comes over the connection until None comes. An error is sent as it is, and ends the process."""
    torch.set_num_threads(1)
    try:
        setup: Setup = parent.recv()
        replay = Replay(setup)
        with entered(setup.planted):
            while (said := parent.recv()) is not None:
                if isinstance(said, Begin):
                    replay.begin(said.seed)
                else:
                    parent.send(replay.read(said))
    except EOFError:  # the parent is gone
        return
    except Exception as error:  # whatever it is, the parent must hear of it
        with suppress(OSError):
            parent.send(RuntimeError(f"{type(error).__name__}: {error}"))


class Stream:
    """The parent's side: a process for as long as the context is open."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def __enter__(self) -> Self:
        spawn = get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # ours alone stays open: if the process dies, reading from it ends
        with suppress(OSError):  # if it is gone, `read` says why
            self.connection.send(self.setup)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # it may be gone already
            self.connection.send(None)
        self.process.join(timeout=STOP_SECONDS)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()
        self.connection.close()

    def begin(self, seed: int) -> None:
        with suppress(OSError):
            self.connection.send(Begin(seed))

    def read(self, piece: int) -> Answer:
        """Send one piece and wait for what is said of it. Errors: Failure if the process fails."""
        try:
            with suppress(OSError):  # what it said last may still lie here
                self.connection.send(piece)
            said = self.connection.recv()
        except (EOFError, OSError):
            raise Failure("the process that replays the run died; is there enough memory? Run it again") from None
        if isinstance(said, Exception):
            raise Failure(f"the process that replays the run failed: {said}")
        assert isinstance(said, Answer)
        return said


def entered(planted: str) -> AbstractContextManager[None]:
    """With the planted leak's mask in force, if it is one of a mask."""
    if not planted:
        return nullcontext()
    from model.evaluate.planted import PLANTED  # late: only who tests this very test plants anything

    return cast(AbstractContextManager[None], PLANTED[planted].entered())


def planted_change(planted: str) -> Change | None:
    """The planted leak's change of columns; None if it is one of a mask, or there is none."""
    if not planted:
        return None
    from model.evaluate.planted import PLANTED

    return partial(_planted, planted) if PLANTED[planted].change else None


def _planted(name: str, _seed: int, columns: Columns) -> dict[str, NDArray[Any]]:
    from model.evaluate.planted import PLANTED

    change = PLANTED[name].change
    assert change is not None
    leaky = change(columns["pieces"], Attributes(**{each: columns[each] for each in ATTRIBUTES}))
    return {each: getattr(leaky, each) for each in ATTRIBUTES}
