"""Generation: piece by piece the logits are those of the whole text, and what is forgotten nobody could have seen."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.attention.rotary import turn_of
from model.attention.views import ViewsAttention
from model.batches import read_places
from model.columns import split_of
from model.config import ModelConfig, load_recipe
from model.context import Context
from model.evaluate.leak import randomised
from model.generate import Sampling, Stream, Trained, generate
from model.generate.compare import Compared
from model.generate.kept import turn_at
from model.generate.sight import EYES, check, forgets
from model.generate.text import MOST_SPACES
from model.masks import MASKS
from model.parse import parse
from model.transformer import Decoder
from model.views import FIRST_ANCHORS, view_masks
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from tests.model.tiny_cache import STORIES, small_tokenizer

NEAR = ("sentence", "window(6)", "pos & sentences(2)", "~(~sentences(3) | ~window(9)) | window(2) & dense")
FAR = ("dense", "pos", "~sentence", "random(sentence) | window(3)")
CONFIGS = {
    "near": ModelConfig(layers=2, dim=32, heads=4, views=NEAR, tags=True),
    "far": ModelConfig(layers=2, dim=32, heads=4, views=FAR),
    "alibi": ModelConfig(layers=2, dim=32, heads=4, views=("window(5)", "sentence"), positions="alibi"),
    "learned": ModelConfig(layers=2, dim=32, heads=2, views=("sentence",), positions="learned", context=400, tags=True),
    "grouped": ModelConfig(layers=1, dim=32, heads=4, kv_heads=2, views=("sentence", "pos & window(9)")),
    "layers": ModelConfig(layers=3, dim=32, heads=2, layer_views=(("window(3)",), ("sentence", "dense"))),
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    file.write_text(small_tokenizer(), encoding="utf-8")
    return Tokenizer.load(file)


def trained(tokenizer: Tokenizer, config: ModelConfig) -> Trained:
    """Random weights that are small nowhere, in float64."""
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    return Trained(randomised(Decoder(config, tokenizer.size), seed=0), tokenizer, annotator)


def documents(tokenizer: Tokenizer) -> dict[str, NDArray[np.int32]]:
    """Stories; pieces at random, which cut words and characters; stops and spaces; one endless word."""
    random = np.random.default_rng(0)
    closers = tokenizer.encode('. ! ? \n\n " ’ ) a B.')
    return {
        "stories": tokenizer.document(" ".join(STORIES)),
        "random": np.array([tokenizer.begin, *random.integers(3, tokenizer.size, 200)], np.int32),
        "closers": np.array([tokenizer.begin, *random.choice(closers, 200)], np.int32),
        "word": tokenizer.document("a" * 270),
        "spaces": tokenizer.document("So.  \n \n" + " \n" * 70 + "And then. It was."),
    }


def whole(trained: Trained, ids: NDArray[np.int32]) -> tuple[torch.Tensor, Context]:
    """Ids and context of the whole text, as training would have them."""
    assert trained.annotator
    split = split_of({"text": (ids, trained.annotator.annotate(ids))})
    place = np.arange(len(ids))[None]
    return read_places(split, place * 0, place)


def teacher_forced(trained: Trained, ids: NDArray[np.int32]) -> torch.Tensor:
    """[N, vocabulary]."""
    with torch.no_grad():
        logits: torch.Tensor = trained.model(*whole(trained, ids))[0]
    return logits


def apart(streamed: torch.Tensor, true: torch.Tensor) -> float:
    return float((streamed - true).abs().max() / true.abs().max())


@pytest.mark.parametrize("name", CONFIGS)
def test_streamed_logits_are_those_of_the_whole_text(tokenizer: Tokenizer, name: str) -> None:
    made = trained(tokenizer, CONFIGS[name])
    for ids in documents(tokenizer).values():
        stream = Stream(made)
        streamed = torch.stack([stream.read(piece) for piece in ids.tolist()])
        assert apart(streamed, teacher_forced(made, ids)) <= 1e-9


@pytest.mark.parametrize("name", ["tiny-views", "sample-dense", "base-views", "sample-near"])
def test_streamed_logits_of_real_recipes_are_those_of_the_whole_text(tokenizer: Tokenizer, name: str) -> None:
    made = trained(tokenizer, replace(load_recipe(name).model, tags=True))
    ids = tokenizer.document(" ".join(STORIES))[:200]
    stream = Stream(made)
    streamed = torch.stack([stream.read(piece) for piece in ids.tolist()])
    assert apart(streamed, teacher_forced(made, ids)) <= 1e-9


@pytest.mark.parametrize("name", ["near", "alibi"])
def test_forgetting_changes_no_bit(tokenizer: Tokenizer, name: str) -> None:
    made = trained(tokenizer, CONFIGS[name])
    for ids in documents(tokenizer).values():
        stream = Compared(made, most=10_000)
        stream.read_all(np.tile(ids, 2))
        assert stream.evicts
        assert stream.identical
        assert (stream.largest_difference, stream.compared) == (0.0, 2 * len(ids))


def test_dense_heads_need_no_annotator(tokenizer: Tokenizer) -> None:
    made = trained(tokenizer, ModelConfig(layers=1, dim=32, heads=2))
    ids = documents(tokenizer)["stories"][:60]
    streamed = Stream(Trained(made.model, tokenizer, None)).read_all(ids)
    assert apart(streamed, teacher_forced(made, ids)[-1]) <= 1e-9
    with pytest.raises(ValueError, match="is told of words and sentences"):
        Trained(trained(tokenizer, CONFIGS["near"]).model, tokenizer, None)


def test_it_sees_just_what_the_masks_allow(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trained(tokenizer, CONFIGS["near"])
    for ids in documents(tokenizer).values():
        views = list(CONFIGS["near"].distinct_views().values())
        masks = view_masks(views, whole(made, ids)[1])[0].numpy()
        for t, (place_S, seen_VS) in enumerate(looked(made, ids, monkeypatch)):
            seen_VN = np.zeros((len(views), len(ids)), bool)
            seen_VN[:, place_S] = seen_VS
            np.testing.assert_array_equal(seen_VN, masks[:, t])


def looked(made: Trained, ids: NDArray[np.int32], monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """At each piece the places that are kept, and which of them each view allows."""
    found = []

    def keep(_: object, asked: Any, _slots: Any, back_S: Any, seen_VS: Any) -> torch.Tensor:
        found.append((asked.place - back_S, seen_VS))
        return torch.zeros(1)

    monkeypatch.setattr("model.generate.kept.Kept.logits", keep)
    Stream(made).read_all(ids)
    return found


def test_memory_stays_the_same_for_any_number_of_pieces(tokenizer: Tokenizer) -> None:
    made = trained(tokenizer, CONFIGS["near"])
    stream, ids = Stream(made), tokenizer.document(" ".join(STORIES))
    stream.read_all(np.tile(ids, 2))
    largest, room = stream.largest, stream.room
    stream.read_all(np.tile(ids, 3))
    assert (stream.largest, stream.room) == (largest, room)
    assert room <= 4 * largest
    assert made.annotator
    longest = np.diff(np.unique(made.annotator.annotate(ids).sentence_start)).max()
    assert largest <= FIRST_ANCHORS + 3 * longest


def test_a_full_cache_grows_and_can_be_asked_for(tokenizer: Tokenizer) -> None:
    stream = Stream(trained(tokenizer, CONFIGS["near"]), evict=False)
    stream.read_all(np.tile(documents(tokenizer)["closers"], 2))
    assert stream.kept == stream.pieces == 402


def test_views_that_see_far_forget_nothing(tokenizer: Tokenizer) -> None:
    made = trained(tokenizer, CONFIGS["far"])
    assert not Stream(made).evicts
    with pytest.raises(ValueError, match="nothing can be dropped under these views: dense, pos"):
        Stream(made, evict=True)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ("window(4)", True),
        ("pos & sentence", True),
        ("~~sentences(2)", True),
        ("~(~window(3) | pos)", True),
        ("sentence | window(3) & dense", True),
        ("pos | sentence", False),
        ("~sentence", False),
        ("random(sentence)", False),
        ("random(window(4)) & window(8)", False),
    ],
)
def test_which_views_forget(view: str, said: bool) -> None:
    assert forgets(parse(view)) is said


def test_no_mask_is_unknown_to_streams_unless_it_reads_bonds(tokenizer: Tokenizer) -> None:
    for name, mask in MASKS.items():
        assert (name in EYES) is not mask.bonded
        if mask.bonded:
            with pytest.raises(ValueError, match=f"{name} looks through bonds"):
                check(parse(f"window(3) | {name}"))
    for term in ("scores", "kind_bias", "kind_gates", "features"):
        with pytest.raises(ValueError, match="weighs pairs by bonds or features"):
            trained(tokenizer, ModelConfig(layers=1, dim=32, heads=2, **{term: True}))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be generated with"):
        trained(tokenizer, ModelConfig(layers=1, dim=32, heads=2, views=("open | sentence",)))


def test_learned_positions_end(tokenizer: Tokenizer) -> None:
    stream = Stream(trained(tokenizer, replace(CONFIGS["learned"], context=20)))
    stream.read_all(documents(tokenizer)["stories"][:20])
    with pytest.raises(ValueError, match="learned 20 positions"):
        stream.read(5)
    assert stream.pieces == 20
    with pytest.raises(ValueError, match="is no piece; ids go from 0 to 319"):
        stream.read(-1)


def test_places_turn_as_in_training_and_exactly_far_off() -> None:
    table = turn_of(600, 16, torch.device("cpu"), torch.float64)
    for place in (0, 1, 255, 256, 599):
        turn = turn_at(place, 16, torch.device("cpu"), torch.float64)
        assert torch.equal(turn.cos[0], table.cos[place])
        assert torch.equal(turn.sin[0], table.sin[place])
    # The first pair turns by one radian a place: reduced by 2 pi in more digits than float64 has.
    place = 1_000_000
    turn = turn_at(place, 16, torch.device("cpu"), torch.float64)
    exact = np.longdouble(place) % (2 * np.longdouble("3.14159265358979323846264338327950288"))
    assert float(turn.cos[0, 0]) == pytest.approx(float(np.cos(exact)), abs=1e-12)


def test_heads_may_share_keys(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that hands out two heads of keys for four of queries, and its twin that repeats them."""
    made, ids = trained(tokenizer, CONFIGS["near"]), documents(tokenizer)["stories"]
    heads = ViewsAttention.heads

    def two(*given: Any) -> tuple[torch.Tensor, ...]:
        q, k, v = heads(*given)
        return q, k[:, ::2], v[:, ::2]

    def repeated(*given: Any) -> tuple[torch.Tensor, ...]:
        q, k, v = two(*given)
        return q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)

    monkeypatch.setattr(ViewsAttention, "heads", repeated)
    true = teacher_forced(made, ids)
    monkeypatch.setattr(ViewsAttention, "heads", two)
    stream = Stream(made)
    streamed = torch.stack([stream.read(piece) for piece in ids.tolist()])
    assert apart(streamed, true) <= 1e-9


def said_by(made: Trained, **given: Any) -> tuple[list[int], str]:
    said = list(generate(made, **given))
    return [each.piece for each in said], "".join(each.text for each in said)


def test_a_seed_says_the_same_again_and_another_something_else(tokenizer: Tokenizer) -> None:
    made = trained(tokenizer, CONFIGS["near"])
    pieces, text = said_by(made, sampling=Sampling(seed=3), prompt="The cat", pieces=60, stop=False)
    assert (pieces, text) == said_by(made, sampling=Sampling(seed=3), prompt="The cat", pieces=60, stop=False)
    assert pieces != said_by(made, sampling=Sampling(seed=4), prompt="The cat", pieces=60, stop=False)[0]
    assert len(pieces) == 60
    assert text == tokenizer.decode(np.array(pieces))
    assert not {tokenizer.begin, tokenizer.end} & set(pieces)


def test_forgetting_changes_no_text(tokenizer: Tokenizer) -> None:
    made = trained(tokenizer, CONFIGS["near"])
    full = said_by(made, pieces=300, stop=False, stream=Stream(made, evict=False))
    assert full == said_by(made, pieces=300, stop=False)


def test_temperature_zero_is_the_likeliest_piece_of_the_whole_text(tokenizer: Tokenizer) -> None:
    made = trained(tokenizer, CONFIGS["far"])
    pieces, _ = said_by(made, sampling=Sampling(temperature=0), prompt="Rain", pieces=12)
    ids = np.array([tokenizer.begin, *tokenizer.encode("Rain"), *pieces], np.int32)
    likeliest = teacher_forced(made, ids)
    likeliest[:, [tokenizer.begin, 2]] = -torch.inf  # begin and padding, which are never drawn
    assert likeliest.argmax(-1)[-len(pieces) - 1 : -1].tolist() == pieces


def test_a_document_ends_where_the_model_ends_it(tokenizer: Tokenizer) -> None:
    made = trained(tokenizer, CONFIGS["near"])
    with torch.no_grad():
        made.model.embedding.weight[tokenizer.end] *= 3  # likelier by far, at some places
    pieces, text = said_by(made, pieces=500)
    assert pieces[-1] == tokenizer.end
    assert tokenizer.end not in pieces[:-1]
    assert text == tokenizer.decode(np.array(pieces))
    assert len(said_by(made, pieces=500, stop=False)[0]) == 500


def test_spaces_do_not_go_on_for_ever(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trained(tokenizer, CONFIGS["near"])
    newline = int(tokenizer.encode("\n")[0])
    only_newlines = torch.zeros(tokenizer.size).index_fill(0, torch.tensor([newline]), 1000.0)
    monkeypatch.setattr("model.generate.kept.Kept.logits", lambda *_: only_newlines)
    _, text = said_by(made, pieces=3 * MOST_SPACES, stop=False)
    runs = [len(run) for run in "".join(" " if each.isspace() else "x" for each in text).split("x") if run]
    assert MOST_SPACES <= max(runs) <= MOST_SPACES + 2
    assert any(map(str.isalnum, text))


def test_what_cannot_be_generated_says_so(tokenizer: Tokenizer) -> None:
    made = trained(tokenizer, CONFIGS["near"])
    with pytest.raises(ValueError, match="pieces is 0"):
        generate(made, pieces=0)
    stream = Stream(made)
    stream.read(tokenizer.begin)
    with pytest.raises(ValueError, match="has read 1 pieces"):
        generate(made, stream=stream)


def test_floors_are_kept() -> None:
    """That no parser is imported, test_house says of model.train; a service imports this."""
    said = "import model.generate, sys; print([m for m in ('spacy', 'prefect', 'duckdb') if m in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
