"""The left-to-right annotator, a block of pieces at a time: equal to `step`, over arrays.

The state's tail is put before the block's characters, so that every rule sees the context that it needs; what is
counted or carried further (words, sentences, an open quotation) goes on from the state's numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.characters import BREAK_CODE, decode
from pipeline.prefix.sentences import SentencePlaces, find_sentences
from pipeline.prefix.state import CONTEXT, NO_TAG, Attributes, Block, PrefixState
from pipeline.prefix.tags import Tags, full_tags, open_tags
from pipeline.prefix.text import Alphabet, Places, Text, codes_of, text_of
from pipeline.prefix.words import WordPlaces, find_words


@dataclass(frozen=True, slots=True)
class PieceTable:
    """Bytes of all pieces, end to end; a begin or end piece has one zero that stands for the break."""

    data: NDArray[np.uint8]
    begin: NDArray[np.int64]
    size: NDArray[np.int64]
    breaks: NDArray[np.bool_]

    @classmethod
    def of(cls, piece_bytes: Sequence[bytes], breaks: frozenset[int]) -> "PieceTable":
        held = [b"\0" if number in breaks else piece for number, piece in enumerate(piece_bytes)]
        size = np.array([len(piece) for piece in held], dtype=np.int64)
        marks = np.isin(np.arange(len(held)), sorted(breaks))
        return cls(np.frombuffer(b"".join(held), dtype=np.uint8), np.cumsum(size) - size, size, marks)

    def characters(self, ids: NDArray[np.int32], pending: bytes) -> tuple[NDArray[np.int32], Places, bytes]:
        """Code points that the pieces complete, the piece that completes each, and the bytes left over. pending:
        those left over before."""
        size, carried = self.size[ids], len(pending)
        first = np.cumsum(size) - size
        piece_of_byte = np.repeat(np.arange(len(ids)), size)
        source = np.arange(len(piece_of_byte)) + np.repeat(self.begin[ids] - first, size)
        data = np.concatenate([np.frombuffer(pending, dtype=np.uint8), self.data[source]])
        read = decode(data, carried + first[self.breaks[ids]])
        return read.code, piece_of_byte[read.complete - carried], data[read.used :].tobytes()


def read_block(alphabet: Alphabet, table: PieceTable, ids: NDArray[np.int32], state: PrefixState) -> Block:
    """Attributes of some pieces, given what came before. ids: int32 [N]. O(bytes)."""
    code, piece, pending = table.characters(ids, bytes.fromhex(state.pending))
    text = Text.of(alphabet, state.tail, code)
    words = find_words(text, state)
    sentences = find_sentences(text, words, state)
    closed = len(words.end)
    closed_tags = _closed_tags(text, words, sentences)
    # Place after the last character that each piece has completed; before the first piece, that of the block.
    until = text.tail + np.cumsum(np.bincount(piece, minlength=len(ids)))
    sentence_piece = np.append(state.sentence, state.pieces + piece[sentences.known - text.tail])
    last_sentence = np.searchsorted(sentences.known, until)
    first_word, last_word, touched = _words_of_pieces(words, np.append(text.tail, until))
    attributes = Attributes(
        first_word=first_word,
        last_word=last_word,
        closed_word=(words.begun[until - 1] - words.inside[until - 1]).astype(np.int32),
        sentence_start=sentence_piece[last_sentence].astype(np.int32),
        input_tag=_input_tags(text, words, sentences, closed_tags, until, touched, state),
        key_tag=key_tags(last_word, closed_tags, state),
    )
    after = _state_after(text, words, sentences, state)
    after |= {"sentence": int(sentence_piece[-1]), "pieces": state.pieces + len(ids), "pending": pending.hex()}
    after |= {"last_tag": int(closed_tags[-1]) if closed else state.last_tag}
    return Block(attributes=attributes, closed_tags=closed_tags, state=PrefixState(**after))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWords:
    """The words of a whole text [k]."""

    begin: Places
    """Character offset where each begins."""
    end: Places
    known: Places
    """Of the character that tells that it begins."""
    sentence: NDArray[np.int64]
    """Index of its sentence, from 0."""
    initial: NDArray[np.bool_]
    """Whether it is the first of its sentence that holds a letter or digit."""
    tag: Tags
    """Its full tag."""
    cut: NDArray[np.bool_]
    """Whether it is the first part of one that the list cuts (`do` of `don't`)."""


def read_text(alphabet: Alphabet, string: str) -> TextWords:
    """The words of a text that is known to its end; the same that its pieces would give. O(characters)."""
    text = Text.of(alphabet, "", np.append(codes_of(string), BREAK_CODE).astype(np.int32))
    words = find_words(text, PrefixState())
    sentences = find_sentences(text, words, PrefixState())
    return TextWords(
        begin=words.begin - text.tail,
        end=words.end - text.tail,
        sentence=np.searchsorted(sentences.begin, words.begin, side="right") - 1,
        initial=sentences.initial,
        known=words.known - text.tail,
        tag=_closed_tags(text, words, sentences),
        cut=np.isin(words.end, list(words.first_tags)),
    )


def _closed_tags(text: Text, words: WordPlaces, sentences: SentencePlaces) -> Tags:
    """uint8: full tags of the words that are closed."""
    closed = len(words.end)
    tags = full_tags(text, words.begin[:closed], words.end, sentences.initial[:closed])
    cut = np.fromiter(words.first_tags.keys(), dtype=np.int64)
    tags[np.searchsorted(words.begin, cut) - 1] = np.fromiter(words.first_tags.values(), dtype=np.uint8)
    return tags


def key_tags(last_word: NDArray[np.int32], closed_tags: Tags, state: PrefixState) -> Tags:
    """uint8 [N]: full tags of words that are closed in the block, or just before it. closed_tags: those of the words
    from state.closed on."""
    known = np.concatenate([[state.last_tag], closed_tags, [NO_TAG]]).astype(np.uint8)
    return known[np.minimum(last_word - state.closed + 1, len(known) - 1)]


def _words_of_pieces(
    words: WordPlaces, until: Places
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """First and last word of each piece, and whether it has a character of any, or tells of one. until: [N + 1], the
    block's begin first."""
    begin, end = until[:-1], until[1:]
    count = np.append(0, np.cumsum(words.inside | words.told))
    touched = count[end] > count[begin]
    last = words.begun[end - 1] - 1
    # The first is the one that goes on from the piece before, or the next one to begin.
    inside = np.minimum(begin, len(words.inside) - 1)
    goes_on = words.inside[inside] & ~words.told[inside]
    first = np.where(touched, words.begun[begin - 1] - goes_on, last)
    return first.astype(np.int32), last.astype(np.int32), touched


def _input_tags(
    text: Text,
    words: WordPlaces,
    sentences: SentencePlaces,
    closed_tags: Tags,
    until: Places,
    touched: NDArray[np.bool_],
    state: PrefixState,
) -> Tags:
    """uint8 [N]: tag of each piece's last word, by what is read of it; NO_TAG where it has none."""
    tag = np.full(len(until), NO_TAG, dtype=np.uint8)
    piece = np.flatnonzero(touched)
    word = words.begun[until[piece] - 1] - 1 - state.closed  # counted from the first of the block's
    is_open = words.inside[until[piece] - 1]
    tag[piece[~is_open]] = closed_tags[word[~is_open]]
    piece, word = piece[is_open], word[is_open]
    tag[piece] = open_tags(text, words.begin[word], until[piece], sentences.initial[word])
    return tag


def _state_after(text: Text, words: WordPlaces, sentences: SentencePlaces, state: PrefixState) -> dict[str, Any]:
    """What the next block must know of the text."""
    length, new_words = len(text.code), int(words.begun[-1]) - state.words
    open_length = length - int(words.begin[-1]) if words.inside[-1] else 0
    new_sentence = len(sentences.begin) > 0
    begun_before = int(sentences.begin[-1]) if new_sentence else text.tail
    since = words.begin[words.begin >= begun_before]
    breaks = np.flatnonzero(text.code == BREAK_CODE)
    tail = text.code[max(length - max(CONTEXT, open_length), breaks[-1] + 1) :]
    return {
        "tail": text_of(tail),
        "word": open_length,
        "words": int(words.begun[-1]),
        "initial": bool(sentences.initial[-1]) if open_length else False,
        "fresh": bool((new_sentence or state.fresh) and not text.alphanumeric[begun_before:].any()),
        "ender": int(sentences.ender[-1]),
        "newline": bool(sentences.newline[-1]),
        "quote": bool(sentences.quote[-1]),
        "sentence_words": len(since) if new_sentence else state.sentence_words + new_words,
    }
