"""Pieces: what a model reads. A tokenizer of any common make, and the bytes that each of its ids adds to the text."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as HFTokenizer

SHIPPED = Path(__file__).resolve().parent / "models" / "tokenizer.json"
BEGIN, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
"""The shipped tokenizer's specials, ids 0, 1 and 2."""

BEGINS = (BEGIN, "<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "[CLS]", "<|endoftext|>")
ENDS = (END, "</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "[SEP]")
"""What other tokenizers call them; the first that is found serves. GPT-2 has one special for both."""

BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
CUT = re.compile("(?<=[!-~]) (?=[!-~])")
"""A space between two visible characters. Byte-level BPE with GPT-2's expression cuts before each (nothing that it
takes for one word has a space behind a character that is none), so that what stands between two of them is encoded
alone."""
LONGEST_KEPT = 32
"""Characters of a word whose ids are kept: text of other scripts is seldom cut, and would be kept whole."""
REMEMBERED = 200_000
"""Words whose ids are kept, about 40 MB; once so many are known, others are encoded whenever they are met."""


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Text to ids and back. A document's ids are `[begin, *encode(text), end]`."""

    json: str = field(repr=False)
    """The tokenizer as it was read, so that a cache or a checkpoint can carry it."""
    digest: str
    """Twelve hex digits of its content (not of its layout on disk)."""
    begin: int
    end: int
    piece_bytes: tuple[bytes, ...] = field(repr=False)
    """What each id adds to the text; specials and unused ids add nothing. Where a tokenizer marks the beginnings of
    words (`▁the`, or WordPiece's `the` beside `##the`), a word's space comes with it, the first word's too."""
    _model: HFTokenizer = field(repr=False)
    _words: dict[str, tuple[int, ...]] | None = field(repr=False, compare=False, default=None)
    """Ids of a space and each word met so far; None: this tokenizer does not cut at spaces."""

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Tokenizer":
        """A Hugging Face `tokenizer.json`; None: the shipped one.

        Errors: ValueError if it is none, or its pieces' bytes cannot be told; FileNotFoundError if it is not there.
        """
        path = SHIPPED if path is None else Path(path)
        try:
            read = path.read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror}; give the file of a tokenizer") from error
        try:
            text = read.decode()
            return cls._of(text, json.loads(text), HFTokenizer.from_str(text), path)
        except ValueError as error:
            if type(error) is ValueError:
                raise
            raise _no_tokenizer(path, error) from error
        except Exception as error:  # the library raises Exception itself
            raise _no_tokenizer(path, error) from error

    @classmethod
    def _of(cls, text: str, content: dict[str, object], model: HFTokenizer, path: Path) -> "Tokenizer":
        model.encode_special_tokens = True  # a text that spells `<|end|>` does not end there
        model.no_truncation()
        model.no_padding()
        said = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return cls(
            json=text,
            digest=hashlib.sha256(said.encode()).hexdigest()[:12],
            begin=_special(model, BEGINS, "begins", path),
            end=_special(model, ENDS, "ends", path),
            piece_bytes=_piece_bytes(model, content, path),
            _model=model,
            _words={} if _cuts_at_spaces(content) else None,
        )

    @classmethod
    def of_model(cls, model: HFTokenizer, begin: int, end: int) -> "Tokenizer":
        """Of a tokenizer in memory whose names for begin and end we need not know. It is copied.

        Errors: ValueError if its pieces' bytes cannot be told.
        """
        text = model.to_str()
        content, copied = json.loads(text), HFTokenizer.from_str(text)
        copied.encode_special_tokens = True
        copied.no_truncation()
        copied.no_padding()
        said = json.dumps([content, begin, end], sort_keys=True, ensure_ascii=False)
        return cls(
            json=text,
            digest=hashlib.sha256(said.encode()).hexdigest()[:12],
            begin=begin,
            end=end,
            piece_bytes=_piece_bytes(copied, content, Path("the tokenizer")),
            _model=copied,
        )

    @property
    def size(self) -> int:
        """Number of ids, unused ones included: rows of an embedding."""
        return len(self.piece_bytes)

    def special(self, name: str) -> int | None:
        """The id of a piece by its name in the vocabulary, such as `<|pad|>`; None if there is none."""
        found: int | None = self._model.token_to_id(name)
        return found

    def encode(self, text: str) -> NDArray[np.int32]:
        """int32 [N]: ids of a text; no specials, not even where the text spells one."""
        if self._words is None:
            return np.asarray(self._encode([text])[0], dtype=np.int32)
        first, *words = CUT.split(text)
        table, fresh = self._words, [*set(words).difference(self._words)]
        met = dict(zip(fresh, map(tuple, self._encode([f" {word}" for word in fresh])), strict=True))
        known = table  # nothing is ever taken out: another thread may be about to look it up
        short = {word: ids for word, ids in met.items() if len(word) <= LONGEST_KEPT}
        if len(table) < REMEMBERED:
            table.update(short)
        if len(table) >= REMEMBERED or len(short) < len(met):
            known = {word: met[word] if word in met else table[word] for word in set(words)}
        ids = chain(self._encode([first])[0], chain.from_iterable(map(known.__getitem__, words)))
        return np.fromiter(ids, np.int32)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        # The fast call leaves out each piece's place in the text, which nobody asks for.
        return [each.ids for each in self._model.encode_batch_fast(texts, add_special_tokens=False)]

    def document(self, text: str) -> NDArray[np.int32]:
        """int32 [N + 2]: begin, the text's ids, end."""
        return np.concatenate([[self.begin], self.encode(text), [self.end]]).astype(np.int32)

    def document_spans(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """`document(text)`, and of each piece the characters [begin, end) that it covers; specials cover none.

        A piece of part of a character covers it all.
        """
        found = self._model.encode_batch([text], add_special_tokens=False)[0]
        spans = np.array([(0, 0), *found.offsets, (len(text), len(text))], np.int64)
        return np.array([self.begin, *found.ids, self.end], np.int32), spans[:, 0], spans[:, 1]

    def decode(self, ids: NDArray[np.int32]) -> str:
        """The text that the ids add up to; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(self.piece_bytes[each] for each in ids).decode("utf-8", errors="replace")

    def save(self, path: Path) -> None:
        """Write the same JSON that was read."""
        path.write_text(self.json, encoding="utf-8")


def _cuts_at_spaces(content: Mapping[str, Any]) -> bool:
    """Whether the tokenizer is one of which CUT holds."""
    before = content.get("pre_tokenizer") or {}
    return (
        content.get("normalizer") is None
        and before.get("type") == "ByteLevel"
        and before.get("use_regex", True)
        and not before.get("add_prefix_space")
        and content["model"].get("type") == "BPE"
        and not content["model"].get("dropout")
        and all(added["special"] for added in content.get("added_tokens", ()))
    )


def _no_tokenizer(path: Path, error: Exception) -> ValueError:
    said = " ".join(str(error).split())[:200]
    return ValueError(f"{path} is no tokenizer.json ({said}); give one that Hugging Face's tokenizers has written")


def _special(model: HFTokenizer, names: tuple[str, ...], does: str, path: Path) -> int:
    found = [number for name in names if (number := model.token_to_id(name)) is not None]
    if not found:
        raise ValueError(f"{path} has no piece that {does} a document; add one of {', '.join(names)}")
    return found[0]


def _piece_bytes(model: HFTokenizer, content: dict[str, object], path: Path) -> tuple[bytes, ...]:
    """Bytes of every id. The decoder in the JSON says how a piece is written."""
    added = model.get_added_tokens_decoder()
    vocabulary = {number: piece for piece, number in model.get_vocab(with_added_tokens=True).items()}
    spell = _speller(content.get("decoder"), path)
    spelt = [b""] * (max(vocabulary) + 1)
    for number, piece in vocabulary.items():
        if number not in added:
            spelt[number] = spell(piece)
        elif not added[number].special:
            spelt[number] = added[number].content.encode()
    return tuple(spelt)


def _speller(decoder: object, path: Path) -> Callable[[str], bytes]:
    """piece -> bytes, by the decoders that the JSON names."""
    steps = _steps(decoder)
    kinds = {str(step.get("type")) for step in steps}
    if "ByteLevel" in kinds:
        place = {char: bytes([byte]) for byte, char in byte_characters().items()}
        return lambda piece: b"".join(place.get(char, char.encode()) for char in piece)
    if "WordPiece" in kinds:
        prefix = next(str(step.get("prefix", "##")) for step in steps if step.get("type") == "WordPiece")
        return lambda piece: piece.removeprefix(prefix).encode() if piece.startswith(prefix) else f" {piece}".encode()
    if "Metaspace" in kinds or "ByteFallback" in kinds:
        return _spell_metaspace
    raise ValueError(
        f"{path} has the decoder {sorted(kinds) or None}; give a tokenizer whose decoder is ByteLevel, Metaspace "
        "(with or without ByteFallback) or WordPiece"
    )


def _spell_metaspace(piece: str) -> bytes:
    byte = BYTE_PIECE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("▁", " ").encode()


def _steps(decoder: object) -> list[dict[str, object]]:
    """The decoder and, if it is a sequence, all that it is made of."""
    if not isinstance(decoder, dict):
        return []
    inner = decoder.get("decoders")
    return [decoder] if not isinstance(inner, list) else [step for each in inner for step in _steps(each)]


def byte_characters() -> dict[int, str]:
    """The printable character that stands for each byte in byte-level BPE (Radford et al. 2019, GPT-2's encoder)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}
