"""Every mechanism of the table against its slow twin and the laws: one that is added is tested by being there."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.attention import MECHANISMS, Mechanism, Streaming
from model.batches import read_places
from model.columns import split_of
from model.config import MemoryConfig, ModelConfig
from model.config.bigbird import BigBirdConfig
from model.config.compressed import CompressedConfig
from model.config.hash import HashConfig
from model.config.latent import LatentConfig
from model.config.linear import LinearConfig
from model.config.linformer import LinformerConfig
from model.config.patterns import PatternsConfig
from model.config.performer import PerformerConfig
from model.config.state_space import StateSpaceConfig
from model.config.window import WindowConfig
from model.context import PER_PIECE, Context
from model.kernels import choose
from tests.model.toy import VOCABULARY, ToyAnnotator, toy_context, toy_document, with_toy_bonds

DIM = 24

PATTERNS = PatternsConfig(window=6, strides=(1, 3), keys=4, block=5, clusters=3, scales=(2, 6))
"""So narrow that rows of a few dozen pieces have keys outside."""


def of_patterns(**said: object) -> dict[str, ModelConfig]:
    """Both kinds of positions, shared keys, and keys enough to reach over several blocks of a line."""
    wide = replace(PATTERNS, window=40, keys=35, strides=(2, 1, 7), clusters=2, **said)  # type: ignore[arg-type]
    return {
        "rotary": ModelConfig(dim=DIM, heads=4, kv_heads=2, patterns=replace(PATTERNS, **said)),  # type: ignore[arg-type]
        "wide": ModelConfig(dim=DIM, heads=3, patterns=wide),
        "alibi": ModelConfig(dim=DIM, heads=2, positions="alibi", patterns=replace(PATTERNS, **said)),  # type: ignore[arg-type]
    }


VIEWS = {
    "rotary": ModelConfig(
        dim=DIM, heads=6, positions="rotary", kv_heads=3,
        views=("dense", "sentence", "(pos & sentences(2)) | open", "window(5) | ~pos", "sentence", "random(window(3))"),
    ),
    "alibi": ModelConfig(dim=DIM, heads=2, positions="alibi", views=("pos & sentences(2)", "dense")),
}  # fmt: skip
SPARSE = ", sparse at any length"
CONFIGS: dict[str, dict[str, ModelConfig]] = {
    "views": VIEWS | {kind + SPARSE: each for kind, each in VIEWS.items()},
    **{name: of_patterns() for name in ("local", "strided", "random", "clustered", "hierarchical")},
"adaptive": {
    "by token": of_patterns()["rotary"],
    "by head": of_patterns(gate="head", patterns=("hierarchical", "local"))["alibi"],
}, "linear": {
    features: ModelConfig(
        dim=DIM, heads=4, kv_heads=kv_heads, positions=positions,
        linear=LinearConfig(features=features, dimension=dimension, threshold=threshold, chunk=chunk),
    )
    # Odd chunks, thresholds below and above a chunk, features fewer, as many and more than a head is wide.
    for features, dimension, threshold, chunk, kv_heads, positions in (
        ("elu", 6, 8, 7, 2, "rotary"), ("relu2", 9, 3, 16, 4, "learned"),
        ("favor", 4, 11, 5, 2, "rotary"), ("learned", 8, 0, 8, 1, "rotary"),
    )
}, "performer": {"few": ModelConfig(dim=DIM, heads=2, performer=PerformerConfig(chunk=8))}, "dense": {
    "rotary": ModelConfig(dim=DIM, heads=4, kv_heads=2),
    "alibi": ModelConfig(dim=DIM, heads=2, positions="alibi"),
}, "window": {
    "rotary": ModelConfig(dim=DIM, heads=4, kv_heads=2, window=WindowConfig(reach=5)),
    "alibi": ModelConfig(dim=DIM, heads=2, positions="alibi", window=WindowConfig(reach=40)),
}, "bigbird": {
    "rotary": ModelConfig(dim=DIM, heads=4, kv_heads=2, bigbird=BigBirdConfig(block=4, reach=3, first=2, random=2)),
    "alibi": ModelConfig(
        dim=DIM, heads=2, positions="alibi", bigbird=BigBirdConfig(block=3, reach=2, first=0, random=1)
    ),
}, "linformer": {
    "few": ModelConfig(dim=DIM, heads=4, kv_heads=2, linformer=LinformerConfig(slots=5, length=70)),
    "by context": ModelConfig(dim=DIM, heads=2, positions="learned", context=80, linformer=LinformerConfig(slots=3)),
}, "compressed": {
    "three ratios": ModelConfig(dim=DIM, heads=6, kv_heads=3, compressed=CompressedConfig(window=4, reach=3)),
    "wide blocks": ModelConfig(dim=DIM, heads=2, positions="learned",
                               compressed=CompressedConfig(ratios=(7,), window=9, reach=2)),
}, "hash": {
    "rounds": ModelConfig(dim=DIM, heads=4, kv_heads=2, hash=HashConfig(buckets=4, keys=3, local=2)),
    "dissimilar": ModelConfig(dim=DIM, heads=2, positions="learned",
                              hash=HashConfig(rounds=1, dissimilar=1, buckets=2, keys=5, local=1)),
}, "latent": {
    "as in the paper": ModelConfig(dim=DIM, heads=3, latent=LatentConfig(query_rank=7)),
    "groups": ModelConfig(dim=DIM, heads=4, kv_heads=2, latent=LatentConfig(rank=5, rotary=4)),
}, "state_space": {
    "groups": ModelConfig(dim=DIM, heads=4, state_space=StateSpaceConfig(state=5, groups=2, chunk=16)),
    "one chunk of chunks more": ModelConfig(dim=DIM, heads=2, state_space=StateSpaceConfig(state=3, taps=1, chunk=2)),
}, "memory": {
    "all": ModelConfig(
        dim=DIM, heads=6, kv_heads=3, pattern=("memory",),
        memory=MemoryConfig(segment=8, slots=5, bits=7, pool=4, summaries=3),
    ),
    "linear": ModelConfig(
        dim=DIM, heads=2, positions="alibi", pattern=("memory",),
        memory=MemoryConfig(kinds=("linear",), segment=5, delta=False),
    ),
    "kept": ModelConfig(
        dim=DIM, heads=2, positions="learned", pattern=("memory",),
        memory=MemoryConfig(kinds=("kept",), segment=6, slots=9, bits=5, checkpoint=False),
    ),
    "pooled": ModelConfig(
        dim=DIM, heads=2, pattern=("memory",),
        memory=MemoryConfig(kinds=("pooled",), segment=6, pool=3, summaries=7),
    ),
}}  # fmt: skip
"""What each mechanism is made with, at least one a line of the table."""
EACH = [(name, kind) for name in MECHANISMS for kind in CONFIGS.get(name, {"": None})]
ORDERS = [(*each, causal) for each in EACH for causal in MECHANISMS[each[0]].orders]
CAUSAL = [each for each in EACH if True in MECHANISMS[each[0]].orders]
FIRST = [(name, next(iter(kinds))) for name, kinds in CONFIGS.items()]
LONGEST = [[33], [19, 10]]
LENGTHS = [
    pytest.param(*each, rows, marks=[pytest.mark.slow] if rows == LONGEST and each[:2] not in FIRST else [])
    for each in ORDERS
    for rows in ([[1]], [[21]], [[7], [2, 3]], LONGEST)
]
"""All kinds at all lengths. The longest take most of the time: there only the first kind of a mechanism is not slow."""


@pytest.fixture(autouse=True)
def path(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows here are far too short for the sparse path of views, the one mechanism that chooses: where the kind says so,
    it is taken all the same."""
    if kind.endswith(SPARSE):
        monkeypatch.setattr(choose, "SHORTEST", 1)
        monkeypatch.setitem(choose.MEASURED, "cpu", choose.MEASURED["cpu"]._replace(shortest=1, pair=0.0))


def made(name: str, kind: str) -> Mechanism:
    """In float64: rounding cannot hide a wrong index."""
    assert name in CONFIGS, f"the mechanism {name!r} is not tested: give it a line in CONFIGS"
    torch.manual_seed(0)
    return MECHANISMS[name].make(CONFIGS[name][kind], 0).double()  # type: ignore[attr-defined, no-any-return]


def context_of(rows: Sequence[Sequence[int]], causal: bool = True) -> Context:
    _, context = toy_context(rows, seed=sum(map(sum, rows)))
    return with_toy_bonds(context._replace(causal=causal))


def drawn(context: Context, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*context.document.shape, DIM, generator=generator, dtype=torch.float64).requires_grad_()


def part(context: Context, row: int, places: slice) -> Context:
    """One sequence of a batch on its own, its bonds counted from its own beginning."""
    assert context.bonds is not None
    kept = {name: getattr(context, name)[row : row + 1, places] for name in PER_PIECE}
    bonds, begin = context.bonds, places.start
    lists = bonds._replace(begin=bonds.begin[row : row + 1, places], end=bonds.end[row : row + 1, places])
    kept["sentence_start"] = kept["sentence_start"] - begin
    return context._replace(**kept, bonds=lists._replace(key=bonds.key - begin))


@pytest.mark.parametrize(("name", "kind", "causal", "rows"), LENGTHS)
def test_fast_equals_slow(name: str, kind: str, causal: bool, rows: list[list[int]]) -> None:
    context, mechanism = context_of(rows, causal), made(name, kind)
    x = drawn(context)
    fast, slow = mechanism(x, mechanism.prepare(context)), MECHANISMS[name].slow(mechanism, x, context)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    up = drawn(context, seed=1)  # a plain sum would leave some gradients untested
    inputs = (x, *mechanism.parameters())  # type: ignore[attr-defined]
    for ours, true in zip(*(torch.autograd.grad(each, inputs, up) for each in (fast, slow)), strict=True):
        torch.testing.assert_close(ours, true, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "kind", "causal"), ORDERS)
def test_a_batch_gives_what_its_documents_give_alone(name: str, kind: str, causal: bool) -> None:
    rows = [[70], [33, 1, 20], [9, 40]]
    context, mechanism = context_of(rows, causal), made(name, kind)
    x, up = drawn(context), drawn(context, seed=1).detach()
    whole = mechanism(x, mechanism.prepare(context))
    for row, lengths in enumerate(rows):
        for end, length in zip(np.cumsum(lengths).tolist(), lengths, strict=True):
            places = slice(end - length, end)
            alone = mechanism(x[row : row + 1, places], part(context, row, places))
            torch.testing.assert_close(whole[row : row + 1, places], alone, rtol=1e-12, atol=1e-12)
            only = torch.zeros_like(up)
            only[row, places] = up[row, places]
            (ours,) = torch.autograd.grad(whole, x, only, retain_graph=True)
            (true,) = torch.autograd.grad(alone, x, only[row : row + 1, places])
            torch.testing.assert_close(ours, true, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "kind", "causal"), ORDERS)
def test_nan_in_padding_stays_there_and_scratch_is_written_before_it_is_read(
    name: str, kind: str, causal: bool
) -> None:
    context, mechanism = context_of([[70], [33, 9]], causal), made(name, kind)
    x, up, real = drawn(context), drawn(context, seed=1), context.valid()[:, :, None]
    clean = mechanism(x, context)
    (clean_grad,) = torch.autograd.grad(clean, x, up * real)
    torch.use_deterministic_algorithms(True)  # then memory that nobody has written yet holds NaN
    try:
        assert torch.empty(9).isnan().all()
        poisoned = x.detach().masked_fill(~real, float("nan")).requires_grad_()
        out = mechanism(poisoned, context)
        (grad,) = torch.autograd.grad(out, poisoned, up * real)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(out[context.valid()], clean[context.valid()])
    assert torch.equal(grad[context.valid()], clean_grad[context.valid()])


@pytest.mark.parametrize(("name", "kind"), CAUSAL)
def test_what_comes_later_moves_nothing_before(name: str, kind: str) -> None:
    mechanism, cut = made(name, kind), 41
    embedding = torch.randn(VOCABULARY, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    outs = []
    for seed in (1, 2, 3):
        ids = toy_document(90, seed=0)
        ids[cut:] = toy_document(90, seed=seed)[cut:]
        split, place = split_of({"d": (ids, ToyAnnotator().annotate(ids))}), np.arange(90)[None]
        ids_BN, context = read_places(split, place * 0, place)
        x = embedding[ids_BN].requires_grad_()
        out = mechanism(x, with_toy_bonds(context))
        (grad,) = torch.autograd.grad(out[:, :cut].square().sum(), x, retain_graph=True)
        assert not grad[:, cut:].any()
        outs.append(out)
    for other in outs[1:]:
        torch.testing.assert_close(other[:, :cut], outs[0][:, :cut], rtol=1e-12, atol=1e-12)
        assert (other[:, cut:] - outs[0][:, cut:]).abs().max() > 1e-6


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_an_order_that_it_does_not_know_is_refused(name: str, kind: str) -> None:
    for causal in {True, False} - set(MECHANISMS[name].orders):
        context, mechanism = context_of([[9]], causal), made(name, kind)
        with pytest.raises(ValueError, match=name):
            mechanism(drawn(context), context)


@pytest.mark.parametrize(("name", "kind"), CAUSAL)
def test_piece_by_piece_it_says_the_same(name: str, kind: str) -> None:
    mechanism = made(name, kind)
    if not hasattr(mechanism, "step"):
        return  # it cannot go on from piece to piece, and does not say that it can
    context = context_of([[70], [33, 9, 28]])
    x = drawn(context).detach()
    whole = mechanism(x, mechanism.prepare(context))
    assert _streamed(mechanism, x, context).allclose(whole, rtol=1e-10, atol=1e-10)


def _streamed(mechanism: Streaming, x_BNM: Tensor, context: Context) -> Tensor:
    place = torch.arange(x_BNM.shape[1])
    begins_BN = context.sequence_start() == place
    state, outs = mechanism.begin(x_BNM.shape[0]), []
    for at in place.tolist():
        out, state = mechanism.step(x_BNM[:, at], begins_BN[:, at], state)
        outs.append(out)
    return torch.stack(outs, dim=1)
