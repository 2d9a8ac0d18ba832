"""The decoder: batching, packing and padding change nothing, and no place reads what it may not."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from model.config import POSITIONS, ModelConfig
from model.context import PER_PIECE, Context
from model.evaluate.leak import randomised
from model.transformer import Decoder
from tests.model.toy import VOCABULARY, toy_context

VIEWS = ("dense", "sentence", "pos & sentences(2)", "random(pos)")


@pytest.fixture(params=POSITIONS)
def decoder(request: pytest.FixtureRequest) -> Decoder:
    """Two layers with random weights in float64, none of them zero."""
    config = ModelConfig(layers=2, dim=16, heads=4, views=VIEWS, tags=True, positions=request.param, context=40)
    return randomised(Decoder(config, VOCABULARY), seed=0)


def part(context: Context, row: int, places: slice) -> Context:
    """A stretch of one row as a row of its own; places that count within the row are moved along."""
    columns = {name: getattr(context, name)[row : row + 1, places] for name in PER_PIECE}
    columns["sentence_start"] = columns["sentence_start"] - places.start
    return Context(**columns)


def alone(decoder: Decoder, ids: Tensor, context: Context, row: int, places: slice) -> Tensor:
    """Logits of a stretch that is given to the model by itself."""
    logits: Tensor = decoder(ids[row : row + 1, places], part(context, row, places))[0]
    return logits


def stretches(lengths: Sequence[int]) -> list[slice]:
    """Where documents of these lengths lie in a row."""
    ends = [sum(lengths[: count + 1]) for count in range(len(lengths))]
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]


@pytest.mark.parametrize("rows", [[[1], [3]], [[30], [7, 1, 12], [2, 19]], [[5, 5, 5], [15]]])
def test_a_packed_and_padded_batch_gives_what_its_documents_give_alone(decoder: Decoder, rows: list[list[int]]) -> None:
    ids, context = toy_context(rows, seed=3)
    together = decoder(ids, context)
    for row, lengths in enumerate(rows):
        for places in stretches(lengths):
            one = alone(decoder, ids, context, row, places)
            torch.testing.assert_close(together[row, places], one, rtol=1e-11, atol=1e-11)


def test_gradients_of_a_batch_are_those_of_its_rows(decoder: Decoder) -> None:
    rows = [[12, 5], [9]]
    ids, context = toy_context(rows, seed=4)
    weights = list(decoder.parameters())
    valid = context.valid()
    upstream = torch.randn(17, VOCABULARY, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    together = (decoder(ids, context) * upstream)[valid].sum()
    apart = torch.zeros((), dtype=torch.float64)
    for row, lengths in enumerate(rows):
        for places in stretches(lengths):
            apart = apart + (alone(decoder, ids, context, row, places) * upstream[places]).sum()
    torch.testing.assert_close(torch.autograd.grad(together, weights), torch.autograd.grad(apart, weights))


def test_nan_in_padding_stays_there(decoder: Decoder) -> None:
    ids, context = toy_context([[20], [7, 6]], seed=5)
    clean, valid = decoder(ids, context), context.valid()

    def poison(_module: nn.Module, _inputs: object, x_BNM: Tensor) -> Tensor:
        return x_BNM.masked_fill(~valid[:, :, None], float("nan"))

    decoder.embedding.register_forward_hook(poison)
    poisoned = decoder(ids, context)
    assert torch.equal(poisoned[valid], clean[valid])
    poisoned[valid].square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in decoder.parameters())


def test_what_padding_says_of_itself_is_of_no_account(decoder: Decoder) -> None:
    ids, context = toy_context([[20], [7, 6]], seed=5)
    valid = context.valid()
    junk = {name: torch.where(valid, getattr(context, name), 5) for name in PER_PIECE[1:]}
    changed = decoder(torch.where(valid, ids, 3), context._replace(**junk))  # type: ignore[arg-type]
    assert torch.equal(changed[valid], decoder(ids, context)[valid])


def test_a_view_decides_which_pieces_reach_a_place() -> None:
    # One layer, one view: the gradient of a logit reaches the embedding of a piece only where the mask has a key.
    config = ModelConfig(layers=1, dim=16, heads=2, views=("sentence",))
    decoder = randomised(Decoder(config, VOCABULARY), seed=1)
    ids, context = toy_context([[40]], seed=6)
    embedded: list[Tensor] = []
    decoder.embedding.register_forward_hook(lambda _module, _inputs, x_BNM: embedded.append(x_BNM))
    logits = decoder(ids, context)
    (bias,) = decoder.layers[0].attention.prepare(context).biases.values()
    mask = bias[0, 0] == 0
    for t in (0, 13, 39):
        (reached,) = torch.autograd.grad(logits[0, t].square().sum(), embedded[0], retain_graph=True)
        assert torch.equal(reached[0].abs().sum(-1) > 0, mask[t])


def test_views_and_tags_leave_the_other_first_weights_as_they_are() -> None:
    states = []
    plain = ModelConfig(layers=1, dim=16, heads=2)
    changes = ({}, {"views": ("dense", "sentence")}, {"tags": True}, {"positions": "learned"}, {"tag_loss": 0.1})
    for change in changes:
        torch.manual_seed(0)
        states.append(Decoder(replace(plain, **change), VOCABULARY).state_dict())  # type: ignore[arg-type]
    dense, *others = states
    added = [state.keys() - dense.keys() for state in others]
    assert added == [set(), {"tag_embedding.weight"}, {"place_embedding.weight"}, {"tag_out.weight"}]
    assert all(torch.equal(dense[name], state[name]) for state in others for name in dense)
