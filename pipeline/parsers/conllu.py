"""The gold annotation of a treebank as a parser: it looks documents up by their text.

A cache keeps texts, not treebanks; so this parser reads the treebank itself and knows each document by what it says.
Where several say the same ("Great!"), the name after `#` in the document's id decides, or else the first is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from pipeline.conllu import Sentence, cut_documents, lay_out, read_sentences
from pipeline.corpus import Document, find_files
from pipeline.parsers.trees import model_digest, tag_numbers
from pipeline.readers import File, open_bytes
from pipeline.records import Strings, Words, concatenate_words

CODE = [Path(__file__), Path(__file__).with_name("trees.py"), Path(__file__).parents[1] / "conllu.py"]


class ConlluParser:
    """Documents of a treebank with the trees that it gives them; everything else is quarantined."""

    name = "conllu"

    def __init__(self, treebank: str | None) -> None:
        """treebank: a `.conllu` file, a folder or a glob of them; ValueError if there is none."""
        if treebank is None:
            raise ValueError("the conllu parser reads a treebank; name the .conllu file or folder as its model")
        files = [(source, file) for source, file in find_files([treebank]) if file.name.lower().endswith(".conllu")]
        if not files:
            raise ValueError(f"there is no .conllu file in {treebank!r}")
        self.digest = model_digest(files, CODE, [])
        self._by_text: dict[bytes, Words] = {}
        self._by_name: dict[tuple[str, bytes], Words] = {}
        for name, key, words in (each for _, file in files for each in _documents(file)):
            self._by_text.setdefault(key, words)
            self._by_name.setdefault((name, key), words)

    def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
        """As Parser.parse; a multiword token's words share its span, and empty nodes are left out."""
        parsed, failed = list[Words](), dict[str, str]()
        for document in documents:
            key, name = _key(document.text), document.id.partition("#")[2]
            words = self._by_name.get((name, key), self._by_text.get(key))
            if words is None:
                failed[document.id] = "is not in the treebank that the conllu parser was given"
            else:
                parsed.append(replace(words, documents=(document.id,)))
        return concatenate_words(parsed), failed


def _documents(file: File) -> Iterator[tuple[str, bytes, Words]]:
    """Name, key and words of every sound document; the others never become documents of a corpus either."""
    with open_bytes(file) as lines:
        for name, first_line, block in cut_documents(lines):
            try:
                sentences = list(read_sentences([line.decode("utf-8-sig") for line in block], first_line))
            except ValueError:  # UnicodeDecodeError is one
                continue
            text, spans = lay_out(sentences)
            yield name, _key(text), words_of_sentences(sentences, spans)


def words_of_sentences(sentences: Sequence[Sentence], spans: Sequence[tuple[int, int]]) -> Words:
    """The columns of one document; spans: (start, end) of each word, as `lay_out` gives them."""
    words = [word for sentence in sentences for word in sentence.words]
    lengths = [len(sentence.words) for sentence in sentences]
    first = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths) if lengths else np.empty(0, np.int64)
    head = np.asarray([word.head for word in words], dtype=np.int64)
    offsets = np.asarray(spans, dtype=np.int32).reshape(-1, 2)
    return Words(
        documents=("",),
        document=np.zeros(len(words), np.int32),
        sentence=np.repeat(np.arange(len(sentences), dtype=np.int32), lengths),
        start=offsets[:, 0].copy(),
        end=offsets[:, 1].copy(),
        text=Strings.of(word.form for word in words),
        lemma=Strings.of(word.lemma for word in words),
        upos=tag_numbers(Strings.of(word.upos for word in words)),
        feats=Strings.of(word.feats for word in words),
        head=np.where(head > 0, first + head - 1, -1).astype(np.int32),
        relation=Strings.of(word.relation for word in words),
        features=np.zeros(len(words), np.uint64),
        verb_class=Strings(np.zeros(len(words), np.int32), ("",)),
    )


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
