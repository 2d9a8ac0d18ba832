"""The losses: of the next piece alone, with dropout, and with the tag as a second target."""

import math

import torch

from model.config import ModelConfig
from model.context import NO_TAG
from model.evaluate.leak import randomised
from model.evaluate.perplexity import piece_loss
from model.objective import Objective, tag_loss
from model.transformer import Decoder
from tests.model.toy import VOCABULARY, toy_context

STEP = torch.tensor(0)


def objective(**settings: float) -> Objective:
    config = ModelConfig(layers=1, dim=16, heads=2, **settings)  # type: ignore[arg-type]
    return Objective(randomised(Decoder(config, VOCABULARY), seed=0), seed=3)


def test_without_other_settings_it_is_the_loss_of_the_next_piece() -> None:
    ids, context = toy_context([[12, 5], [9]])
    made = objective()
    loss, nats = made(ids, context, ids, STEP)
    assert torch.equal(loss, piece_loss(made.decoder(ids, context), ids))
    assert torch.equal(nats, loss)


def test_dropout_is_drawn_anew_at_each_step_and_not_in_evaluation() -> None:
    ids, context = toy_context([[12, 5], [9]])
    made = objective(dropout=0.5)
    losses = [float(made(ids, context, ids, torch.tensor(step))[1]) for step in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(made.decoder(ids, context), objective().decoder(ids, context))


def test_the_tag_loss_is_that_of_words_alone_and_is_added_with_its_weight() -> None:
    ids, context = toy_context([[12, 5], [9]])
    made = objective(tag_loss=0.25)
    hidden = made.decoder.hidden(ids, context)
    assert made.decoder.tag_out is not None
    logits = (hidden @ made.decoder.tag_out.weight.T).detach()
    said = [
        -float(logits[row, t].log_softmax(0)[tag])
        for row, tags in enumerate(context.key_tag.tolist())
        for t, tag in enumerate(tags)
        if tag != NO_TAG
    ]
    expected = sum(said) / len(said)
    assert math.isclose(float(tag_loss(logits, context)), expected, rel_tol=1e-6)
    loss, nats = made(ids, context, ids, STEP)
    assert math.isclose(float(loss.detach()), float(nats) + 0.25 * expected, rel_tol=1e-6)
    nobody = context._replace(key_tag=torch.full_like(context.key_tag, NO_TAG))
    assert float(tag_loss(logits, nobody)) == 0
