"""The teacher's parts, each by itself: lemma rules, trees, pieces, windows, masks, Muon."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fit.teacher.annotate import cut, overlapping, sentence_edges, sentence_windows
from pipeline.fit.teacher.config import TeacherConfig, tiny
from pipeline.fit.teacher.encoder import MaskedModel
from pipeline.fit.teacher.lemma import LemmaRule, apply, rule_of
from pipeline.fit.teacher.muon import orthogonal
from pipeline.fit.teacher.parser import Parser, Sizes, allowed_arcs
from pipeline.fit.teacher.pretrain import hide_words, pretrain
from pipeline.fit.teacher.raw import choose
from pipeline.fit.teacher.stream import Stream, gather, make_stream, pack
from pipeline.fit.teacher.subwords import DOCUMENT, LONGEST, MASK, PARAGRAPH, encode, fit_subwords, spelling
from pipeline.fit.teacher.tree import best_heads, find_cycle

CPU = torch.device("cpu")


def stream_of(text: str) -> Stream:
    """`D` and `P` are breaks, a letter begins a word, `.` goes on with it."""
    pieces = [{"D": DOCUMENT, "P": PARAGRAPH}.get(each, 4 + ord(each) % 16) for each in text]
    return make_stream(np.array(pieces, np.uint16), np.array([each.islower() for each in text]), CPU)


def random_stream(seed: int, documents: int = 5, words: int = 200) -> Stream:
    chance = np.random.default_rng(seed)
    said = ""
    for _ in range(documents):
        said += "D"
        for word in range(chance.integers(1, words)):
            said += "P" * int(word > 0 and chance.random() < 0.03) + "w" + "." * int(chance.integers(0, 4))
    return stream_of(said)


def test_lemma_rules_read_as_grammar() -> None:
    assert rule_of("Dogs", "dog") == LemmaRule(True, 1, "")
    assert rule_of("the", "the") == rule_of("The", "the") == LemmaRule(True, 0, "")
    assert rule_of("Paris", "Paris") == LemmaRule(False, 0, "")
    assert apply(rule_of("cities", "city"), "Parties") == "party"
    assert apply(LemmaRule(True, 2, ""), "Is") == "Is", "a lemma is never empty"


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_rule_gives_its_lemma_back(form: str, lemma: str) -> None:
    assert apply(rule_of(form, lemma), form) == lemma


@pytest.mark.parametrize("seed", range(60))
def test_best_heads_are_those_of_brute_force(seed: int) -> None:
    chance = np.random.default_rng(seed)
    words = 1 + seed % 5
    scores = np.log(chance.dirichlet(np.full(words + 1, 0.4), words) + 1e-12)

    def total(heads: tuple[int, ...]) -> float:
        """Sum of the arcs' scores, nothing for what is no tree."""
        if heads.count(0) != 1 or find_cycle(np.array([0, *heads])) is not None:
            return -np.inf
        return float(sum(scores[word, head] for word, head in enumerate(heads)))

    found = tuple(best_heads(scores).tolist())
    best = max(itertools.product(range(words + 1), repeat=words), key=total)
    assert found.count(0) == 1
    assert find_cycle(np.array([0, *found])) is None
    assert total(found) == pytest.approx(total(best))


def test_find_cycle() -> None:
    assert find_cycle(np.array([0, 0, 1, 2])) is None
    assert set(find_cycle(np.array([0, 0, 3, 2]))) == {2, 3}  # type: ignore[arg-type]
    assert set(find_cycle(np.array([0, 1]))) == {1}, "its own head"  # type: ignore[arg-type]


def test_pieces_are_of_one_word_each_and_short_words_are_whole() -> None:
    text = [spelling(form, space) for form, space in (("the", True), ("cat", True), ("n't", False), (".", False))] * 50
    tokenizer = fit_subwords([text], 300)
    pieces = encode(tokenizer, [" the", "n't", " " + "xyz" * 20, "[mask]"])
    the, _, long, mask = (pieces.flat[begin:end] for begin, end in itertools.pairwise(pieces.first))
    assert len(the) == 1
    assert len(long) == LONGEST
    assert MASK not in mask, "a text that spells a special piece does not become it"
    flat, length = pieces.of(np.array([1, 0, 0]))
    assert flat.tolist() == [*pieces.flat[pieces.first[1] : pieces.first[2]], *the, *the]
    assert length.tolist() == [pieces.first[2] - pieces.first[1], 1, 1]


def test_streams_know_words_breaks_and_documents() -> None:
    stream = stream_of("Dab..PcDd.")
    assert stream.word.tolist() == [-1, 0, 1, 1, 1, -1, 2, -1, 3, 3]
    assert stream.begin.tolist() == [0, 2, 5, 7, 10], "a break belongs to the word after it"
    assert stream.document.tolist() == [0, 3]
    assert stream.paragraph.tolist() == [2]
    batch = gather(stream, np.array([[1, 3], [3, 4]]))
    assert batch.word[0, :6].tolist() == [0, 0, 0, -1, 1, -1]
    assert batch.valid.sum(1).tolist() == [5, 3]
    assert batch.present.sum(1).tolist() == [2, 1]
    assert batch.index[0, :2].tolist() == [1, 2]


def test_windows_hold_as_much_as_they_may() -> None:
    stream = stream_of("Dabcd....ef")
    assert pack(stream, np.arange(6), np.array([3]), 0, 6).tolist() == [[0, 2], [2, 3], [3, 4], [4, 6]]
    assert pack(stream, np.array([0, 2, 4]), np.array([4]), 0, 6).tolist() == [[0, 2], [2, 4], [4, 6]]
    assert pack(stream, np.array([0]), np.array([4]), 0, 6).tolist() == [[0, 6]], "a long unit is alone"


@pytest.mark.parametrize("seed", range(5))
def test_every_word_is_judged_once_and_inside_its_window(seed: int) -> None:
    stream = random_stream(seed)
    windows = overlapping(stream, 64)
    judged = np.concatenate([np.arange(first, last) for _, _, first, last in windows])
    assert sorted(judged) == list(range(stream.words))
    for begin, end, first, last in windows:
        assert begin <= first <= last <= end
        assert stream.begin[end] - stream.begin[begin] <= 64
        if first not in stream.document:
            assert stream.begin[first] - stream.begin[begin] >= 8, "no word is judged without what stands before it"


@pytest.mark.parametrize("seed", range(5))
def test_sentences_begin_where_they_must_and_fit_into_windows(seed: int) -> None:
    stream = random_stream(seed)
    start = cut(stream, np.random.default_rng(seed).random(stream.words).astype(np.float32) * 0.505, 64)
    assert start[stream.document].all()
    assert start[stream.paragraph].all()
    first, last = sentence_edges(start)
    assert (stream.begin[last] - stream.begin[first]).max() <= 64
    windows = sentence_windows(stream, np.flatnonzero(start), 64)
    assert sorted(np.concatenate([np.arange(*window) for window in windows])) == list(range(stream.words))
    assert start[windows[:, 0]].all()
    assert (stream.begin[windows[:, 1]] - stream.begin[windows[:, 0]]).max() <= 64


def test_whole_words_are_hidden_and_breaks_are_not() -> None:
    torch.manual_seed(0)
    stream = stream_of("Da.b..cd.Pe...fg.hi." * 20)
    pieces, word = stream.pieces[:400].view(4, 100), stream.word[:400].view(4, 100)
    shown, place = hide_words(pieces, word, 0.3, 100)
    assert place.shape == (4, 30)
    for row in range(4):
        chosen = set(place[row].tolist())
        words = {int(word[row, at]) for at in chosen}
        assert -1 not in words
        cut_words = [each for each in words if not set((word[row] == each).nonzero()[:, 0].tolist()) <= chosen]
        assert len(cut_words) <= 1, "the number of places is fixed, so one word may be cut"
        for each in words:
            hidden = [int(shown[row, at]) == MASK for at in chosen if word[row, at] == each]
            assert all(hidden) or not any(hidden), "a word is hidden whole, changed whole, or left"
    untouched = torch.ones_like(pieces, dtype=torch.bool).scatter(1, place, False)
    assert torch.equal(shown[untouched], pieces[untouched])


@pytest.mark.parametrize("shape", [(3, 8, 16), (2, 40, 8)])
def test_muon_moves_in_all_directions_alike(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_even_shares_of_uneven_corpora() -> None:
    corpora, sizes = [0] * 10 + [1] * 100 + [2] * 100, [10] * 210
    chosen = choose(corpora, sizes, 900, seed=0)
    taken = np.bincount(np.array(corpora)[chosen]) * 10
    assert taken.tolist() == [100, 400, 400], "the small one gives all, the others share the rest"
    assert (choose(corpora, sizes, 900, seed=0) == chosen).all()
    assert (choose(corpora, sizes, 900, seed=1) != chosen).any()


def parser_of(config: TeacherConfig) -> Parser:
    torch.manual_seed(0)
    parser = Parser(Sizes(pieces=32, upos=17, feats=5, lemma=7, relation=6, root=2), config)
    for name, weight in parser.named_parameters():
        if not weight.any():  # what begins as 0 would hide what it is given
            torch.nn.init.normal_(weight, std=0.1) if weight.ndim > 1 or "arc" in name else None
    return parser.double().eval()


def test_batching_changes_nothing() -> None:
    """Scores of a window alone and beside longer ones, in whose batch it is padded."""
    config = tiny()
    parser, stream = parser_of(config), random_stream(1)
    windows = np.array([[3, 9], [12, 50], [60, 61]])
    sentence = torch.arange(stream.words) // 4

    def scores(rows: np.ndarray) -> list[torch.Tensor]:
        batch = gather(stream, rows)
        words = parser.words(batch)
        arcs = parser.arc_scores(words, allowed_arcs(sentence[batch.index], batch.present))
        head = torch.where(batch.present, arcs.argmax(-1), 0)
        found = [arcs, parser.relation_scores(words, head), parser.start_scores(words)]
        return [*found, *parser.tag_scores(words).values()]

    together = scores(windows)
    for row, (first, last) in enumerate(windows):
        size = last - first
        for number, (one, many) in enumerate(zip(scores(windows[row : row + 1]), together, strict=True)):
            cut_many = many[row, :size, : size + 1] if number == 0 else many[row, :size]
            cut_one = one[0, :size, : size + 1] if number == 0 else one[0, :size]
            torch.testing.assert_close(cut_one, cut_many, rtol=1e-5, atol=1e-5)


def test_arcs_stay_in_the_sentence_and_off_the_word() -> None:
    allowed = allowed_arcs(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[True, True, True, False]]))[0].int().tolist()
    assert allowed == [[1, 0, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 1, 0]]


def test_only_the_root_has_the_roots_relation() -> None:
    parser = parser_of(tiny())
    scores = parser.relation_scores(torch.randn(1, 3, 48, dtype=torch.double), torch.tensor([[0, 1, 2]]))
    assert scores.argmax(-1)[0, 0] == 2
    assert (scores.argmax(-1)[0, 1:] != 2).all()


def test_pretraining_learns() -> None:
    """The text goes round in eight words: what is hidden can be told from its neighbours."""
    stream = stream_of("D" + "a.bcde..fgh" * 100)
    told: list[str] = []
    config = tiny(context=32, pretrain_steps=300, pretrain_windows=16, pretrain_seconds=600.0)
    pretrain([stream], 32, config, told.append)
    losses = [float(line.split("loss")[1].split()[0]) for line in told]
    assert losses[-1] < 0.7 * losses[0]


def test_the_model_has_as_many_weights_as_its_config_says() -> None:
    count = sum(weight.numel() for weight in MaskedModel(16_000, TeacherConfig()).parameters())
    assert 39e6 < count < 43e6


def test_sizes_that_do_not_go_together_are_told() -> None:
    with pytest.raises(ValueError, match="heads of even width"):
        TeacherConfig(width=100)
    with pytest.raises(ValueError, match="members is 0"):
        TeacherConfig(members=0)
