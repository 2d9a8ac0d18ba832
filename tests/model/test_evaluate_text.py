"""Text scores: units by hand, annotation of many documents as of each, nothing told by neighbours."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.batches import gather, read_places
from model.bond_reader import Bonded, BondReader
from model.columns import ATTRIBUTES
from model.evaluate.perplexity import evaluate
from model.evaluate.text import Counted, annotate_all, counted, place_nats, split_nats, text_scores
from model.masked import mask_piece
from model.whole import reread
from tests.model.readers import text_model
from tests.model.tiny_cache import STORIES

PARTS = [
    r"He",
    r"said",
    r'"no',
    r"(what)",
    r"“yes",
    r"’tis",
    r"Mr.",
    r"U.S.",
    r"e.g.",
    r"3.5",
    r"http://a.b/c",
    r"a@b.c",
    r"don't",
    r"well-known",
    r"é",
    r"...",
    r"?!",
    r"[x",
    r"{y",
    r"'",
    r"1,",
    r"2)",
    r"-",
    r"—",
    r"The",
    r"cat",
    r"cannot",
    r"gonna",
    r"x.y.",
    r"😀",
    r"co",
    r"10",
    r"km",
    r"%",
    r"$",
]


def hostile(count: int) -> list[str]:
    """Texts that leave quotations, brackets, abbreviations and addresses open at their ends."""
    draw = random.Random(0)
    joints = [" ", "", "  ", "\n", "\n\n", "\u200b"]
    return ["".join(draw.choice(PARTS) + draw.choice(joints) for _ in range(draw.randint(0, 25))) for _ in range(count)]


def test_documents_annotated_together_are_annotated_as_each_alone() -> None:
    text = text_model()
    documents = [text.ids(each) for each in ["", *hostile(150), *STORIES]]
    together = annotate_all(text.annotator, documents, text.tokenizer.begin)
    assert len(together) == len(documents)
    for ids, found in zip(documents, together, strict=True):
        alone = text.annotator.annotate(ids)
        for name in ATTRIBUTES:
            assert np.array_equal(getattr(found, name), getattr(alone, name)), name
            assert getattr(found, name).dtype == getattr(alone, name).dtype


def test_crops_without_a_begin_are_annotated_alone() -> None:
    text = text_model()
    crops = [text.ids(each)[cut:] for each in STORIES for cut in (3, 8)]
    for ids, found in zip(crops, annotate_all(text.annotator, crops, text.tokenizer.begin), strict=True):
        alone = text.annotator.annotate(ids)
        assert all(np.array_equal(getattr(found, name), getattr(alone, name)) for name in ATTRIBUTES)


def test_documents_in_parts_are_annotated_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_model()
    documents = [text.ids(each) for each in STORIES]
    whole = annotate_all(text.annotator, documents, text.tokenizer.begin)
    monkeypatch.setattr("model.evaluate.text.TOGETHER", 40)
    for one, other in zip(annotate_all(text.annotator, documents, text.tokenizer.begin), whole, strict=True):
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ATTRIBUTES)


def test_nats_of_a_text_do_not_depend_on_its_neighbours() -> None:
    text = text_model()
    documents = [text.ids(each) for each in STORIES]
    together = text.nats(documents)
    for ids, found in zip(documents, together, strict=True):
        assert len(found) == len(ids) - 1
        np.testing.assert_allclose(text.nats([ids])[0], found, rtol=1e-9)


def test_nats_add_up_to_the_score_of_training() -> None:
    text = text_model()
    split = replace(
        text.split([text.ids(each) for each in STORIES]), bytes=np.array([len(s.encode()) for s in STORIES])
    )
    score = evaluate(text.model, split, rows=3, length=text.length)
    assert score is not None
    found = text_scores(split_nats(text, split), counted(STORIES, text.tokenizer))
    assert found["bits_per_byte"] == pytest.approx(score.bits_per_byte, rel=1e-9)
    assert found["perplexity_per_piece"] == pytest.approx(score.perplexity, rel=1e-9)
    assert found["pieces"] == score.pieces


def test_units_follow_from_nats_per_byte() -> None:
    count = Counted(bytes=np.array([10.0, 30.0]), words=np.array([3.0, 5.0]), fixed_pieces=np.array([4.0, 6.0]))
    scores = text_scores([np.full(5, 2.0), np.full(10, 3.0)], count)
    assert scores["nats_per_byte"] == 1.0
    assert scores["bits_per_byte"] == pytest.approx(1 / math.log(2))
    assert scores["perplexity_per_piece"] == pytest.approx(math.exp(40 / 15))
    assert scores["perplexity_per_word"] == pytest.approx(math.exp(40 / 8))
    assert scores["perplexity_on_fixed_pieces"] == pytest.approx(math.exp(40 / 10))
    # both documents need one nat a byte, so the bootstrap has nothing to move
    assert scores["bits_per_byte_low"] == scores["bits_per_byte_high"] == pytest.approx(1 / math.log(2))


def test_on_its_own_pieces_a_run_has_its_own_perplexity() -> None:
    text = text_model()
    scores = text_scores(text.nats([text.ids(each) for each in STORIES]), counted(STORIES, text.tokenizer))
    assert scores["perplexity_on_fixed_pieces"] == pytest.approx(scores["perplexity_per_piece"])


def test_a_perplexity_that_no_float_holds_is_left_out() -> None:
    count = Counted(bytes=np.ones(1), words=np.ones(1), fixed_pieces=np.ones(1))
    assert text_scores([np.full(1000, 1.0)], count)["perplexity_per_word"] is None


def test_a_text_without_bytes_is_a_mistake() -> None:
    nothing = np.zeros(1)
    with pytest.raises(ValueError, match="no text to score"):
        text_scores([nothing], Counted(bytes=nothing, words=nothing, fixed_pieces=nothing))


def test_means_are_of_the_hidden_states_of_every_piece_but_the_end() -> None:
    text = text_model()
    documents = [text.ids(each) for each in STORIES[:2]]
    found = text.means(documents)
    for ids, mean in zip(documents, found, strict=True):
        split, hidden = text.split([ids]), list[Tensor]()
        for begin in range(0, len(ids) - 1, text.length):
            place = np.arange(begin, min(begin + text.length, len(ids) - 1))[None]
            batch = gather(split, place * 0, place)
            with torch.no_grad():
                hidden.append(text.model.hidden(batch.ids, batch.context)[0])
        np.testing.assert_allclose(torch.cat(hidden).mean(0).numpy(), mean, rtol=1e-9)


def test_masked_nats_are_of_one_hidden_piece_at_a_time() -> None:
    """The slow twin: each piece hidden by itself, the rest annotated by `reread`."""
    text = text_model(objective="masked")
    ids = text.ids(STORIES[1])[:40]
    ids = np.append(ids, text.tokenizer.end).astype(np.int32)
    [found] = text.nats([ids])
    assert len(found) == len(ids) - 1
    for place in (1, 7, text.length - 1, text.length, 30):
        first = place // text.length * text.length
        crop = ids[first : min(first + text.length, len(ids) - 1)].astype(np.int64)[None]
        seen = crop.copy()
        seen[0, place - first] = mask_piece(text.tokenizer)
        nothing = torch.full((1, crop.shape[1]), -100)
        bare = text.split([ids])
        blank = gather(bare, np.zeros_like(crop), np.arange(crop.shape[1])[None])._replace(targets=nothing)
        batch = reread(blank, seen, text.annotator, text.tokenizer.end)
        with torch.no_grad():
            logits = text.model(batch.ids, batch.context)[0, place - first]
        assert found[place - 1] == pytest.approx(-float(logits.log_softmax(-1)[ids[place]]), rel=1e-9)


def test_what_is_hidden_moves_no_score_of_another_piece() -> None:
    """Law 1, second half: a hidden piece's nats are read off a distribution that it has no part in."""
    text = text_model(objective="masked")
    ids, place = text.ids("The cat sat on the mat."), 5
    other = ids.copy()
    other[place] = text.ids(" bird")[1]
    seen = []
    for each in (ids, other):
        hidden = each.copy()
        hidden[place] = mask_piece(text.tokenizer)
        batch_ids, context = read_places(text.split([hidden]), np.zeros((1, len(ids) - 1), np.int64),
                                         np.arange(len(ids) - 1)[None])  # fmt: skip
        seen.append(text.model(batch_ids, context)[0, place].log_softmax(-1))
    assert torch.equal(seen[0], seen[1])
    for each, logs in zip((ids, other), seen, strict=True):
        assert text.nats([each])[0][place - 1] == pytest.approx(-float(logs[each[place]].detach()), rel=1e-9)


def test_views_through_bonds_read_new_text() -> None:
    text = text_model(views=("bonds", "dense"))
    bonded = replace(text, annotator=Bonded(text.annotator, BondReader.load(text.tokenizer)))
    documents = [text.ids(each) for each in STORIES[:2]]
    found = bonded.nats(documents)
    np.testing.assert_allclose(bonded.nats(documents[1:])[0], found[1], rtol=1e-9)
    with pytest.raises(ValueError, match="bonds"):
        text.nats(documents)


def test_a_model_of_classes_does_not_say_how_likely_a_text_is() -> None:
    text = replace(text_model(), objective="classify")
    with pytest.raises(ValueError, match="give a run of causal or masked"):
        text.nats([text.ids("A cat.")])


def test_nats_are_those_of_the_target_and_none_at_padding() -> None:
    logits, targets = torch.zeros(1, 2, 8), torch.tensor([[3, -100]])
    found = place_nats(logits, targets)
    assert found.tolist() == [[pytest.approx(math.log(8)), 0.0]]
