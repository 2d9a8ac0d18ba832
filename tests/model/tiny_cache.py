"""A cache with a pieces layer, written with pyarrow as preprocessing would leave it."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from model.columns import ATTRIBUTES
from pipeline.cache.layout import Cache
from pipeline.cache.schema import PIECES
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

STORIES = (
    "The cat sat on the mat. It saw a small bird and wanted it. The bird flew away!\n\nThe cat slept.",
    "Anna gave Tom the letter. He read it twice, folded it and said nothing. “Well?” she asked.\nHe smiled.",
    "Rain fell over the hills all night. In the morning the river stood high, and nobody could cross it.",
    "Add the flour to the eggs. Stir slowly. When the dough is smooth, let it rest for half an hour.",
    "The old engineer opened the gate. Water ran through the channel and turned the wheel again.",
    "We met a fisherman near the café. His boat was blue; its sails were torn, but he was proud of it.",
)


def write_cache(folder: Path, texts: dict[str, Sequence[str]] | None = None, block: int = 32, size: int = 320) -> Path:
    """texts: by split; by default four stories to train on and one each to validate and test. size: pieces of its
    tokenizer."""
    texts = texts or {"train": STORIES[:4], "validation": STORIES[4:5], "test": STORIES[5:]}
    cache = Cache.create(folder, shards=2)
    tokenizer_file = folder / "tokenizer.json"
    tokenizer_file.write_text(small_tokenizer(size), encoding="utf-8")
    tokenizer = Tokenizer.load(tokenizer_file)
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    layer = f"pieces/tokenizer={tokenizer.digest},annotator={annotator.digest}"
    rows: list[list[dict[str, object]]] = [[], []]
    for split, documents in texts.items():
        for number, text in enumerate(documents):
            rows[number % 2] += document_rows(f"{split}#{number}", split, text, tokenizer, annotator, block)
    (folder / layer).mkdir(parents=True)
    for shard, some in enumerate(rows):
        pq.write_table(pa.Table.from_pylist(some, schema=PIECES), cache.file(layer, shard), compression="zstd")
    for name in ("tokenizers", "annotators"):
        (folder / name).mkdir()
    tokenizer_file.rename(folder / "tokenizers" / f"{tokenizer.digest}.json")
    annotator.save(folder / "annotators" / f"{annotator.digest}.safetensors")
    cache.register({"pieces": (layer, {"tokenizer": tokenizer.digest, "annotator": annotator.digest})})
    return folder


def document_rows(
    name: str, split: str, text: str, tokenizer: Tokenizer, annotator: PrefixAnnotator, block: int
) -> list[dict[str, object]]:
    ids = tokenizer.document(text)
    attributes = annotator.annotate(ids)
    head = {"document": name, "split": split, "document_pieces": len(ids), "document_bytes": len(text.encode())}
    rows = []
    for number, start in enumerate(range(0, len(ids), block)):
        part = slice(start, start + block)
        lists = {column: getattr(attributes, column)[part] for column in ATTRIBUTES}
        rows.append({**head, "block": number, "start": start, "pieces": ids[part], **lists, "state": "{}"})
    return rows


def small_tokenizer(size: int = 320) -> str:
    """JSON of a byte-level BPE of so many pieces, with the shipped tokenizer's specials."""
    model = HFTokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    specials = ["<|begin|>", "<|end|>", "<|pad|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator(STORIES, trainer)
    return model.to_str()
