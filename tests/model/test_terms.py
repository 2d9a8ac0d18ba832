"""What grammar adds to the scores of pairs: against the pair-by-pair meaning, causal, and alike step by step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.attention.terms import Terms
from model.batches import evaluation_batches, read_places
from model.bond_reader import Bonded, BondReader
from model.columns import PiecesLayer, read_layer, split_of
from model.config import ModelConfig
from model.evaluate.leak import measure_leak, randomised
from model.facts import pair_scores
from model.masks import listed_slow
from model.transformer import Decoder
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from pipeline.records import KINDS
from tests.model.tiny_cache import STORIES, small_tokenizer
from tests.model.toy import toy_context
from tests.pipeline.bonded_cache import CAUSAL, make

ALL = ModelConfig(
    layers=2, dim=32, heads=4, scores=True, kind_bias=True, kind_gates=True, features=True, views=("dense", "bonds")
)


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> PiecesLayer:
    with pytest.MonkeyPatch.context() as patch:
        folder = make(tmp_path_factory.mktemp("terms") / "cache", "causal", CAUSAL, 64, patch).folder
    return read_layer(folder, bonds=True, facts=True)


def test_the_terms_are_what_the_pairs_say(layer: PiecesLayer) -> None:
    context = next(evaluation_batches(layer.splits["train"], rows=2, length=40)).context
    terms = Terms(ALL).double()
    for weight in terms.parameters():
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(weight.numel()))
    found = terms(terms.prepare(context, torch.float64))
    of_kinds = terms.kind_bias + terms.kind_gate.sigmoid().log()  # type: ignore[operator, union-attr]
    for row, t in ((0, 39), (1, 17), (1, 38)):
        for s in range(t + 1):
            score = pair_scores(context, torch.tensor([t]), torch.tensor([s]))[row, 0]
            wanted = terms.score_weight * score  # type: ignore[operator]
            for kind in range(len(KINDS)):
                if listed_slow(context, row, t, s, (kind,)):
                    wanted = wanted + of_kinds[:, kind]
            torch.testing.assert_close(found[row, :, t, s], wanted)
    gates = terms.gates()
    assert gates is not None
    assert ((gates > 0) & (gates < 1)).all()


def test_every_term_learns(layer: PiecesLayer) -> None:
    batch = next(evaluation_batches(layer.splits["train"], rows=2, length=60))
    model = Decoder(ALL, Tokenizer.load(layer.tokenizer).size)
    model(batch.ids, batch.context).square().mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert (weight.grad != 0).any(), name


def test_terms_that_are_not_asked_for_change_nothing() -> None:
    torch.manual_seed(0)
    plain = Decoder(replace(ALL, scores=False, kind_bias=False, kind_gates=False, features=False), 50)
    torch.manual_seed(0)
    full = Decoder(ALL, 50)
    theirs = full.state_dict()
    assert all(torch.equal(weight, theirs[name]) for name, weight in plain.state_dict().items())
    assert not plain.layers[0].attention.terms  # type: ignore[attr-defined]


def test_a_model_of_all_terms_leaks_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(small_tokenizer(), encoding="utf-8")
    tokenizer = Tokenizer.load(file)
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    reader = Bonded(annotator, BondReader.load(tokenizer))
    model = randomised(Decoder(ALL, tokenizer.size), 0)
    documents = [tokenizer.document(text) for text in STORIES]
    closers = tokenizer.encode('."\n').tolist()
    found = measure_leak(model, reader, documents, closers=closers, cuts=4, length=64)
    assert found.leak_free, found.first_violation
    known = reader.known(documents[0])
    ahead = known.facts.features.copy()
    ahead[:-1] = known.facts.features[1:]
    assert logits(model, reader, documents[0], known) != pytest.approx(
        logits(model, reader, documents[0], known._replace(facts=replace(known.facts, features=ahead)))
    ), "the facts reach the logits"


def logits(model: Decoder, reader: Bonded, ids: np.ndarray, known: object) -> np.ndarray:
    split = split_of({"": (ids, reader.annotate(ids))}, [known])  # type: ignore[list-item]
    place = np.arange(len(ids))[None]
    with torch.no_grad():
        return np.asarray(model(*read_places(split, place * 0, place))[0].numpy())


def test_a_context_without_what_a_model_reads_says_what_to_do() -> None:
    ids, context = toy_context([[9]])
    with pytest.raises(ValueError, match="--piece-bonds causal"):
        Decoder(replace(ALL, views=("dense",)), 60)(ids, context)
