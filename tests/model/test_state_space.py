"""State space: segments and chunks change nothing, decays stay in range, the adapter says what it is given."""

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from model.attention import state_space
from model.attention.scan import BLOCK, carry
from model.attention.state_space import StateSpace, state_space_slow
from model.config import ModelConfig
from model.config.state_space import StateSpaceConfig
from model.layer import context_of_places
from tests.model.toy import toy_context


def made(**said: object) -> StateSpace:
    torch.manual_seed(0)
    config = ModelConfig(dim=16, heads=4, state_space=StateSpaceConfig(state=6, **said))  # type: ignore[arg-type]
    return StateSpace(config)


@pytest.mark.parametrize("segment", [3, 8])
def test_segments_give_what_rows_read_whole_give(segment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, context = toy_context([[33, 1, 10], [29]])
    layer, up = made(chunk=4, groups=2).double(), torch.randn(2, 44, 16, dtype=torch.float64)
    x = torch.randn(2, 44, 16, dtype=torch.float64, requires_grad=True)
    inputs = (x, *layer.parameters())
    whole = layer(x, context)
    true = torch.autograd.grad(whole, inputs, up)
    monkeypatch.setitem(state_space.SEGMENT, "cpu", segment)
    out = layer(x, context)
    torch.testing.assert_close(out, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(out, inputs, up), true, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("chunks", [1, BLOCK, BLOCK + 1, BLOCK**2 + 5])
def test_states_are_carried_on_over_any_number_of_chunks(chunks: int) -> None:
    torch.manual_seed(0)
    decay, add = -torch.rand(1, 2, chunks, dtype=torch.float64), torch.randn(1, 2, chunks, 3, dtype=torch.float64)
    run = (torch.arange(chunks) // 700)[None, None]
    state, expected = torch.zeros(1, 2, 3, dtype=torch.float64), []
    for n in range(chunks):
        state = decay[:, :, n, None].exp() * state * bool(n and run[0, 0, n] == run[0, 0, n - 1]) + add[:, :, n]
        expected.append(state)
    torch.testing.assert_close(carry(decay, add, run), torch.stack(expected, dim=2), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("rate", [1e-6, 1.0, 1e4])
def test_single_precision_bears_decays_of_any_size(rate: float) -> None:
    """Slow ones, whose sums must not lose small terms, and such that nothing survives a piece."""
    layer = made(chunk=64)
    with torch.no_grad():
        layer.rate_log.fill_(torch.tensor(rate).log())
        layer.step_bias.fill_(1.0)
    context, x = context_of_places(1, 150), torch.randn(1, 150, 16, requires_grad=True)
    out = layer(x, context)
    out.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    exact = layer.double()(x.detach().double(), context)
    assert (out - exact).abs().max() < 1e-4 * exact.abs().max()


def test_sixteen_bits_keep_their_states_in_thirty_two() -> None:
    layer, context, x = made(), context_of_places(1, 200), torch.randn(1, 200, 16)
    exact = layer(x, context)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = layer(x, context)
    assert (near - exact).norm() < 0.03 * exact.norm()
    assert layer.begin(1).carried.state.dtype == torch.float32
    assert layer.bfloat16().begin(1).carried.state.dtype == torch.float32


def test_a_stream_keeps_as_much_after_a_thousand_pieces_as_after_one() -> None:
    layer, begins = made(), torch.tensor([False])
    state, sizes = layer.begin(1), set()
    for _ in range(20):
        _, state = layer.step(torch.randn(1, 16), begins, state)
        sizes.add((state.recent.numel(), state.carried.state.numel()))
    assert sizes == {(3 * (32 + 2 * 6), 4 * 6 * 8)}


def test_mamba_ssm_is_asked_for_by_name_where_it_is_missing() -> None:
    layer = made(kernel="mamba-ssm")
    with pytest.raises(ValueError, match=r"pip install mamba-ssm.*torch"):
        layer(torch.randn(1, 5, 16), context_of_places(1, 5))


@pytest.mark.parametrize("causal", [True, False])
def test_mamba_ssm_is_given_what_the_formula_has(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the signature of its kernel, piece by piece."""

    def mamba_chunk_scan_combined(
        x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, chunk_size: int, D: Tensor, seq_idx: Tensor
    ) -> Tensor:
        assert seq_idx.dtype == torch.int32
        each, out = x.shape[2] // B.shape[2], torch.empty_like(x)
        for row in range(len(x)):
            state = x.new_zeros(x.shape[2], B.shape[3], x.shape[3])
            for n in range(x.shape[1]):
                if n and seq_idx[row, n] != seq_idx[row, n - 1]:
                    state = torch.zeros_like(state)
                b, c = (part[row, n].repeat_interleave(each, dim=0) for part in (B, C))
                wrote = dt[row, n][:, None, None] * b[:, :, None] * x[row, n][:, None]
                state = (dt[row, n] * A).exp()[:, None, None] * state + wrote
                out[row, n] = (c[:, :, None] * state).sum(1) + D[:, None] * x[row, n]
        return out

    module = ModuleType("mamba_ssm.ops.triton.ssd_combined")
    module.mamba_chunk_scan_combined = mamba_chunk_scan_combined  # type: ignore[attr-defined]
    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    _, context = toy_context([[9, 5], [11]])
    context, x = context._replace(causal=causal), torch.randn(2, 14, 16, dtype=torch.float64)
    layer = made(kernel="mamba-ssm", groups=2).double()
    with torch.no_grad():
        torch.testing.assert_close(layer(x, context), state_space_slow(layer, x, context), rtol=1e-11, atol=1e-11)


def test_unfit_settings_are_named() -> None:
    with pytest.raises(ValueError, match="did you mean 'mamba-ssm'"):
        StateSpaceConfig(kernel="mamba_ssm")
    with pytest.raises(ValueError, match=r"state_space\.chunk"):
        StateSpaceConfig(chunk=0)
    with pytest.raises(ValueError, match="groups is 3; 4 heads"):
        made(groups=3)
