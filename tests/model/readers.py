"""A small run in memory that reads text: random weights, the tiny cache's tokenizer, the shipped annotator."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from model.config import ModelConfig
from model.evaluate.text import TextModel
from model.transformer import Decoder
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from tests.model.tiny_cache import small_tokenizer


@cache
def text_model(
    views: tuple[str, ...] = ("dense", "pos & sentence"),
    length: int = 16,
    objective: str = "causal",
) -> TextModel:
    """In float64, its weights widened so that it has opinions."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        file.write_text(small_tokenizer(), encoding="utf-8")
        tokenizer = Tokenizer.load(file)
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    config = ModelConfig(layers=2, dim=32, heads=4, views=views, tags=True, objective=objective)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Decoder(config, tokenizer.size).double().eval()
        for weight in model.parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=0.3)
    return TextModel(model=model, tokenizer=tokenizer, annotator=annotator, length=length, objective=objective)
