"""The leak meter: the probe is what its slow twin says, honest attributes read 0, and a planted leak its own size."""

from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.columns import Split, split_of
from model.config import ModelConfig, Recipe
from model.context import NO_TAG
from model.evaluate import leak_meter
from model.evaluate.given import GIVEN, attributes_of, closed_tag, cut, streamed
from model.evaluate.leak import Annotator, WholeWordTags
from model.evaluate.leak_meter import Leak, LeakMeter, MeterConfig, leaks_of
from model.evaluate.probe import Places, count_slow, odds_slow, probe_nats, probe_nats_slow, rows_of
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.prefix import Attributes, PieceAttributes, PrefixAnnotator, PrefixState
from tests.model.tiny_cache import STORIES, small_tokenizer
from tests.model.toy import BEGIN, END, ToyAnnotator, toy_document, toy_split


def places(number: int, pieces: int, classes: int, seed: int) -> Places:
    """Random places whose next piece hangs on both, loosely; some contexts are never seen in the other set."""
    random = np.random.default_rng(seed)
    piece, attribute = random.integers(pieces, size=number), random.integers(classes, size=number)
    target = (piece + attribute * random.integers(3, size=number) ** 2) % pieces
    return Places(piece=piece, attribute=attribute, target=target)


@pytest.mark.parametrize(("fit", "held", "pieces", "classes"), [(10, 1, 3, 1), (157, 40, 11, 3), (600, 91, 40, 5)])
def test_probe_matches_slow(fit: int, held: int, pieces: int, classes: int) -> None:
    some, others = places(fit, pieces, classes, seed=0), places(held, pieces, classes, seed=1)
    assert probe_nats(some, others) == pytest.approx(probe_nats_slow(some, others), abs=1e-12)
    assert probe_nats(some.without(), others.without()) == pytest.approx(
        probe_nats_slow(some.without(), others.without()), abs=1e-12
    )


@pytest.mark.parametrize(("piece", "attribute"), [(0, 0), (5, 2), (10, 9)])
def test_odds_add_up_to_one(piece: int, attribute: int) -> None:
    """Of contexts seen, and of one whose attribute (9) never was."""
    counted = count_slow(rows_of(places(157, 11, 3, seed=0)))
    settings = {"vocabulary": 11.0, "nothing": 2.0, "piece": 0.5, "attribute": 1.0, "both": 4.0, "weight": 0.3}
    total = sum(odds_slow("both", (piece, attribute, y), counted, settings) for y in range(11))
    assert total == pytest.approx(1)


def test_probe_asks_for_more() -> None:
    with pytest.raises(ValueError, match="9 places to fit and 3 to score"):
        probe_nats(places(9, 3, 1, seed=0), places(3, 3, 1, seed=1))


class Coins:
    """Every piece is 2 … 9 by chance. `peeks`: its tag is the next piece's last bit, which only the future knows;
    otherwise it is the bit of the piece before."""

    def __init__(self, peeks: bool) -> None:
        self.peeks = peeks

    def annotate(self, ids: NDArray[np.int32]) -> Attributes:
        bit = ids % 2
        tag = np.append(bit[1:], NO_TAG) if self.peeks else np.concatenate([[NO_TAG], bit])[:-1]
        none = np.zeros(len(ids), np.int32)
        words = dict.fromkeys(("first_word", "last_word", "closed_word", "sentence_start"), none)
        return Attributes(**words, input_tag=tag.astype(np.uint8), key_tag=np.full(len(ids), NO_TAG, np.uint8))


class StepByStep(Coins):
    """The same with honest steps: no piece knows of the next."""

    def start(self) -> PrefixState:
        return PrefixState()

    def step(self, state: PrefixState, piece: int) -> tuple[PrefixState, PieceAttributes]:
        tag = NO_TAG if self.peeks or not state.pieces else state.words % 2
        said = PieceAttributes(first_word=0, last_word=0, closed_word=0, sentence_start=0, input_tag=tag)
        return replace(state, pieces=state.pieces + 1, words=piece), said


class Liar(StepByStep):
    """Its steps say what its cut texts do not."""

    def step(self, state: PrefixState, piece: int) -> tuple[PrefixState, PieceAttributes]:
        after, said = super().step(state, piece)
        return after, replace(said, input_tag=(said.input_tag + 1) % 2)


def coins(annotator: Annotator, documents: int, seed: int, echo: bool = False) -> Split:
    """Documents of 300 pieces; echo: each has the last bit of the one before the last, where there is one."""
    random, made = np.random.default_rng(seed), {}
    for number in range(documents):
        ids = np.array([BEGIN, *random.integers(2, 10, size=298), END], np.int32)
        if echo:
            for t in range(3, 299):
                ids[t] += (ids[t - 2] - ids[t]) % 2 * (1 if ids[t] < 9 else -1)
        made[f"d{number}"] = (ids, annotator.annotate(ids))
    return split_of(made)


@pytest.mark.parametrize("kind", [Coins, StepByStep])
def test_a_planted_bit_leaks_its_size(kind: type[Coins]) -> None:
    """Told anew by cuts alone, and by steps."""
    annotator = kind(peeks=True)
    meter = LeakMeter(coins(annotator, 12, seed=0), coins(annotator, 4, seed=1), annotator)
    leak = meter.measure("input_tag")
    assert leak.gain == pytest.approx(log(2), abs=0.02)
    assert leak.leak == pytest.approx(log(2), abs=0.02)
    assert leak.pieces == 4 * 299
    assert leak.compared == leak.differing == 16 * 299
    assert str(leak) == "gain 0.69 nats, leak 0.69"


@pytest.mark.parametrize("kind", [Coins, StepByStep])
def test_a_bit_of_the_past_is_a_gain_and_no_leak(kind: type[Coins]) -> None:
    annotator = kind(peeks=False)
    meter = LeakMeter(coins(annotator, 12, seed=0, echo=True), coins(annotator, 4, seed=1, echo=True), annotator)
    leak = meter.measure("input_tag")
    assert leak.gain == pytest.approx(log(2), abs=0.03)
    assert (leak.leak, leak.differing) == (0.0, 0)
    assert leak.compared == (16 * 299 if kind is StepByStep else 500)
    assert meter.measure("word_open") == Leak("word_open", 0.0, 0.0, 4 * 299, leak.compared, 0)  # one class for all


def test_equal_columns_are_compared_and_the_probe_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leak of 0 comes of the comparison, not of two numbers that happen to be near."""
    asked: list[int] = []

    def counted(fit: Places, held: Places) -> float:
        asked.append(len(held))
        return probe_nats(fit, held)

    monkeypatch.setattr(leak_meter, "probe_nats", counted)
    honest, split = StepByStep(peeks=False), coins(Coins(peeks=False), 2, seed=0)
    LeakMeter(split, split, honest).measure("input_tag")
    assert len(asked) == 2  # without and with
    split.columns["input_tag"][17] += 1
    found = LeakMeter(split, split, honest).measure("input_tag")
    assert (found.differing, len(asked)) == (2, 5)  # once in each split; without, as given, told anew


def test_steps_that_differ_from_cuts_are_refused() -> None:
    liar, split = Liar(peeks=False), coins(Coins(peeks=False), 2, seed=0)
    with pytest.raises(Failure, match="step must equal annotate"):
        LeakMeter(split, split, liar).measure("input_tag")


def test_each_document_may_have_its_own_annotator() -> None:
    """As under a control, which has a seed for each: only the peeking one's document differs."""
    annotators = {f"d{number}": Coins(peeks=number == 1) for number in range(3)}
    ids = coins(Coins(peeks=False), 3, seed=0).columns["pieces"].reshape(3, 300)
    made = {name: (ids[number], annotators[name].annotate(ids[number])) for number, name in enumerate(annotators)}
    leak = LeakMeter(split_of(made), split_of(made), annotators).measure("input_tag")
    assert leak.differing == 2 * 299


def test_unknown_attribute_and_settings() -> None:
    split = coins(Coins(peeks=False), 1, seed=0)
    with pytest.raises(ValueError, match="known: input_tag"):
        LeakMeter(split, split, Coins(peeks=False)).measure("input_tags")
    with pytest.raises(ValueError, match="cuts is 0"):
        MeterConfig(cuts=0)


def test_documents_are_whole_and_drawn_under_the_seed() -> None:
    split = toy_split([40] * 30)
    configs = (MeterConfig(fit_pieces=100, held_pieces=41, seed=seed) for seed in (0, 0, 1))
    first, again, other = (LeakMeter(split, split, ToyAnnotator(), config)._documents for config in configs)
    assert [len(columns["pieces"]) for columns in first] == [40] * 5  # three to fit, two held out
    assert all((a["pieces"] == b["pieces"]).all() for a, b in zip(first, again, strict=True))
    assert any((a["pieces"] != b["pieces"]).any() for a, b in zip(first, other, strict=True))


def prefix(folder: Path) -> tuple[Tokenizer, PrefixAnnotator]:
    file = folder / "tokenizer.json"
    file.write_text(small_tokenizer(), encoding="utf-8")
    tokenizer = Tokenizer.load(file)
    return tokenizer, PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)


def test_steps_cuts_and_whole_documents_say_the_same(tmp_path: Path) -> None:
    tokenizer, annotator = prefix(tmp_path)
    for whole_word in (False, True):
        told = WholeWordTags(annotator) if whole_word else annotator
        for story in STORIES[:3]:
            ids = tokenizer.document(story)
            columns, by_steps = vars_of(told.annotate(ids)), streamed(told, ids)
            assert by_steps is not None
            by_cuts = cut(told, ids, range(len(ids)))
            for row, (name, classes) in enumerate(GIVEN.items()):
                assert (classes(by_steps) == by_cuts[row]).all(), name
                looks_ahead = bool((classes(columns) != by_cuts[row]).any())
                assert looks_ahead == (whole_word and name == "input_tag"), name


def vars_of(attributes: Attributes) -> dict[str, NDArray[np.int32]]:
    return {name: getattr(attributes, name) for name in attributes.__slots__}


@pytest.mark.parametrize("seed", range(4))
def test_closed_tag_is_the_latest_key_that_may_be_seen(seed: int) -> None:
    columns = vars_of(ToyAnnotator().annotate(toy_document(60, seed)))
    columns["key_tag"] = np.arange(60, dtype=np.int32)  # tells which piece was looked at
    found = closed_tag(columns)
    for t in range(60):
        seen = [s for s in range(t + 1) if columns["last_word"][s] < columns["closed_word"][t]]
        assert found[t] == (columns["key_tag"][seen[-1]] if seen else NO_TAG)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (ModelConfig(), ()),
        (ModelConfig(tags=True), ("input_tag",)),
        (ModelConfig(views=("dense", "window(8)")), ("word_place",)),
        (ModelConfig(views=("dense", "sentences(2) | window(4)")), ("word_place", "sentence_place")),
        (ModelConfig(views=("~pos",)), ("input_tag", "closed_tag", "word_open", "word_place")),
        (ModelConfig(views=("pos & sentence",)), tuple(GIVEN)),
        # as many keys as the view has: their number says what the view would have said
        (ModelConfig(views=("random(sentence)",)), ("word_place", "sentence_place")),
        (ModelConfig(views=("random(pos)",)), ("input_tag", "closed_tag", "word_open", "word_place")),
    ],
)
def test_attributes_that_a_recipe_gives(model: ModelConfig, told: tuple[str, ...]) -> None:
    assert attributes_of(Recipe(name="r", model=model)) == told


def test_whole_word_tags_leak_where_the_word_is_open(tmp_path: Path) -> None:
    tokenizer, annotator = prefix(tmp_path)
    split = split_of({text: (ids, annotator.annotate(ids)) for text in STORIES for ids in [tokenizer.document(text)]})
    whole = split.with_whole_word_tags()
    meter = LeakMeter(whole, whole, WholeWordTags(annotator), MeterConfig(cuts=20))
    leaks = leaks_of(Recipe(name="pos-leaky", leaky=True, model=ModelConfig(views=("pos",))), meter)
    assert [leak.attribute for leak in leaks if leak.differing] == ["input_tag"]
    assert leaks[0].leak == max(leak.leak for leak in leaks) > 0.1
    columns = split.columns
    still_open = columns["last_word"] >= columns["closed_word"]
    assert leaks[0].differing == 2 * (still_open & (columns["input_tag"] != columns["key_tag"])).sum()
