"""Text scores: units by hand, annotation of many documents as of each, nothing told by neighbours."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.batches import gather
from model.columns import ATTRIBUTES
from model.evaluate.perplexity import evaluate
from model.evaluate.text import Counted, TextModel, annotate_all, counted, place_nats, split_nats, text_scores
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
    together = annotate_all(text.annotator, documents)
    assert len(together) == len(documents)
    for ids, found in zip(documents, together, strict=True):
        alone = text.annotator.annotate(ids)
        for name in ATTRIBUTES:
            assert np.array_equal(getattr(found, name), getattr(alone, name)), name
            assert getattr(found, name).dtype == getattr(alone, name).dtype


def test_documents_in_parts_are_annotated_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_model()
    documents = [text.ids(each) for each in STORIES]
    whole = annotate_all(text.annotator, documents)
    monkeypatch.setattr("model.evaluate.text.TOGETHER", 40)
    for one, other in zip(annotate_all(text.annotator, documents), whole, strict=True):
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


def test_another_objective_scores_by_its_own_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is handed bare ids: attributes are made after masking, or law 1's second half would be lost."""
    masked = replace(text_model(), objective="masked")
    with pytest.raises(ValueError, match="'masked'"):
        masked.nats([masked.ids("A cat.")])
    handed = []

    def score(text: TextModel, documents: list[np.ndarray]) -> list[np.ndarray]:
        handed.append((text, documents))
        return [np.zeros(len(ids) - 1) for ids in documents]

    monkeypatch.setitem(__import__("model.evaluate.text", fromlist=["NATS"]).NATS, "masked", score)
    assert [len(each) for each in masked.nats([masked.ids("A cat.")])] == [len(masked.ids("A cat.")) - 1]
    assert handed[0][0] is masked


def test_nats_are_those_of_the_target_and_none_at_padding() -> None:
    logits, targets = torch.zeros(1, 2, 8), torch.tensor([[3, -100]])
    found = place_nats(logits, targets)
    assert found.tolist() == [[pytest.approx(math.log(8)), 0.0]]
