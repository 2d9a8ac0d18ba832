"""The streaming certificate: what is honest passes, what knows the future fails, and the past is all there is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bond_reader import BondReader
from model.columns import PiecesLayer, Split, read_layer, split_of
from model.config import ModelConfig, Recipe, TrainConfig
from model.controls import CONTROLS
from model.evaluate import certificate as tested
from model.evaluate.certificate import BOUND, Certificate, CertificateConfig, certify, drawn
from model.evaluate.leak import randomised
from model.evaluate.leaktest import BAIT, every_view, view_config
from model.evaluate.planted import PLANTED
from model.evaluate.streaming import Answer, Replay, Setup, Stream
from model.inputs import recipe_change, recipe_splits
from model.transformer import Decoder
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from tests.model.tiny_cache import write_cache
from tests.pipeline.bonded_cache import CAUSAL, make

Tools = tuple[PiecesLayer, Tokenizer, PrefixAnnotator]
SMALL = CertificateConfig(documents=2, pieces=40)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    layer = read_layer(write_cache(tmp_path_factory.mktemp("certificate") / "cache"))
    tokenizer = Tokenizer.load(layer.tokenizer)
    return (
        layer,
        tokenizer,
        PrefixAnnotator.load(layer.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end),
    )


@pytest.fixture(scope="module")
def bonded_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return make(tmp_path_factory.mktemp("bonded") / "cache", "causal", CAUSAL, 64, patch).folder


def random_model(config: ModelConfig, tokenizer: Tokenizer) -> Decoder:
    return randomised(Decoder(config, tokenizer.size), 1)


def small(views: tuple[str, ...] = ("dense", "sentence", "pos", "window(4)"), **settings: Any) -> ModelConfig:
    return ModelConfig(layers=2, dim=32, heads=4, views=views, tags=True, **settings)


def certified(tools: Tools, recipe: Recipe, config: CertificateConfig = SMALL, **settings: Any) -> Certificate:
    layer, tokenizer, annotator = tools
    documents = drawn(recipe_splits(layer, recipe)["train"], config)
    change = recipe_change(layer, recipe)
    model = random_model(recipe.model, tokenizer)
    return certify(model, recipe, tokenizer, annotator, documents, change=change, **settings)


def bait(tools: Tools) -> dict[str, Split]:
    """Texts in which every planted leak shows, as a cache would store them."""
    _, tokenizer, annotator = tools
    found: dict[str, Split] = {}
    for number, text in enumerate(BAIT):
        ids = tokenizer.document(text)
        attributes = annotator.annotate(ids)
        split = split_of({"": (ids, attributes)}, [BondReader.load(tokenizer).known(ids)])
        found[f"bait#{number}"] = split.document(0, 72)
    return found


def test_a_model_of_every_view_is_certified(bonded_cache: Path) -> None:
    layer = read_layer(bonded_cache, bonds=True, facts=True)
    tokenizer = Tokenizer.load(layer.tokenizer)
    annotator = PrefixAnnotator.load(layer.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    model = replace(view_config(every_view()), scores=True, kind_bias=True, kind_gates=True, features=True)
    recipe = Recipe(name="every view", model=model)
    documents = drawn(layer.splits["train"], SMALL)
    found = certify(random_model(model, tokenizer), recipe, tokenizer, annotator, documents, bonds=layer.bonds)
    assert found.certified, found.first_break
    assert (found.attributes, found.keys) == (found.attributes_streamed, found.keys_streamed)
    assert found.max_difference is not None
    assert found.max_difference <= BOUND == 1e-9
    assert (found.documents, found.pieces, found.dtype) == (2, 80, "float64")


@pytest.mark.parametrize("positions", ["rotary", "learned", "alibi"])
def test_cached_keys_and_values_say_what_the_whole_prefix_does(tools: Tools, positions: str) -> None:
    layer, tokenizer, annotator = tools
    setup = Setup.of(random_model(small(positions=positions), tokenizer), annotator, tokenizer)
    fast, slow = Replay(setup), Replay(replace(setup, whole_prefix=True))
    for replay in (fast, slow):
        replay.begin(0)
    for piece in layer.splits["train"].columns["pieces"][:30].tolist():
        one, other = fast.read(piece), slow.read(piece)
        assert one[:2] == other[:2]
        np.testing.assert_allclose(one.logits, other.logits, rtol=0, atol=1e-12 * np.abs(other.logits).max())


def test_keys_and_values_grow_beyond_their_first_room(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, tokenizer, annotator = tools
    setup = Setup.of(random_model(small(), tokenizer), annotator, tokenizer)
    pieces = layer.splits["train"].columns["pieces"][:30].tolist()
    whole = answers(setup, pieces)
    monkeypatch.setattr("model.evaluate.past.ROOM", 4)
    monkeypatch.setattr("model.evaluate.incremental.ROOM", 4)
    for one, other in zip(whole, answers(setup, pieces), strict=True):
        assert one[:2] == other[:2]
        np.testing.assert_allclose(one.logits, other.logits, rtol=1e-12)


@pytest.mark.parametrize("control", [name for name in CONTROLS if name != "none"])
def test_a_recipe_under_a_control_is_certified(tools: Tools, control: str) -> None:
    found = certified(tools, Recipe(name=control, control=control, model=small()))
    assert found.certified, found.first_break


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS)
def test_attributes_of_whole_documents_are_certified(tools: Tools, control: str) -> None:
    layer, _, _ = tools
    recipe = Recipe(name=control, control=control, model=small())
    config = replace(SMALL, pieces=12, whole=True)
    found = certified(tools, recipe, config, pieces=config.pieces)
    assert found.certified, found.first_break
    beginning = certified(tools, recipe, replace(config, whole=False), pieces=config.pieces)
    assert beginning.certified
    assert (found.pieces, beginning.pieces, beginning.attribute_pieces) == (24, 24, 24)
    documents = drawn(layer.splits["train"], config)
    assert found.attribute_pieces == sum(int(each.offset[-1]) for each in documents.values()) > 100
    assert (found.keys, found.max_difference) == (beginning.keys, beginning.max_difference)
    assert found.attributes != beginning.attributes


def test_a_leak_that_enters_late_is_found_in_whole_documents_alone(tools: Tools) -> None:
    layer, tokenizer, annotator = tools
    recipe = Recipe(name="late", model=small(positions="learned", context=16), train=TrainConfig(length=16, rows=1))
    model, break_at = random_model(recipe.model, tokenizer), []
    for whole in (True, False):
        config = replace(SMALL, pieces=16, whole=whole)
        documents = {}
        for name, split in drawn(layer.splits["train"], config).items():
            columns = split.columns
            late = np.arange(len(columns["pieces"])) >= 40  # from there on a piece is told the tag of its whole word
            leaky = np.where(late, columns["key_tag"], columns["input_tag"]).astype(np.uint8)
            documents[name] = replace(split, columns={**columns, "input_tag": leaky})
        break_at.append(certify(model, recipe, tokenizer, annotator, documents, pieces=16).first_break)
    assert break_at[1] is None
    assert break_at[0] is not None
    assert break_at[0].what == "attributes"
    assert break_at[0].piece >= 40


def test_a_leaky_recipe_is_not(tools: Tools) -> None:
    found = certified(tools, Recipe(name="tags-leaky", leaky=True, model=small()))
    assert not found.certified
    assert found.first_break is not None
    assert found.first_break.what == "attributes"
    assert found.attributes != found.attributes_streamed
    assert found.max_difference is not None
    assert found.max_difference > 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_caught(tools: Tools, name: str) -> None:
    _, tokenizer, annotator = tools
    recipe = Recipe(name="planted", model=view_config(("dense", "sentence", "pos", "pos & sentences(2)", "bonds")))
    found = certify(random_model(recipe.model, tokenizer), recipe, tokenizer, annotator, bait(tools), planted=name)
    assert not found.certified
    assert found.first_break is not None
    assert found.first_break.what == ("attributes" if PLANTED[name].change or PLANTED[name].bonds else "keys")
    assert found.max_difference is not None
    assert found.max_difference > 1e-6


def test_the_bait_alone_is_certified(tools: Tools) -> None:
    _, tokenizer, annotator = tools
    recipe = Recipe(name="bait", model=view_config(("dense", "sentence", "pos", "pos & sentences(2)", "bonds")))
    found = certify(random_model(recipe.model, tokenizer), recipe, tokenizer, annotator, bait(tools))
    assert found.certified, found.first_break


def answers(setup: Setup, pieces: list[int]) -> list[Answer]:
    replay = Replay(setup)
    replay.begin(0)
    return [replay.read(piece) for piece in pieces]


def test_future_pieces_change_no_answer(tools: Tools) -> None:
    """The process is handed two documents that agree up to a piece: its answers up to there are the same bits."""
    layer, tokenizer, annotator = tools
    setup = Setup.of(random_model(small(), tokenizer), annotator, tokenizer)
    pieces = layer.splits["train"].columns["pieces"][:24].tolist()
    other = [*pieces[:12], *(piece - 1 for piece in pieces[12:])]
    with Stream(setup) as stream:
        said = []
        for ids in (pieces, other):
            stream.begin(0)
            said.append([stream.read(piece) for piece in ids])
    for one, two in zip(said[0][:12], said[1][:12], strict=True):
        assert one[:2] == two[:2]
        assert one.logits.tobytes() == two.logits.tobytes()
    assert said[0][12].attributes != said[1][12].attributes


class Watched:
    """A connection that notes what passes."""

    def __init__(self, connection: Any, passed: list[object]) -> None:
        self.connection, self.passed = connection, passed

    def send(self, said: object) -> None:
        self.passed.append(said)
        self.connection.send(said)

    def recv(self) -> object:
        self.passed.append("answer")
        return self.connection.recv()

    def close(self) -> None:
        self.connection.close()


def test_each_piece_is_sent_after_the_answer_to_the_one_before(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, tokenizer, annotator = tools
    passed: list[object] = []

    class Noted(Stream):
        def __enter__(self) -> "Noted":
            super().__enter__()
            self.connection: Any = Watched(self.connection, passed)
            return self

    monkeypatch.setattr(tested, "Stream", Noted)
    recipe = Recipe(name="watched", model=small())
    documents = drawn(layer.splits["validation"], CertificateConfig(documents=1, pieces=9))
    assert certify(random_model(recipe.model, tokenizer), recipe, tokenizer, annotator, documents).certified
    (document,) = documents.values()
    expected = [each for piece in document.columns["pieces"].tolist() for each in (piece, "answer")]
    assert passed[1:-1] == expected  # the document's seed, pieces and answers by turns, the end
    assert not isinstance(passed[0], int)
    assert passed[-1] is None


def test_the_setup_holds_nothing_of_the_documents(tools: Tools) -> None:
    """Two caches that differ in held-out text alone give the process the same setup."""
    layer = tools[0]
    recipe = Recipe(name="cut", control="random-sentences", model=small())
    other = replace(layer, splits={**layer.splits, "validation": layer.splits["test"]})
    one, two = recipe_change(layer, recipe), recipe_change(other, recipe)
    columns = next(iter(drawn(layer.splits["train"], SMALL).values())).columns
    for name, array in one(5, columns).items():
        np.testing.assert_array_equal(array, two(5, columns)[name])


def test_logits_that_are_no_numbers_are_not_certified(tools: Tools) -> None:
    layer, tokenizer, annotator = tools
    recipe = Recipe(name="diverged", model=small())
    model = random_model(recipe.model, tokenizer)
    model.norm.weight.data[0] = float("nan")
    documents = drawn(layer.splits["validation"], CertificateConfig(documents=1, pieces=4))
    found = certify(model, recipe, tokenizer, annotator, documents)
    assert not found.certified
    assert found.max_difference is None
    assert str(found.first_break) == "logits at piece 0 of validation#0"


def test_what_does_not_fit_says_what_to_do(tools: Tools) -> None:
    layer, tokenizer, annotator = tools
    recipe = Recipe(name="learned", model=small(positions="learned", context=8), train=TrainConfig(length=8, rows=1))
    documents = drawn(layer.splits["validation"], CertificateConfig(documents=1, pieces=9))
    with pytest.raises(ValueError, match="9 pieces of a document are to be replayed, and the model has 8"):
        certify(random_model(recipe.model, tokenizer), recipe, tokenizer, annotator, documents)
    with pytest.raises(ValueError, match="pieces is 0; give at least 1"):
        CertificateConfig(pieces=0)
    setup = Setup.of(random_model(small(), tokenizer), annotator, tokenizer)
    with Stream(setup) as stream:
        stream.begin(0)
        with pytest.raises(Failure, match="the process that replays the run failed"):
            stream.read(10**9)


def test_documents_are_drawn_by_the_seed(tools: Tools) -> None:
    split = tools[0].splits["train"]
    assert list(drawn(split, CertificateConfig(documents=99))) == list(split.documents)
    some = {tuple(drawn(split, CertificateConfig(documents=2, seed=seed))) for seed in range(8)}
    assert len(some) > 1
    with pytest.raises(Failure, match="no held-out documents"):
        drawn(replace(split, documents=(), offset=np.zeros(1, np.int64)), SMALL)


def test_weights_have_a_digest_of_their_own(tools: Tools, tmp_path: Path) -> None:
    model = random_model(small(), tools[1])
    before = tested.weights_digest(model)
    assert before == tested.weights_digest(model)
    model.norm.weight.data[0] += 1e-9
    assert before != tested.weights_digest(model)
