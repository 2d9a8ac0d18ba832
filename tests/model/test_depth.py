"""Depth: shared weights, layers computed backwards, and pondering, each against its plain meaning."""

from dataclasses import replace
from math import exp
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.attention import MECHANISMS
from model.config import DepthConfig, MemoryConfig, ModelConfig, Recipe, TrainConfig
from model.context import Context
from model.depth import reversible, storeys_of
from model.depth.ponder import divergence, expected_slow, histogram, prior
from model.dropout import Noise
from model.evaluate.leak import randomised
from model.generate.trained import Trained
from model.objective import Objective
from model.profile import _Saved
from model.run import load_run
from model.speed import flops_a_piece
from model.tasks import TASKS
from model.tasks.batches import task_batch
from model.train import train
from model.transformer import Decoder
from pipeline.pieces import Tokenizer
from tests.model.test_mechanisms import CONFIGS
from tests.model.tiny_cache import write_cache
from tests.model.toy import VOCABULARY, toy_context, with_toy_bonds

PLAIN = ModelConfig(layers=4, dim=16, heads=2, views=("dense", "sentence"), tags=True, dropout=0.3)
ROWS = [[9, 20], [31]]


def made(config: ModelConfig) -> Decoder:
    torch.manual_seed(0)
    return randomised(Decoder(config, VOCABULARY), seed=0)


def case(seed: int = 0) -> tuple[Tensor, Context]:
    ids, context = toy_context(ROWS, seed=seed)
    return ids, with_toy_bonds(context)


def noise() -> Noise:
    return Noise(torch.tensor(7), torch.tensor(0.3))


def gradients(decoder: Decoder, out: Tensor) -> dict[str, Tensor]:
    upstream = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    named = dict(decoder.named_parameters())
    found = torch.autograd.grad(out, list(named.values()), upstream)
    return dict(zip(named, found, strict=True))


@pytest.mark.parametrize("order", ["cycle", "sequence"])
def test_tied_layers_are_layers_with_the_same_weights_whose_gradients_add_up(order: str) -> None:
    tied = made(replace(PLAIN, depth=DepthConfig(tied=2, order=order)))
    depth, free = tied.config.depth, made(PLAIN)
    of = [depth.weights_of(layer) for layer in range(4)]
    assert of == ([0, 1, 0, 1] if order == "cycle" else [0, 0, 2, 2])
    own = sorted(set(of))
    weights = tied.state_dict()
    for layer, its in enumerate(of):
        mine = f"layers.{own.index(its)}."
        weights |= {name.replace(mine, f"layers.{layer}."): weight
                    for name, weight in tied.state_dict().items() if name.startswith(mine)}  # fmt: skip
    free.load_state_dict(weights)
    ids, context = case()
    out, plain = tied(ids, context, noise()), free(ids, context, noise())
    torch.testing.assert_close(out, plain, rtol=1e-12, atol=1e-12)
    ours, theirs = gradients(tied, out), gradients(free, plain)
    for name, gradient in ours.items():
        head, number, *rest = name.split(".")
        if head == "layers":
            parts = [theirs[".".join([head, str(layer), *rest])]
                     for layer, its in enumerate(of) if own.index(its) == int(number)]  # fmt: skip
            torch.testing.assert_close(gradient, torch.stack(parts).sum(0), rtol=1e-10, atol=1e-10)
        else:
            torch.testing.assert_close(gradient, theirs[name], rtol=1e-10, atol=1e-10)


def test_shared_weights_cost_as_many_operations_as_their_own_would() -> None:
    tied, free = (Decoder(replace(PLAIN, depth=DepthConfig(tied=tied)), VOCABULARY) for tied in (2, 0))
    assert flops_a_piece(tied, 64) == flops_a_piece(free, 64)


EVERY = [(name, kind) for name in MECHANISMS for kind in CONFIGS[name]]


@pytest.mark.parametrize(("name", "kind"), EVERY)
@pytest.mark.parametrize("tied", [0, 1])
def test_reversible_gradients_are_those_of_plain_recomputation(
    name: str, kind: str, tied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, whose noise is the same on the way back."""
    own = CONFIGS[name][kind]
    config = replace(
        own, layers=3, pattern=(name,), dropout=0.3, context=64, depth=DepthConfig(reversible=True, tied=tied),
        hash=replace(own.hash, balance=0.0),
    )  # fmt: skip
    decoder, (ids, context) = made(config), case()
    context = context._replace(causal=True in MECHANISMS[name].orders)
    ours = decoder(ids, context, noise())
    mine = gradients(decoder, ours)
    monkeypatch.setattr("model.depth.there_and_back", reversible.up)  # autograd follows it, and keeps all
    plain = decoder(ids, context, noise())
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    for name_, gradient in gradients(decoder, plain).items():
        torch.testing.assert_close(mine[name_], gradient, rtol=1e-8, atol=1e-9)


def test_one_step_of_reversible_layers_is_what_the_formula_says() -> None:
    decoder, (ids, context) = made(replace(PLAIN, layers=1, depth=DepthConfig(reversible=True))), case()
    x, layer = decoder.embedded(ids, context), decoder.layers[0]
    ((_, context, _),) = storeys_of([layer], context, None)
    a = x + layer.attention(layer.attention_norm(x), context)
    b = x + layer.feed(layer.feed_norm(a))
    torch.testing.assert_close(decoder.hidden(ids, context), decoder.norm((a + b) / 2))


@pytest.mark.parametrize(("depth", "grows"), [(DepthConfig(), True), (DepthConfig(reversible=True), False)])
def test_what_is_kept_for_going_back_does_not_grow_with_reversible_layers(depth: DepthConfig, grows: bool) -> None:
    ids, context = toy_context([[128]])
    kept = []
    for layers in (2, 8):
        with _Saved() as saved:
            Decoder(ModelConfig(layers=layers, dim=32, heads=2, depth=depth), VOCABULARY).hidden(ids, context)
        kept.append(saved.bytes())
    assert (kept[1] > 2 * kept[0]) if grows else kept[0] == kept[1]


PONDERING = replace(PLAIN, depth=DepthConfig(ponder=0.3))


@pytest.mark.parametrize("depth", [
    DepthConfig(ponder=0.3),
    DepthConfig(ponder=0.3, tied=2),
    DepthConfig(ponder=0.6, ponder_step=2, reversible=True),
])  # fmt: skip
def test_pondering_is_the_expectation_of_each_piece(depth: DepthConfig) -> None:
    decoder, (ids, context) = made(replace(PLAIN, depth=depth)), case()
    pondered = decoder.pondered(ids, context)
    assert len(pondered.states) == 4 // depth.step()
    halt_TBN = pondered.log_halt_TBN.exp()
    torch.testing.assert_close(halt_TBN.sum(0), torch.ones_like(halt_TBN[0]), rtol=1e-12, atol=1e-12)
    slow, mean = expected_slow(decoder, pondered.states)
    torch.testing.assert_close(halt_TBN, slow, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(decoder.hidden(ids, context), mean, rtol=1e-11, atol=1e-12)
    ours, true = (gradients_of_halting(decoder, out) for out in (pondered.expected(), mean))
    torch.testing.assert_close(ours, true, rtol=1e-10, atol=1e-10)


def gradients_of_halting(decoder: Decoder, out: Tensor) -> tuple[Tensor, ...]:
    assert decoder.halting is not None
    upstream = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    return torch.autograd.grad(out, list(decoder.halting.parameters()), upstream, retain_graph=True)


def test_the_loss_is_what_each_step_costs_as_likely_as_it_is_and_how_far_that_is_from_the_prior() -> None:
    decoder, (ids, context) = made(replace(PONDERING, dropout=0.0)), case()
    targets = torch.where(context.valid(), (ids + 1) % VOCABULARY, -100)
    with torch.no_grad():
        loss, nats = Objective(decoder, 0)(ids, context, targets, torch.tensor(0))
        pondered = decoder.pondered(ids, context)
    halts, log_prior = pondered.log_halt_TBN.exp(), prior(4, 0.3)
    expected = apart = 0.0
    for row, t in context.valid().nonzero().tolist():
        for step, state in enumerate(pondered.states):
            p = float(halts[step, row, t])
            said = (decoder.embedding.weight.detach() @ state[row, t]).log_softmax(0)
            expected -= p * float(said[targets[row, t]])
            apart += p * (float(halts[step, row, t].log()) - log_prior[step])
    pieces = int(context.valid().sum())
    assert float(nats) == pytest.approx(expected / pieces, rel=1e-9)
    assert float(loss) == pytest.approx((expected + 0.01 * apart) / pieces, rel=1e-9)


def test_the_prior_is_geometric_and_nothing_is_apart_from_itself() -> None:
    assert [exp(each) for each in prior(3, 0.25)] == pytest.approx([0.25, 0.1875, 0.5625])
    alike = torch.tensor(prior(3, 0.25))[:, None, None]
    assert divergence(alike, 0.25).abs().max() < 1e-6
    sure = torch.tensor([0.0, -float("inf"), -float("inf")], requires_grad=True)
    apart = divergence(sure[:, None, None], 0.25)
    apart.sum().backward()
    assert apart.item() == pytest.approx(1.386294, abs=1e-5)  # log 4
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


def test_halting_depends_on_nothing_that_comes_later() -> None:
    decoder, cut = made(PONDERING), 17
    ids, context = toy_context([[31]], seed=2)
    halts = decoder.pondered(ids, context).log_halt_TBN
    other = ids.clone()
    other[:, cut:] = (other[:, cut:] + 7) % VOCABULARY
    moved = decoder.pondered(other, context).log_halt_TBN
    torch.testing.assert_close(moved[..., :cut], halts[..., :cut], rtol=1e-12, atol=1e-12)
    assert (moved[..., cut:] - halts[..., cut:]).abs().max() > 1e-6
    fewer = Context(*(each[:, :cut] for each in context[:7]))
    torch.testing.assert_close(
        decoder.pondered(ids[:, :cut], fewer).log_halt_TBN, halts[..., :cut], rtol=1e-9, atol=1e-9
    )


def test_the_steps_to_be_expected_follow_the_prior() -> None:
    """A heavy prior is met; a light one leaves room."""
    found = {}
    for ponder in (0.8, 0.2):
        torch.manual_seed(0)
        config = ModelConfig(layers=4, dim=16, heads=2, depth=DepthConfig(ponder=ponder, ponder_weight=1.0))
        decoder = Decoder(config, TASKS["odd"].vocabulary)
        assert decoder.halting is not None
        with torch.no_grad():
            decoder.halting.gate.bias.zero_()  # both begin at a half
        objective, optimizer = Objective(decoder, 0), torch.optim.AdamW(decoder.parameters(), lr=2e-2)
        for step in range(60):
            batch = task_batch(TASKS["odd"], 2, 32, [0, step])
            objective(batch.ids, batch.context, batch.targets, torch.tensor(step))[0].backward()
            optimizer.step()
            optimizer.zero_grad()
        told = histogram(decoder, [task_batch(TASKS["odd"], 4, 32, [1])])
        assert sum(told["halting"]) == pytest.approx(1.0)
        found[ponder] = told["expected_steps"]
    means = {ponder: sum(step * exp(p) for step, p in enumerate(prior(4, ponder), start=1)) for ponder in found}
    assert found[0.8] == pytest.approx(means[0.8], abs=0.15)
    assert found[0.2] == pytest.approx(means[0.2], abs=0.25)


@pytest.mark.parametrize(("said", "why"), [
    ({"depth": DepthConfig(tied=3)}, "groups of so many"),
    ({"depth": DepthConfig(tied=3), "layers": 6, "pattern": ("views", "memory")}, "differ in mechanism"),
    ({"depth": DepthConfig(ponder=0.5, ponder_step=3)}, "steps of so many"),
    ({"depth": DepthConfig(ponder=0.5, tied=4)}, "no more"),
    ({"depth": DepthConfig(ponder=0.5), "objective": "classify"}, "classify"),
    ({"depth": DepthConfig(reversible=True), "pattern": ("views", "hash")}, "hash.balance to 0"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused_when_it_is_said(said: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replace(PLAIN, **said)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cycle"):
        DepthConfig(tied=2, order="circle")


def test_a_pattern_that_fits_its_group_is_tied_with_memory_in_it() -> None:
    config = replace(PLAIN, pattern=("views", "memory"), memory=MemoryConfig(segment=8, pool=4),
                     depth=DepthConfig(tied=2, reversible=True))  # fmt: skip
    decoder, (ids, context) = made(config), case()
    assert [type(layer.attention).__name__ for layer in decoder.storeys()] == ["ViewsAttention", "MemoryAttention"] * 2
    gradients(decoder, decoder(ids, context))


def test_generation_says_what_it_cannot_do() -> None:
    decoder = Decoder(ModelConfig(layers=2, dim=16, heads=2, depth=DepthConfig(reversible=True)), VOCABULARY)
    with pytest.raises(ValueError, match=r"depth\.reversible"):
        Trained(decoder, Tokenizer.load(), None)
    assert isinstance(decoder.layers, nn.ModuleList)


def test_a_training_job_with_all_of_it_ends_leak_free_and_its_run_is_read_again(tmp_path: Path) -> None:
    depth = DepthConfig(tied=2, reversible=True, ponder=0.3)
    memory = MemoryConfig(segment=8, slots=4, pool=4, summaries=4)
    model = replace(PLAIN, pattern=("views", "memory"), memory=memory, depth=depth)
    recipe = Recipe(name="deep", model=model, train=TrainConfig(steps=3, rows=2, length=24, warmup=1))
    result = train(write_cache(tmp_path / "cache"), recipe, tmp_path / "run", threads=1)
    assert result.leak_free
    decoder, read = load_run(tmp_path / "run")
    assert read == recipe
    assert (len(decoder.layers), len(decoder.storeys())) == (2, 4)
