"""Hash attention: buckets that later pieces cannot change, loads that add up, a loss that evens them out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.attention.hash import HashAttention
from model.config import ModelConfig
from model.config.hash import HashConfig
from model.context import Context
from model.kernels.runs import runs_of
from model.layer import context_of_places
from model.objective import Objective, auxiliary
from model.transformer import Decoder
from tests.model.toy import VOCABULARY, toy_context

STEP = torch.tensor(0)


def made(**said: object) -> HashAttention:
    torch.manual_seed(0)
    return HashAttention(ModelConfig(dim=16, heads=4, kv_heads=2, hash=HashConfig(**said))).double()  # type: ignore[arg-type]


def drawn(context: Context, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*context.document.shape, 16, generator=generator, dtype=torch.float64)


def test_loads_add_up_to_the_pieces() -> None:
    _, context = toy_context([[40], [19, 10]])
    layer = made(buckets=6, keys=3, rounds=2, dissimilar=1)
    loads = layer.info(drawn(context), context)
    assert loads.keys.shape == (3, 2, 6)
    assert loads.queries.shape == (3, 4, 6)
    assert (loads.keys.sum(-1) == 69).all()
    assert (loads.queries.sum(-1) == 69).all()
    assert ((loads.read >= 0) & (loads.read <= 3)).all()
    assert ((loads.evenness > 0) & (loads.evenness <= 1)).all()


def test_with_room_for_all_a_query_reads_the_keys_before_it_of_its_side() -> None:
    context = context_of_places(1, 20)
    layer, x = made(buckets=2, keys=20, rounds=1), drawn(context_of_places(1, 20))
    loads = layer.info(x, context)
    *_, asked, offered = layer.inputs_hashed(x, context)
    same = asked.bucket[0, :, :, 0, :, None] == offered.bucket[0, :, None, 0, None, :]  # [G,E,N,N]
    expected = (same & torch.ones(20, 20, dtype=torch.bool).tril()).sum((-1, -2)).flatten() / 20
    torch.testing.assert_close(loads.read[0], expected)


def test_dissimilar_queries_look_into_the_bucket_opposite() -> None:
    context = context_of_places(1, 30)
    layer = made(buckets=8, rounds=1, dissimilar=1)
    with torch.no_grad():
        layer.rotations[:, 1] = layer.rotations[:, 0]
    *_, asked, _ = layer.inputs_hashed(drawn(context), context)
    assert torch.equal((asked.bucket[:, :, :, 0] + 4) % 8, asked.bucket[:, :, :, 1])


def test_a_capacity_that_later_pieces_fill_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of law 1 must see the leak that it is there for: the latest keys of the whole bucket."""
    context, cut = context_of_places(1, 60), 30
    layer, x = made(buckets=2, keys=4, local=1, rounds=1), drawn(context_of_places(1, 60))
    later = torch.cat([x[:, :cut], drawn(context, seed=1)[:, cut:]], dim=1)
    torch.testing.assert_close(layer(x, context)[:, :cut], layer(later, context)[:, :cut], rtol=1e-12, atol=1e-12)
    right = HashAttention.runs

    def leaky(self: HashAttention, key: Tensor, query: Tensor, start: Tensor, context: Context) -> object:
        """Every query reads what the last piece of the row would read of its bucket."""
        order, _ = right(self, key, query, start, context)
        end = torch.searchsorted(key.flatten(0, 1).sort(dim=1).values, query.flatten(2).flatten(0, 1), right=True)
        return order, runs_of(end, (end - self.keys).clamp(min=0), end, keys=key.shape[-1], block=self.keys)

    monkeypatch.setattr(HashAttention, "runs", leaky)
    assert (layer(x, context)[:, :cut] - layer(later, context)[:, :cut]).abs().max() > 1e-6


def test_the_balance_loss_is_one_for_even_buckets_and_falls_when_trained() -> None:
    context = context_of_places(4, 64)
    layer = made(buckets=8, balance=1.0).float()
    x = drawn(context).float() * 0.3 + drawn(context, 2).float()[:1, :1]  # all much alike: few buckets
    optimizer = torch.optim.Adam([layer.rotations], lr=0.05)
    losses, evenness = [], []
    for _ in range(40):
        layer(x, context)
        loss = layer.auxiliary()
        losses.append(float(loss.detach()))
        evenness.append(float(layer.info(x, context).evenness.mean()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] > 2.0
    assert losses[-1] < 0.75 * losses[0]
    assert evenness[-1] > evenness[0] + 0.1


def test_the_balance_loss_of_equal_shares_is_its_weight() -> None:
    layer = made(buckets=2, balance=0.25)
    toward = torch.tensor([1.0, -1.0], dtype=torch.float64).view(1, 1, 1, 1, 2, 1)
    layer.last = (toward, toward, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(layer.auxiliary(), torch.tensor(0.25, dtype=torch.float64))


def test_training_adds_the_balance_loss_and_evaluation_keeps_nothing() -> None:
    ids, context = toy_context([[30], [12, 9]])
    config = ModelConfig(layers=3, dim=16, heads=2, pattern=("hash", "views"))
    torch.manual_seed(0)
    model = Objective(Decoder(config, VOCABULARY), seed=0)
    loss, nats = model(ids, context, ids, STEP)
    added = auxiliary(model.decoder)
    assert isinstance(added, Tensor)
    torch.testing.assert_close(loss, nats + added)
    assert added >= 2 * 0.01 * 0.9  # two layers
    loss.backward()
    assert all(layer.attention.rotations.grad.abs().max() > 0 for layer in list(model.decoder.layers)[::2])  # type: ignore[union-attr]
    model.eval()
    with torch.no_grad():
        loss, nats = model(ids, context, ids, STEP)
    assert torch.equal(loss, nats)


def test_the_loss_moves_the_rotations_without_a_balance_loss() -> None:
    context = context_of_places(1, 50)
    layer = made(buckets=4, keys=8, balance=0.0)
    functional.mse_loss(layer(drawn(context), context), drawn(context, 1)).backward()
    assert layer.rotations.grad is not None
    assert (layer.rotations.grad.flatten(2).abs().amax(-1) > 0).all()


def test_a_stream_keeps_as_much_after_many_pieces_as_after_one() -> None:
    layer = made(buckets=4, keys=3, local=2, rounds=1)
    state, begins, sizes = layer.begin(2), torch.ones(2, dtype=torch.bool), set()
    for _ in range(30):
        _, state = layer.step(torch.randn(2, 16, dtype=torch.float64), begins, state)
        begins = torch.zeros_like(begins)
        sizes.add(sum(part.numel() for part in state[1:]))  # type: ignore[union-attr]
    near, found = 2 * 2 * 2 * 2 * 4, 2 * 2 * 2 * 1 * 4 * 3 * 4  # keys and values; rows, groups, …, width
    assert sizes == {near + found + 2 * 2 * 4 * 3 + 2 * 2 * 4 + 2}
    assert int(state.filled.sum()) == 2 * 2 * 30


@pytest.mark.parametrize("said", [{"buckets": 3}, {"keys": 0}, {"dissimilar": -1}, {"balance": -1.0}, {"rounds": 0}])
def test_unfit_settings_are_named(said: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"hash.{next(iter(said))}"):
        HashConfig(**said)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positions"):
        HashAttention(ModelConfig(positions="alibi"))
