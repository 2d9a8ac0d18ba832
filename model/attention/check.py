"""A self-test of attention on this machine: the fast path against its slow twin, on a text of a few words."""

import torch

from model.attention.views import attend, attend_slow, view_bias
from model.batches import read_places
from model.columns import split_of
from model.parse import parse
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

VIEWS = ("dense", "window(4)", "sentence", "pos & sentences(2)")
TEXT = "Anna mended the bench. She painted it, too."


def largest_difference(device: torch.device) -> float:
    """Largest difference of values and gradients in float32, relative to the largest of each."""
    tokenizer = Tokenizer.load()
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    ids = tokenizer.document(TEXT)
    split = split_of({"text": (ids, annotator.annotate(ids))})
    place = torch.arange(len(ids)).numpy()[None]
    _, context = read_places(split, place * 0, place)
    views = [parse(view) for view in VIEWS]
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 1, len(views), len(ids), 8, generator=generator)
    found = []
    for on, fast in ((device, True), (torch.device("cpu"), False)):
        q, k, v, upstream = values.to(on).requires_grad_().unbind(0)
        here = context.to(on)
        if fast:
            out = attend(q, k, v, view_bias(views, (), here, torch.float32))
        else:
            out = attend_slow(q, k, v, views, (), here)
        found.append([each.detach().cpu() for each in (out, *torch.autograd.grad(out, (q, k, v), upstream))])
    apart = [(ours - true).abs().max() / true.abs().max() for ours, true in zip(*found, strict=True)]
    return float(torch.stack(apart).max())  # torch's, which lets no NaN go by
