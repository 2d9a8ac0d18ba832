"""Masked pieces and classes of documents: what such models are given, and that nothing hidden is given away."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.batches import NO_TARGET, Batch, evaluation_batches
from model.bond_reader import Bonded, BondReader
from model.classify import ClassRows, Labelled, class_batches, score_classes
from model.columns import PiecesLayer, read_layer
from model.config import ModelConfig
from model.context import PER_PIECE
from model.evaluate.leak import known_of, randomised
from model.evaluate.perplexity import evaluate
from model.masked import mask_piece, masked
from model.objective import Objective
from model.transformer import Decoder
from model.whole import reread, whole_split
from pipeline.pieces import Tokenizer
from pipeline.prefix import Attributes, PrefixAnnotator
from tests.model.tiny_cache import write_cache

VIEWS = ("dense", "sentence", "pos", "bonds | window(3)")


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> PiecesLayer:
    return read_layer(write_cache(tmp_path_factory.mktemp("masked") / "cache"))


@pytest.fixture(scope="module")
def tokenizer(layer: PiecesLayer) -> Tokenizer:
    return Tokenizer.load(layer.tokenizer)


@pytest.fixture(scope="module")
def plain(layer: PiecesLayer, tokenizer: Tokenizer) -> PrefixAnnotator:
    return PrefixAnnotator.load(layer.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)


@pytest.fixture(scope="module")
def annotator(plain: PrefixAnnotator, tokenizer: Tokenizer) -> Bonded:
    return Bonded(plain, BondReader.load(tokenizer))


def some_batch(layer: PiecesLayer) -> Batch:
    return next(evaluation_batches(layer.splits["train"], rows=3, length=60))


def given(batch: Batch) -> list[torch.Tensor]:
    """All that a model reads."""
    context = batch.context
    assert context.bonds is not None
    assert context.facts is not None
    return [batch.ids, *(getattr(context, name) for name in PER_PIECE), *context.bonds, *context.facts]


def test_nothing_that_is_given_tells_what_is_hidden(
    layer: PiecesLayer, tokenizer: Tokenizer, annotator: Bonded
) -> None:
    batch = some_batch(layer)
    one = masked(batch, annotator, tokenizer, rate=0.4, seed=[3, 0])
    hidden = (one.targets != NO_TARGET) & (one.ids == mask_piece(tokenizer))
    assert hidden.sum() > 10
    others = torch.randint(tokenizer.size, batch.ids.shape, generator=torch.Generator().manual_seed(0))
    others = torch.where((others == tokenizer.begin) | (others == tokenizer.end), 5, others)
    two = masked(
        batch._replace(ids=torch.where(hidden, others, batch.ids)), annotator, tokenizer, rate=0.4, seed=[3, 0]
    )
    assert not torch.equal(one.targets, two.targets)
    assert all(torch.equal(mine, yours) for mine, yours in zip(given(one), given(two), strict=True))
    model = randomised(Decoder(ModelConfig(layers=2, dim=32, heads=4, views=VIEWS, tags=True), tokenizer.size), 0)
    assert torch.equal(model(one.ids, one.context), model(two.ids, two.context))


class Cheating(PrefixAnnotator):
    """Says of every text what it would of the text as it was before the masks."""

    text: NDArray[np.int32]

    def annotate(self, ids: NDArray[np.int32]) -> Attributes:
        return super().annotate(np.where(ids == self.mask, np.resize(self.text, len(ids)), ids).astype(np.int32))

    mask = -1


def test_the_test_above_sees_an_annotator_that_cheats(layer: PiecesLayer, tokenizer: Tokenizer) -> None:
    cheat = Cheating.load(layer.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    assert isinstance(cheat, Cheating)
    cheat.mask, batch = mask_piece(tokenizer), some_batch(layer)
    given_then = []
    for text in (batch.ids[0], batch.ids[0].flip(0)):
        cheat.text = text.numpy().astype(np.int32)
        given_then.append(masked(batch, cheat, tokenizer, rate=0.4, seed=[3, 0]).context.key_tag)
    assert not torch.equal(*given_then)


def test_what_is_chosen_follows_the_seed_and_the_rates(
    layer: PiecesLayer, tokenizer: Tokenizer, plain: PrefixAnnotator
) -> None:
    batch = some_batch(layer)
    one, same, other = (masked(batch, plain, tokenizer, rate=0.3, seed=seed) for seed in ([1, 5], [1, 5], [1, 6]))
    assert torch.equal(one.ids, same.ids)
    assert not torch.equal(one.targets, other.targets)
    counts = np.zeros(3)
    chosen = valid = 0
    for step in range(60):
        seen = masked(batch, plain, tokenizer, rate=0.3, seed=[2, step])
        asked = seen.targets != NO_TARGET
        assert torch.equal(seen.targets[asked], batch.ids[asked])
        assert torch.equal(seen.ids[~asked], batch.ids[~asked])
        assert not (asked & ((batch.ids == tokenizer.begin) | ~batch.context.valid())).any()
        hidden = seen.ids[asked] == mask_piece(tokenizer)
        kept = seen.ids[asked] == batch.ids[asked]
        counts += [float(hidden.sum()), float(kept.sum()), float((~hidden & ~kept).sum())]
        chosen, valid = chosen + int(asked.sum()), valid + int(batch.context.valid().sum())
    assert chosen / valid == pytest.approx(0.3, abs=0.03)
    assert counts / counts.sum() == pytest.approx([0.8, 0.1, 0.1], abs=0.03)
    assert (masked(batch, plain, tokenizer, rate=1e-9, seed=[0]).targets != NO_TARGET).sum() == 1


def test_a_whole_text_is_read_alike_from_the_cache_and_from_its_ids(
    layer: PiecesLayer, tokenizer: Tokenizer, annotator: Bonded
) -> None:
    whole = whole_split(layer.splits["train"])
    for batch in evaluation_batches(whole, rows=2, length=10_000):
        again = reread(batch, batch.ids.numpy(), annotator, tokenizer.end)
        assert not again.context.causal
        assert not batch.context.causal
        valid = batch.context.valid()
        for name in PER_PIECE[1:]:
            assert torch.equal(getattr(again.context, name)[valid], getattr(batch.context, name)[valid]), name
        assert (again.context.closed_word > again.context.last_word)[valid].all()


def test_masked_models_learn_and_are_scored_over_the_bytes_asked_for(
    layer: PiecesLayer, tokenizer: Tokenizer, plain: PrefixAnnotator
) -> None:
    torch.manual_seed(0)
    config = ModelConfig(layers=1, dim=32, heads=2, views=("dense", "sentence"), objective="masked")
    objective = Objective(Decoder(config, tokenizer.size), 0)
    adam = torch.optim.AdamW(objective.parameters(), lr=1e-2)
    batch = some_batch(layer)

    def ask(whole: Batch, number: int) -> Batch:
        return masked(whole, plain, tokenizer, rate=0.15, seed=[9, number])

    sizes = [len(piece) for piece in tokenizer.piece_bytes]
    scores = []
    for step in range(40):
        asked = masked(batch, plain, tokenizer, rate=0.15, seed=[0, step])
        if step in (0, 39):
            split = layer.splits["train"]
            scores.append(evaluate(objective.decoder, split, rows=3, length=60, ask=ask, piece_bytes=sizes))
        loss, _ = objective(asked.ids, asked.context, asked.targets, torch.tensor(step))
        adam.zero_grad()
        loss.backward()
        adam.step()
    first, last = scores
    assert first is not None
    assert last is not None
    assert last.perplexity < first.perplexity / 2
    assert first.pieces == last.pieces
    assert first.bits_per_byte / last.bits_per_byte == pytest.approx(np.log(first.perplexity) / np.log(last.perplexity))


def test_documents_are_classified_by_all_of_their_pieces(layer: PiecesLayer, tokenizer: Tokenizer) -> None:
    split = layer.splits["train"]
    labels = {name: number % 2 for number, name in enumerate(split.documents)}
    labelled = Labelled.of(split, labels, classes=2)
    torch.manual_seed(0)
    config = ModelConfig(layers=1, dim=32, heads=2, views=("dense", "sentence"), objective="classify")
    objective = Objective(Decoder(config, tokenizer.size), 0)
    adam = torch.optim.AdamW(objective.parameters(), lr=1e-2)
    rows = ClassRows(labelled, rows=3, length=50, seed=0)
    for step in range(40):
        batch = rows.next()
        loss, _ = objective(batch.ids, batch.context, batch.targets, torch.tensor(step))
        adam.zero_grad()
        loss.backward()
        adam.step()
    score = score_classes(objective.decoder, labelled, rows=2, length=50)
    assert (score.accuracy, score.documents) == (1.0, len(split.documents))
    one = next(class_batches(labelled, rows=1, length=20))
    hidden = objective.decoder.hidden(one.ids, one.context)
    padded = Labelled.of(split, labels, classes=2).batch(np.array([0, 1, 2, 3]), 50)
    alone = [labelled.batch(np.array([number]), 50) for number in range(4)]
    together = objective.decoder.class_logits(objective.decoder.hidden(padded.ids, padded.context), padded.context)
    each = [objective.decoder.class_logits(objective.decoder.hidden(b.ids, b.context), b.context) for b in alone]
    torch.testing.assert_close(together, torch.cat(each))
    assert hidden.shape == (1, 20, 32)


def test_classes_go_on_where_they_were_left(layer: PiecesLayer) -> None:
    split = layer.splits["train"]
    labelled = Labelled.of(split, dict.fromkeys(split.documents, 1), classes=2)
    rows = ClassRows(labelled, rows=3, length=20, seed=1)
    rows.next()
    state = rows.state()
    wanted = [rows.next().ids for _ in range(4)]
    again = ClassRows(labelled, rows=3, length=20, seed=1)
    again.resume(state)
    for ids in wanted:
        assert torch.equal(again.next().ids, ids)


def test_labels_that_do_not_fit_are_refused(layer: PiecesLayer) -> None:
    split = layer.splits["train"]
    with pytest.raises(ValueError, match="no document of the split has a label"):
        Labelled.of(split, {"elsewhere": 0}, classes=2)
    with pytest.raises(ValueError, match=r"set model\.classes"):
        Labelled.of(split, dict.fromkeys(split.documents, 2), classes=2)


def test_a_tokenizer_without_a_piece_for_masks_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(tokenizer.json.replace("<|pad|>", "<|nothing|>"), encoding="utf-8")
    with pytest.raises(ValueError, match="no piece for masks"):
        mask_piece(Tokenizer.load(file))


def test_objectives_have_names() -> None:
    with pytest.raises(ValueError, match="did you mean 'masked'"):
        replace(ModelConfig(), objective="mask")
    assert known_of(PrefixAnnotator.load(None, (b"a",), 0, 0), np.zeros(1, np.int32)) is None
