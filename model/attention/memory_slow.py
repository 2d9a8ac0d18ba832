"""The slow twin of the memory (model.attention.memory): straight from the formulas, one piece of a head at a time."""

import torch
from torch import Tensor
from torch.nn import functional

from model.attention.memory import MemoryAttention, planes_of
from model.attention.rotary import Turn, rotate
from model.context import Context


def mix_slow(layer: MemoryAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin of a layer: one piece, one head, one segment at a time."""
    rows = []
    for row in range(x_BNM.shape[0]):
        document, starts = context.document[row].tolist(), context.sequence_start()[row].tolist()
        said = [layer.heads(x[None, None], None) for x in x_BNM[row]]
        for t, its in enumerate(document):
            if its < 0:
                rows.append(torch.zeros_like(x_BNM[row, t]))
                continue
            heads = [_slow_head(layer, head, said[starts[t] : t + 1]) for head in range(layer.query_heads)]
            rows.append(layer.out(torch.cat(heads)))
    return torch.stack(rows).view(x_BNM.shape) + layer.nothing()


def _slow_head(layer: MemoryAttention, head: int, pieces: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """[D]: what the last of these pieces of a sequence, from its first on, takes."""
    settings, each = layer.settings, layer.query_heads // layer.key_heads
    S, group = settings.segment, head // each
    begin = (len(pieces) - 1) // S * S  # of the segment of the last
    q = [piece[0][0, :, 0] for piece in pieces]
    k, v = ([piece[part][0, group, 0] for piece in pieces] for part in (1, 2))
    sums, mass, kept, pooled = torch.zeros(()), torch.zeros(()), list[int](), list[tuple[Tensor, Tensor]]()
    for first in range(0, begin, S):
        inside = range(first, first + S)
        old, weight = (sums, mass), [functional.elu(k[at]) + 1 for at in inside]
        for at, sure in zip(inside, weight, strict=True):
            said = (sure @ old[0]) / (sure @ old[1]) if settings.delta and first else torch.zeros(())
            sums, mass = sums + torch.outer(sure, v[at] - said), mass + sure
        hashes = [_slow_hash(layer, q[at][one]) for at in inside for one in range(group * each, (group + 1) * each)]
        alike = {}
        for at in [*kept, *inside]:
            hash_ = _slow_hash(layer, k[at])
            alike[at] = sum(mine == yours for other in hashes for mine, yours in zip(hash_, other, strict=True))
        kept = sorted(sorted(alike, key=lambda at: (alike[at], at))[-settings.slots :])
        if layer.pooling is not None:
            means = layer.pooling[group].softmax(0)
            for start in range(first, first + S, settings.pool):
                near = list(zip(means, range(start, start + settings.pool), strict=True))
                key, value = (sum((w * x[at] for w, at in near), torch.zeros(())) for x in (k, v))
                pooled = [*pooled, (key, value)][-settings.summaries :]
    asked, turn = q[-1][head], layer.turn(q[-1].device)
    scores, values = [], []
    if "kept" in settings.kinds:
        scores, values = [asked @ k[at] for at in kept], [v[at] for at in kept]
    scores += [asked @ key for key, _ in pooled]
    values += [value for _, value in pooled]
    for at in range(begin, len(pieces)):
        here, there = (
            x if turn is None else rotate(x[None], Turn(turn.cos[place - begin], turn.sin[place - begin]))[0]
            for x, place in ((asked, len(pieces) - 1), (k[at], at))
        )
        back = (len(pieces) - 1 - at) * layer.slopes[head] if layer.slopes else 0.0
        scores.append(here @ there - back * layer.width**0.5)
        values.append(v[at])
    weights = (torch.stack(scores) * layer.width**-0.5).softmax(0)
    mixed: Tensor = (weights[:, None] * torch.stack(values)).sum(0)
    if layer.gate is None or not begin:
        return mixed
    sure, gate = functional.elu(asked) + 1, layer.gate[head].sigmoid()
    both: Tensor = gate * (sure @ sums) / (sure @ mass) + (1 - gate) * mixed
    return both


def _slow_hash(layer: MemoryAttention, x: Tensor) -> list[bool]:
    planes = planes_of(layer.width, layer.settings.bits, x.device, x.dtype)
    sides: list[float] = (x.detach() @ planes).tolist()
    return [side >= 0 for side in sides]
