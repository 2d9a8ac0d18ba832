"""Views: their text, their cost, and their masks against the slow twin."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexicons.upos import UPOS_INDEX, compatible
from model.context import NO_TAG, Context
from model.parse import parse
from model.views import And, Named, Not, Or, Random, View, cost, sees, view_masks
from tests.model.toy import toy_context, with_toy_bonds

VIEWS = (
    *("dense", "window(1)", "window(7)", "sentence", "sentences(1)", "sentences(2)", "sentences(3)", "pos"),
    *(
        "~dense",
        "~sentence",
        "~pos",
        "pos & sentences(2)",
        "(pos & sentence) | window(5)",
        "~(pos | window(3)) & dense",
        "bonds",
        "blocked",
        "pos & ~blocked",
        "(pos & sentences(2)) | open",
        "dependency | role",
    ),
)


def context_of(
    document: list[int], sentence_start: list[int], words: list[tuple[int, int, int]], **more: object
) -> Context:
    """One row written out; words: (first_word, last_word, closed_word) of each piece; tags: all NOUN unless given."""
    first, last, closed = (torch.tensor([column]) for column in zip(*words, strict=True))
    tags = torch.full_like(first, UPOS_INDEX["NOUN"])
    row = Context(torch.tensor([document]), torch.tensor([sentence_start]), first, last, closed, tags, tags)
    return row._replace(**more)  # type: ignore[arg-type]


def seen(view: str, context: Context) -> list[list[int]]:
    """The keys of each piece of a single row."""
    return [keys.nonzero().flatten().tolist() for keys in view_masks([parse(view)], context)[0, 0]]


def one_word_each(count: int) -> list[tuple[int, int, int]]:
    """Every piece is a word, closed by the next piece."""
    return [(place, place, place) for place in range(count)]


def test_a_sentence_is_seen_whole_and_the_one_before_it_by_anchors_only() -> None:
    # Nine words; the second sentence begins at 6. All see the first four pieces and the previous two.
    context = context_of([0] * 9, [0] * 6 + [6] * 3, one_word_each(9))
    keys = seen("sentence", context)
    assert keys[5] == [0, 1, 2, 3, 4, 5]
    assert keys[6] == [0, 1, 2, 3, 4, 5, 6]  # 4 and 5 are the previous two
    assert keys[8] == [0, 1, 2, 3, 6, 7, 8]
    assert seen("sentences(2)", context)[8] == list(range(9))


def test_sentences_step_back_by_what_was_known_at_the_piece_before() -> None:
    # Three sentences begin at 0, 5 and 9; two latest of the third reach back to 5.
    context = context_of([0] * 12, [0] * 5 + [5] * 4 + [9] * 3, one_word_each(12))
    assert seen("sentences(2)", context)[11] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert seen("sentences(3)", context)[11] == list(range(12))


def test_a_late_boundary_moves_the_sentence_only_then() -> None:
    # The sentence of 5 is known to have begun at 5 only from piece 7 on (say that 6 was a closing quotation mark).
    context = context_of([0] * 9, [0] * 7 + [5, 5], one_word_each(9))
    assert seen("sentence", context)[6] == [0, 1, 2, 3, 4, 5, 6]
    assert seen("sentence", context)[8] == [0, 1, 2, 3, 5, 6, 7, 8]


def test_anchors_hold_sixteen_earlier_pieces_of_the_own_word() -> None:
    # Pieces 0 to 5 are words; from 6 on, one long word of 20 pieces.
    words = one_word_each(6) + [(6, 6, 6)] * 20
    keys = seen("~dense", context_of([0] * 26, [0] * 26, words))
    assert keys[8] == [0, 1, 2, 3, 6, 7, 8]
    assert keys[25] == [0, 1, 2, 3, *range(9, 26)]


def test_pieces_before_any_word_share_none() -> None:
    context = context_of([0] * 9, [0] * 9, [(-1, -1, 0)] * 9)
    assert seen("~dense", context)[8] == [0, 1, 2, 3, 6, 7, 8]


def test_documents_and_padding_are_apart() -> None:
    # Two documents of four and five pieces, and two places of padding.
    words = one_word_each(4) + one_word_each(5) + [(-1, -1, 0)] * 2
    context = context_of([0] * 4 + [1] * 5 + [-1, -1], [0] * 4 + [4] * 5 + [9, 10], words)
    keys = seen("dense", context)
    assert keys[3] == [0, 1, 2, 3]
    assert keys[4] == [4]
    assert keys[8] == [4, 5, 6, 7, 8]
    assert keys[9:] == [[9], [10]]


def test_pos_reads_the_full_tag_once_the_word_is_closed_and_not_before() -> None:
    pairs = [(query, key) for query in range(NO_TAG) for key in range(NO_TAG)]
    query, unfit = next(pair for pair in pairs if not compatible()[pair])
    fit = next(key for key in range(NO_TAG) if compatible()[query, key])
    words = one_word_each(12)
    words[9] = (9, 9, 6)  # at piece 9 only the words before word 6 are closed; at piece 10 it is, too
    input_tag, key_tag = torch.full((1, 12), query), torch.full((1, 12), query)
    input_tag[0, 6], key_tag[0, 6] = unfit, fit
    context = context_of([0] * 12, [0] * 12, words, input_tag=input_tag, key_tag=key_tag)
    assert 6 not in seen("pos", context)[9]
    assert 6 in seen("~pos", context)[9]
    assert 6 in seen("pos", context)[10]
    assert 6 not in seen("~pos", context)[10]


def test_pieces_without_a_word_fit_nothing() -> None:
    tags = torch.full((1, 10), UPOS_INDEX["NOUN"])
    tags[0, [5, 9]] = NO_TAG
    context = context_of([0] * 10, [0] * 10, one_word_each(10), input_tag=tags, key_tag=tags)
    assert seen("pos", context)[8] == [0, 1, 2, 3, 4, 6, 7, 8]  # a noun fits a noun, but not the spaces at 5
    assert seen("pos", context)[9] == [0, 1, 2, 3, 7, 8, 9]  # spaces: anchors only
    assert seen("~pos", context)[9] == list(range(10))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rows", [[[1]], [[7], [3, 4]], [[63], [20, 30]], [[17, 1, 2], [40]]])
def test_fast_masks_equal_the_slow_ones(rows: list[list[int]], causal: bool) -> None:
    _, context = toy_context(rows, seed=sum(map(sum, rows)))
    context = with_toy_bonds(context._replace(causal=causal))
    B, N = context.document.shape
    masks = view_masks([parse(view) for view in VIEWS], context)
    for number, view in enumerate(map(parse, VIEWS)):
        slow = [[[sees(view, context, row, t, s) for s in range(N)] for t in range(N)] for row in range(B)]
        assert torch.equal(masks[:, number], torch.tensor(slow)), view


def test_a_view_through_bonds_asks_for_lists() -> None:
    with pytest.raises(ValueError, match="--piece-bonds causal"):
        seen("sentence | open", toy_context([[9]])[1])


@pytest.mark.parametrize("causal", [True, False])
def test_fast_random_keys_equal_the_slow_ones(causal: bool) -> None:
    _, context = toy_context([[17], [9, 6]], seed=2)
    context = context._replace(causal=causal)
    for view in map(parse, ("random(sentence)", "random(pos) & ~sentence", "random(random(window(3)))")):
        slow = [[[sees(view, context, row, t, s) for s in range(17)] for t in range(17)] for row in range(2)]
        assert torch.equal(view_masks([view], context)[:, 0], torch.tensor(slow)), view


def test_random_keys_are_as_many_as_the_view_has_and_lie_anywhere_before() -> None:
    # Sentences of ten words; each query's number of keys stays, and now and then a key lies sentences back.
    context = context_of([0] * 60, [place // 10 * 10 for place in range(60)], one_word_each(60))
    near, anywhere = seen("sentence", context), seen("random(sentence)", context)
    assert [len(keys) for keys in anywhere] == [len(keys) for keys in near]
    assert all(max(keys) == t for t, keys in enumerate(anywhere))
    assert anywhere[59] != near[59]
    distances = [t - s for t, keys in enumerate(anywhere) for s in keys if t >= 50 and 3 < s < t - 2]
    assert min(distances) < 10
    assert max(distances) > 40


def test_random_keys_depend_on_the_place_in_the_sequence_alone() -> None:
    alone = context_of([0] * 20, [place // 7 * 7 for place in range(20)], one_word_each(20))
    starts = [0, 0, 0, *(3 + place // 7 * 7 for place in range(20))]
    after_another = context_of([1] * 3 + [0] * 20, starts, one_word_each(3) + one_word_each(20))
    moved = [[key - 3 for key in keys] for keys in seen("random(sentence)", after_another)[3:]]
    assert moved == seen("random(sentence)", alone)


def test_a_view_of_no_heads_has_no_masks() -> None:
    assert view_masks([], toy_context([[5]])[1]).shape == (1, 0, 5, 5)


def any_view() -> st.SearchStrategy[View]:
    plain = st.sampled_from(
        [Named("dense"), Named("sentence"), Named("pos"), Named("window", 8), Named("sentences", 2)]
    )
    return st.recursive(
        plain,
        lambda inner: (
            st.builds(Not, inner)
            | st.builds(And, inner, inner)
            | st.builds(Or, inner, inner)
            | st.builds(Random, inner)
        ),
        max_leaves=8,
    )


@given(any_view())
@settings(max_examples=300, deadline=None)
def test_the_text_of_a_view_is_read_back_as_the_view(view: View) -> None:
    assert parse(str(view)) == view


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("~pos&sentence|window( 64 )", "~pos & sentence | window(64)"),
        ("(pos & (sentence | dense))", "pos & (sentence | dense)"),
        ("~(pos | dense)", "~(pos | dense)"),
        ("((dense))", "dense"),
    ],
)
def test_not_binds_before_and_before_or(text: str, plain: str) -> None:
    assert str(parse(text)) == plain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pos & sentense", "unknown mask 'sentense' at character 7; did you mean 'sentence'?"),
        ("everything", "known masks: dense, window(n), sentence, sentences(n), pos, bonds, role, binding, dependency,"),
        ("everything", "cohesion, open, escape, blocked, random(view)"),
        ("random", "the text ends at character 7; 'random' needs the view whose number of keys it takes"),
        ("random(pos", "expected `)`"),
        ("window", "the text ends at character 7; 'window' needs a number, as in `window(2)`"),
        ("window(0)", "'0' stands at character 8; 'window' counts from 1"),
        ("sentence(2)", "'sentence' takes no number; did you mean `sentences(2)`?"),
        ("(pos | dense", "expected `)`"),
        ("pos dense", "'dense' stands at character 5; expected `&`, `|` or the end"),
        ("pos & $", "'$' stands at character 7"),
        ("", "the text ends at character 1; expected a mask"),
    ],
)
def test_a_view_that_cannot_be_read_says_where_and_what_would_do(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="view ") as error:
        parse(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dense", "quadratic"),
        ("pos", "quadratic"),
        ("sentence", "linear"),
        ("pos & sentences(2)", "linear"),
        ("pos | sentence", "quadratic"),
        ("~sentence", "quadratic"),
        ("~~sentence", "linear"),
        ("~(dense | pos)", "linear"),  # nothing but anchors
        ("~(~sentence & dense)", "linear"),
        ("random(sentence)", "linear"),
        ("random(pos)", "quadratic"),
        ("~random(sentence)", "quadratic"),
    ],
)
def test_cost_asks_whether_every_key_is_near(text: str, expected: str) -> None:
    assert cost(parse(text)) == expected
