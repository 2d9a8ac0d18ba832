"""Stand-ins for parser and annotator, and a small corpus, so that the stages are tested without a trained model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.bonds import BondConfig
from pipeline.cache.digest import sha256_of
from pipeline.cache.layout import Cache
from pipeline.corpus import Document
from pipeline.ingest import ingest
from pipeline.pieces import Tokenizer
from pipeline.records import Words, concatenate_words
from pipeline.stages import bond_shard, parse_shard
from tests.pipeline.sentences import words_of

LAYERS = {
    "documents": "documents",
    "words": "words/parser=fake",
    "bonds": "bonds/words=fake,rules=fake",
    "stats": "stats/words=fake,rules=fake",
    "pieces": "pieces/tokenizer=fake,annotator=fake",
}

STORIES = {
    "bench.txt": "Anna mended the bench . She painted it .",
    "letter.txt": "Anna wrote him a letter . He read it .",
    "river.txt": "The river carried the boat .",
    "storm.txt": "A storm broke the mast . It fell .",
}


class FakeParser:
    """A word a space, a sentence a full stop; a capital letter makes a noun, the second word is the verb and root.

    A document that says `explode` fails, as a whole batch does that holds one that says `bomb`.
    """

    name, digest = "fake", "fake"

    def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
        if any("bomb" in document.text for document in documents):
            raise RuntimeError("a bomb")
        failed = {document.id: "exploded" for document in documents if "explode" in document.text}
        parsed = [_words(document) for document in documents if document.id not in failed]
        return concatenate_words(parsed), failed


def _words(document: Document) -> Words:
    sentences = [f"{sentence.strip()} ." for sentence in document.text.split(".") if sentence.strip()]
    return words_of(*(_sentence(sentence.split()) for sentence in sentences), document=document.id)


def _sentence(words: list[str]) -> str:
    tags = ["VERB" if place == 1 else "PUNCT" if word == "." else "NOUN" for place, word in enumerate(words)]
    arcs = ["0/root" if place == 1 else "2/nsubj" if place == 0 else "2/obj" for place in range(len(words))]
    return " ".join(f"{word}/{tag}/{arc}" for word, tag, arc in zip(words, tags, arcs, strict=True))


def write_stories(folder: Path, stories: Mapping[str, str] = STORIES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in stories.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def cache_of(folder: Path, stories: Mapping[str, str] = STORIES, shards: int = 2) -> Cache:
    """A cache with documents, words, bonds and statistics of the stories, made by the fake parser."""
    cache = Cache.create(folder / "cache", shards=shards)
    ingest([write_stories(folder / "stories", stories)], cache)
    for shard in range(shards):
        parse_shard(cache, shard, LAYERS, FakeParser())
        bond_shard(cache, shard, LAYERS, BondConfig())
    cache.register({name: (path, {}) for name, path in LAYERS.items() if name != "pieces"})
    return cache


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every Parquet file below a folder, by its path."""
    return {file.relative_to(folder).as_posix(): sha256_of(file) for file in sorted(folder.rglob("*.parquet"))}


def rows(cache: Cache, layer: str) -> list[dict[str, Any]]:
    """All rows of a layer, shard after shard."""
    return [row for file in cache.files(layer) for row in pq.read_table(file).to_pylist()]


def shipped_tokenizer() -> Tokenizer:
    return Tokenizer.load()
