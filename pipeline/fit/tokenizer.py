"""A byte-level BPE tokenizer from text (Sennrich et al. 2016; bytes as in GPT-2, Radford et al. 2019).

No normaliser, no space put before a text, every byte in the vocabulary: decoding gives back every text exactly. The
same texts give the same file: pairs are counted, ties broken by id, and the order of the texts does not matter.
"""

import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline.conllu import read_sentences
from pipeline.pieces import BEGIN, END, PAD

WIKITEXT_CHARACTERS, BOOK_CHARACTERS = 4_000_000, 250_000
"""How much of WikiText-2 and of each of 16 books the shipped tokenizer has seen, so that neither drowns the other;
the treebank gives all it has, about a million characters."""


def fit_tokenizer(texts: Iterable[str], out: Path, size: int = 8192) -> None:
    """Train on the texts and write `out`, a Hugging Face tokenizer.json with `size` pieces, 259 at least; fewer if the
    texts have no more pairs to merge.

    Ids 0, 1, 2 are the specials begin, end and pad, ids 3 to 258 the bytes, the rest merges, most frequent first.
    """
    if size < 259:
        raise ValueError(f"size is {size}; 3 specials and 256 bytes need 259 at least")
    tokenizer = Tokenizer(models.BPE())
    # GPT-2's expression, built in: clitics, letters, digits, others, each with the space before it.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=[BEGIN, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out))


def shipped_texts(data: Path) -> Iterator[str]:
    """What the shipped tokenizer was trained on: UD EWT and WikiText-2 (train), and the bodies of 16 books.

    data: the folder with `ud_english_ewt`, `wikitext-2` and `gutenberg`.
    """
    with (data / "ud_english_ewt" / "en_ewt-ud-train.conllu").open(encoding="utf-8") as lines:
        for sentence in read_sentences(lines):
            yield "".join(token.form + " " * token.space_after for token in sentence.tokens)
    wikitext = (data / "wikitext-2" / "wiki.train.tokens").read_text(encoding="utf-8")
    yield from wikitext[:WIKITEXT_CHARACTERS].splitlines(keepends=True)
    for book in sorted((data / "gutenberg").glob("*.txt.gz")):
        with gzip.open(book, "rt", encoding="utf-8") as file:
            yield from book_body(file.read())[:BOOK_CHARACTERS].splitlines(keepends=True)


def book_body(text: str) -> str:
    """A Project Gutenberg file without its header, licence and footer."""
    begin = re.search(r"\*\*\* ?START OF .*\n", text)
    end = re.search(r"\*\*\* ?END OF |\nEnd of (the |this )?Project Gutenberg", text)
    return text[begin.end() if begin else 0 : end.start() if end else len(text)].strip() + "\n"
