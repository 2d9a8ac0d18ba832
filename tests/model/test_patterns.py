"""Sparse patterns: who reads whom, how much memory that takes, and a gate that learns."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from model.attention import MECHANISMS
from model.attention.adaptive import MAKERS, AdaptiveAttention
from model.attention.clustered import Clustered
from model.attention.patterns import Asked, Pattern, allowed_pairs
from model.attention.random_keys import Random
from model.config import ModelConfig, load_recipe
from model.config.patterns import PATTERNS, PatternsConfig
from model.layer import attention, context_of_places
from model.toml import write
from model.transformer import Decoder

HEADS, WIDTH, PIECES = 2, 4, 60
SMALL = PatternsConfig(window=7, strides=(1, 3), keys=4, block=8, clusters=3, scales=(4, 8))
NAMES = [*PATTERNS, "adaptive"]


def config(settings: PatternsConfig = SMALL, **said: Any) -> ModelConfig:
    return ModelConfig(dim=HEADS * WIDTH, heads=HEADS, patterns=settings, **said)


def pattern(name: str, settings: PatternsConfig = SMALL) -> Pattern:
    torch.manual_seed(0)
    return MAKERS[name](config(settings), 0).double()


def asked(pieces: int = PIECES, rows: int = 1, seed: int = 0) -> Asked:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, rows, HEADS, pieces, WIDTH, generator=generator, dtype=torch.float64)
    return Asked(torch.zeros(rows, pieces, HEADS * WIDTH, dtype=torch.float64), q, k, v, k)


def read_by(made: Pattern, given: Asked, causal: bool = True) -> list[list[set[int]]]:
    """Of each head and query of the first row: the pieces whose values move what it gets."""
    context = made.prepare(context_of_places(*given.x.shape[:2], causal=causal), torch.float64)

    def mixed(v: Tensor) -> Tensor:
        return made(given._replace(v=v), context)[0].sum(-1)

    moved_HNBHND: Tensor = torch.autograd.functional.jacobian(mixed, given.v)  # type: ignore[no-untyped-call]
    seen = moved_HNBHND[:, :, 0].abs().sum(-1) > 0
    return [[set(of[head].nonzero()[:, 0].tolist()) for of in seen[head]] for head in range(HEADS)]


def by_definition(name: str, head: int, t: int, causal: bool, length: int = PIECES) -> set[int]:
    if name == "local":
        near = range(t - 6, t + 1 if causal else t + 7)
        return {s for s in near if 0 <= s < length}
    if name == "strided":
        steps = [j * SMALL.strides[head] for j in (range(4) if causal else range(-3, 4))]
        return {t - step for step in steps if 0 <= t - step < length}
    assert name == "hierarchical"
    read = set[int]()
    for size in SMALL.scales:
        own = t // size
        blocks = range(own - SMALL.keys, own) if causal else range(own - SMALL.keys, own + SMALL.keys + 1)
        read |= {s for s in range(length) if s // size in blocks}
        read |= {s for s in range(length) if s // size == own and (s <= t or not causal)}
    return read


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", ["local", "strided", "hierarchical"])
def test_keys_are_those_of_the_definition(name: str, causal: bool) -> None:
    found = read_by(pattern(name), asked(), causal)
    for head in range(HEADS):
        for t in range(PIECES):
            assert found[head][t] == by_definition(name, head, t, causal)


@pytest.mark.parametrize("causal", [True, False])
def test_random_keys_are_a_block_and_some_drawn_elsewhere(causal: bool) -> None:
    found = read_by(pattern("random"), asked(), causal)
    assert found[0] != found[1]  # heads draw for themselves
    for head in range(HEADS):
        for t in range(PIECES):
            begin = t // 8 * 8
            own = set(range(begin, t + 1 if causal else min(PIECES, begin + 8)))
            assert own <= found[head][t]
            drawn = found[head][t] - own
            assert len(drawn) == (min(4, begin) if causal else 4)
            assert all(s < begin or not causal for s in drawn)
            assert drawn == found[head][begin] - set(range(begin, begin + 8))  # the block shares them
    assert read_by(pattern("random", replace(SMALL, seed=1)), asked(), causal) != found


def test_random_keys_follow_from_places_alone() -> None:
    short, long = read_by(pattern("random"), asked(seed=0)), read_by(pattern("random"), asked(PIECES + 33, seed=1))
    assert all(long[head][:PIECES] == short[head] for head in range(HEADS))


def test_random_keys_are_spread_over_all_of_the_past() -> None:
    made = Random(config(replace(SMALL, keys=8, block=16)), 0)
    drawn = torch.tensor([[s for s in made.keys_of(0, t, t + 1, True) if s < t] for t in range(160, 4096, 16)])
    where = drawn / torch.arange(160, 4096, 16)[:, None]
    parts = torch.arange(9) / 8  # one from each eighth, anywhere in it
    assert ((where > parts[:-1] - 1e-2) & (where < parts[1:])).all()
    assert ((where - parts[:-1]).mean(0) - 1 / 16).abs().max() < 0.02


@pytest.mark.parametrize("causal", [True, False])
def test_clustered_keys_are_the_last_of_the_cluster(causal: bool) -> None:
    made, given = pattern("clustered"), asked()
    assert isinstance(made, Clustered)
    found, kinds = read_by(made, given, causal), made.clusters(given.plain)[1][0].tolist()
    for head in range(HEADS):
        assert len(set(kinds[head])) == 3
        for t in range(PIECES):
            alike = [s for s in range(PIECES) if kinds[head][s] == kinds[head][t]]
            before, after = [s for s in alike if s <= t][-4:], [s for s in alike if s > t][:3]
            assert found[head][t] == {*before, *([] if causal else after)}


@pytest.mark.parametrize("name", NAMES)
def test_no_query_reads_more_however_long_the_text(name: str) -> None:
    read = []
    for pieces in (400, 800):
        made = attention(
            HEADS * WIDTH, HEADS, name, window=7, keys=4, block=8, clusters=3, strides=[1, 3], scales=[4, 8]
        )
        _, info = made(torch.randn(1, pieces, HEADS * WIDTH), return_info=True)
        context = context_of_places(1, pieces)
        read.append(torch.tensor(info.density) * allowed_pairs(context) / pieces)
        assert 0 < info.sparse_ratio() < 1
    assert (read[1] <= 12).all()  # 8 of a block and 4 elsewhere
    torch.testing.assert_close(read[0], read[1], rtol=0.05, atol=0)


class Largest(TorchDispatchMode):
    """Entries of the largest tensor that any operation makes, gradients included."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor):
                self.entries = max(self.entries, each.untyped_storage().nbytes() // each.element_size())
        return made


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_memory_grows_as_the_text_does(name: str, causal: bool) -> None:
    largest, settings = [], replace(SMALL, window=32, keys=16, strides=(1, 4), block=32, scales=(16, 32))
    for pieces in (1024, 4096):
        made = MECHANISMS[name].make(config(settings), 0)
        x = torch.randn(1, pieces, HEADS * WIDTH, requires_grad=True)
        with Largest() as seen:
            made(x, context_of_places(1, pieces, causal=causal)).square().sum().backward()
        largest.append(seen.entries)
    assert largest[1] <= 4.1 * largest[0]
    assert largest[1] < 4096 * 4096 / 8


def test_a_batch_of_padding_alone_gives_nothing() -> None:
    context = context_of_places(2, 9)
    empty = context._replace(document=torch.full_like(context.document, -1))
    for name in NAMES:
        out = MECHANISMS[name].make(config(), 0)(torch.full((2, 9, HEADS * WIDTH), torch.nan), empty)
        assert not out.any()


@pytest.mark.parametrize("name", NAMES)
def test_sixteen_bits_are_near_thirty_two(name: str) -> None:
    torch.manual_seed(0)
    made, x = MECHANISMS[name].make(config(positions="alibi"), 0), torch.randn(2, 50, HEADS * WIDTH)
    context = context_of_places(2, 50)
    exact = made(x, context)
    with torch.autocast("cpu", torch.bfloat16):
        rough = made(x, context)
    if name in ("clustered", "adaptive"):  # rounding moves pieces from one cluster to another
        assert rough.isfinite().all()
    else:
        torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)


def task(pieces: int, seed: int) -> tuple[Tensor, Tensor]:
    """Say again what stood 24 pieces before: only patterns that reach so far can."""
    ids = torch.randint(16, (8, pieces), generator=torch.Generator().manual_seed(seed))
    return ids, ids.roll(24, dims=1)


@pytest.mark.parametrize("gate", ["token", "head"])
def test_the_gate_learns_which_pattern_serves(gate: str) -> None:
    torch.manual_seed(0)
    settings = PatternsConfig(window=4, strides=(8, 12), keys=4, gate=gate, patterns=("local", "strided"))
    model = Decoder(ModelConfig(layers=1, dim=32, heads=2, pattern=("adaptive",), patterns=settings), 16)
    layer = model.layers[0].attention
    assert isinstance(layer, AdaptiveAttention)
    context, first = context_of_places(8, 96), {name: each.clone() for name, each in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(120):
        ids, wanted = task(96, step)
        loss = torch.nn.functional.cross_entropy(model(ids, context)[:, 24:].flatten(0, 1), wanted[:, 24:].flatten())
        optimizer.zero_grad()
        loss.backward()
        assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert all((each - first[name]).abs().max() > 1e-3 for name, each in model.named_parameters())
    assert losses[-1] < 0.5 * losses[0]
    info = layer.info(model.embedding(task(96, 0)[0]), context)
    assert min(info.shares["strided"]) > 0.6


def test_every_weight_of_a_mix_of_all_gets_a_gradient() -> None:
    for gate in ("token", "head"):
        made = attention(HEADS * WIDTH, HEADS, "adaptive", gate=gate, strides=[1, 3], keys=4, clusters=3)
        made(torch.randn(2, 70, HEADS * WIDTH)).square().sum().backward()
        assert all(each.grad is not None and each.grad.abs().max() > 0 for each in made.parameters())


def test_info_says_what_the_gate_does() -> None:
    made = attention(HEADS * WIDTH, HEADS, "adaptive", preset="near")
    x, padding = torch.randn(2, 300, HEADS * WIDTH), torch.zeros(2, 300, dtype=torch.bool)
    padding[1, 100:] = True
    _, info = made(x, key_padding_mask=padding, return_info=True)
    assert list(info.shares) == list(info.parts) == ["local", "hierarchical"]
    torch.testing.assert_close(torch.tensor(list(info.shares.values())).sum(0), torch.ones(HEADS))
    mixed = sum(torch.tensor(info.shares[name]) * torch.tensor(info.parts[name]) for name in info.shares)
    torch.testing.assert_close(torch.tensor(info.density), mixed)
    pairs = sum(min(t + 1, 64) for length in (300, 100) for t in range(length))
    allowed = sum(length * (length + 1) / 2 for length in (300, 100))
    assert info.parts["local"] == pytest.approx((pairs / allowed,) * HEADS)


def test_a_layer_takes_the_settings_of_its_mechanism() -> None:
    made = attention(64, 4, mechanism="local", window=32)
    assert made.config.patterns == PatternsConfig(window=32)
    assert "local" in repr(made)
    _, info = made(torch.randn(1, 40, 64), return_info=True)
    assert (info.views, info.cost, info.shares) == (("local",) * 4, ("linear",) * 4, {})


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"mechanism": "lokal"}, "did you mean 'local'"),
        ({"mechanism": "local", "windw": 3}, "did you mean 'window'"),
        ({"mechanism": "local", "window": "3"}, "give a whole number"),
        ({"mechanism": "local", "window": 0}, "at least 1"),
        ({"mechanism": "strided", "strides": (1, 2, 3)}, "share them out evenly"),
        ({"mechanism": "strided", "strides": (0,)}, "at least 1 piece"),
        ({"mechanism": "hierarchical", "scales": (4, 6)}, "multiple of the one before"),
        ({"mechanism": "adaptive", "patterns": ("loca",)}, "did you mean 'local'"),
        ({"mechanism": "adaptive", "patterns": ("local", "local")}, "none twice"),
        ({"mechanism": "adaptive", "gate": "tokens"}, "did you mean 'token'"),
        ({"mechanism": "adaptive", "preset": "nearby"}, "did you mean 'near'"),
        ({"mechanism": "local", "preset": "near"}, "has none; give its settings"),
        ({"mechanism": "local", "views": ["dense"]}, "has no views"),
        ({"mechanism": "random", "seed": -1}, "number from 0"),
        ({"window": 3}, "has none of its own"),
    ],
)
def test_a_setting_that_does_not_fit_says_what_would(said: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        attention(64, 4, **said)


def test_a_recipe_says_them_in_a_table_of_their_own(tmp_path: Any) -> None:
    recipe = load_recipe("tiny-views")
    model = replace(recipe.model, pattern=("local", "adaptive", "views"), patterns=replace(SMALL, gate="head"))
    (tmp_path / "mine.toml").write_text(write(replace(recipe, model=model)))
    assert "[model.patterns]" in (tmp_path / "mine.toml").read_text()
    assert load_recipe(tmp_path / "mine.toml").model == model
