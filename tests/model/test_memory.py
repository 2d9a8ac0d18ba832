"""The memory of finished segments: bounded, the same however rows are cut, and what it keeps is what is looked for."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from model.attention.memory import MemoryAttention, codes
from model.attention.segments import segments_of
from model.config import MemoryConfig, ModelConfig
from model.layer import context_of_places
from model.profile import _Saved
from tests.model.toy import toy_context

SMALL = MemoryConfig(segment=8, slots=6, bits=16, pool=4, summaries=3)


def layer(settings: MemoryConfig = SMALL, **said: Any) -> MemoryAttention:
    torch.manual_seed(0)
    return MemoryAttention(ModelConfig(dim=16, heads=4, kv_heads=2, pattern=("memory",), memory=settings, **said))


def test_sequences_fall_into_waves_that_begin_where_they_do() -> None:
    _, context = toy_context([[5, 9], [3]])
    plan = segments_of(context, 4)
    assert plan.lengths == (9, 5, 3)
    assert [plan.sequences(wave) for wave in range(4)] == [3, 2, 1, 0]
    read, written = plan.places(1)
    assert read.tolist() == [[9, 10, 11, 12], [4, 4, 4, 4]]
    assert written.tolist() == [[9, 10, 11, 12], [4, 28, 28, 28]]
    assert plan.places(2)[0].tolist() == [[13]]


def test_a_batch_of_padding_alone_is_zeros() -> None:
    mechanism, context = layer(), context_of_places(1, 9, torch.zeros(1, 9, dtype=torch.bool))
    out = mechanism(torch.randn(1, 9, 16).requires_grad_(), context)
    assert not out.any()
    with torch.no_grad():
        assert not mechanism(torch.randn(1, 9, 16), context).any()


@pytest.mark.parametrize("kinds", [("linear",), ("kept",), ("pooled",), ("linear", "kept", "pooled")])
def test_with_and_without_gradients_it_says_the_same(kinds: tuple[str, ...]) -> None:
    mechanism = layer(replace(SMALL, kinds=kinds)).double()
    _, context = toy_context([[30, 13], [41]])
    x = torch.randn(2, 43, 16, dtype=torch.float64)
    with torch.no_grad():
        plain = mechanism(x, context)
    torch.testing.assert_close(mechanism(x, context), plain, rtol=1e-12, atol=1e-12)


def test_a_stream_holds_as_much_after_any_number_of_pieces() -> None:
    mechanism = layer()
    state, begins = mechanism.begin(2), torch.tensor([True, True])
    held = state.bytes()
    for _ in range(100):
        _, state = mechanism.step(torch.randn(2, 16), begins, state)
        begins = torch.zeros_like(begins)
        assert state.bytes() == held
    assert state.done.tolist() == [12, 12]


def test_what_looks_like_what_is_asked_for_stays() -> None:
    """HashEvict: keys that the queries of later segments agree with are kept, however old."""
    mechanism = layer(MemoryConfig(kinds=("kept",), segment=8, slots=2, bits=64)).double()
    wanted = torch.randn(4, dtype=torch.float64)
    k = torch.randn(1, 2, 8, 4, dtype=torch.float64)
    k[:, :, 3] = 2 * wanted
    memory = None
    for number in range(5):
        votes = mechanism.votes(wanted.expand(1, 4, 8, 4))
        memory = mechanism.remember(memory, k, k, votes, number)
        assert 3 in memory.place_QGF[0, 0]
        assert memory.keys_QGFD.shape == (1, 2, 2, 4)
        k = -torch.randn_like(k).abs() * wanted.sign()  # all that comes later points away


def test_hashes_of_near_vectors_agree_and_those_of_opposites_do_not() -> None:
    x = torch.randn(500, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    near = x + 0.1 * torch.randn(500, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    agree = (codes(x, 64) == codes(near, 64)).double().mean()
    # Charikar 2002: they part with probability angle / pi
    angle = torch.nn.functional.cosine_similarity(x, near).arccos().mean() / torch.pi
    assert float(agree) == pytest.approx(1 - float(angle), abs=0.01)
    assert not (codes(x, 64) == codes(-x, 64)).any()


def test_the_delta_rule_writes_nothing_that_is_known() -> None:
    mechanism = layer(MemoryConfig(kinds=("linear",), segment=4)).double()
    k, v = torch.randn(1, 2, 4, 4, dtype=torch.float64), torch.ones(1, 2, 4, 4, dtype=torch.float64)
    once = mechanism.remember(None, k, v, k, 0)
    twice = mechanism.remember(once, k, v, k, 1)
    torch.testing.assert_close(once.sums_QGDD, twice.sums_QGDD)  # any key recalls 1, the value of all
    assert (twice.mass_QGD > once.mass_QGD).all()


def test_going_back_finds_little_more_than_the_input_and_the_memory_of_each_segment() -> None:
    kept = {}
    for pieces in (512, 1024):
        for again in (True, False):
            mechanism = layer(replace(SMALL, segment=64, checkpoint=again))
            x = torch.randn(1, pieces, 16).requires_grad_()
            with _Saved() as saved:
                mechanism(x, context_of_places(1, pieces))
            kept[pieces, again] = saved.bytes()
    assert kept[1024, True] < 2.1 * kept[512, True]
    assert kept[1024, True] < kept[1024, False] / 10


def test_what_a_segment_sees_of_the_one_before_is_what_is_remembered() -> None:
    """Without a memory of it, nothing: a piece of the second segment changes with the first only through `remember`."""
    mechanism = layer(MemoryConfig(kinds=("pooled",), segment=8, pool=8, summaries=1)).double()
    x, context = torch.randn(1, 24, 16, dtype=torch.float64), context_of_places(1, 24)
    other = x.clone()
    other[:, :8] = torch.randn(1, 8, 16, dtype=torch.float64)
    out, moved = mechanism(x, context), mechanism(other, context)
    assert (out[:, 8:16] - moved[:, 8:16]).abs().max() > 1e-6
    torch.testing.assert_close(out[:, 16:], moved[:, 16:])  # one summary is remembered, and it is the second's


@pytest.mark.parametrize(("said", "why"), [
    ({"kinds": ()}, "empty"), ({"kinds": ("linaer",)}, "did you mean 'linear'"), ({"pool": 3}, "multiple of pool"),
    ({"slots": 0}, "at least 1"),
])  # fmt: skip
def test_settings_that_do_not_fit_are_named(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replace(SMALL, **said)
