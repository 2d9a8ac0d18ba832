"""Lists of tiles say what dense masks say: keys of queries, queries of keys, and first pieces beside them."""

import pytest
import torch
from torch import Tensor

from model.kernels.covers import cover_of
from model.kernels.lists import TILE, Lists, key_lists, query_lists, sinks_of, together
from model.kernels.pairs import line_of
from model.parse import parse
from model.views import FIRST_ANCHORS, view_masks
from tests.model.test_kernels import NEAR, ROWS, context_of


def pairs(lists: Lists, rows: int, N: int, size: int) -> Tensor:
    """int [B,N,N]: how often the lists show each pair, blocks as rows."""
    counted, blocks = torch.zeros(rows, N, N, dtype=torch.int), -(-N // size)
    bit_EST = (lists.bits.long()[:, :, None] >> torch.arange(TILE)) & 1
    for x in range(rows * blocks):
        for e in range(int(lists.begin[x]), int(lists.begin[x + 1])):
            for s, j in bit_EST[e].nonzero().tolist():
                counted[x // blocks, x % blocks * size + s, int(lists.place[e * TILE + j])] += 1
    return counted


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("size", "key_size"), [(16, 16), (32, 64)])
def test_lists_and_first_pieces_say_what_dense_masks_say(
    rows: list[list[int]], causal: bool, size: int, key_size: int
) -> None:
    context = context_of(rows, causal)
    line, (B, N) = line_of(context), context.document.shape
    for text in NEAR:
        view = parse(text)
        cover = cover_of(view, line)
        keys, first = key_lists(view, cover, line, size)
        queries = query_lists(view, cover, line, key_size, size)
        sinks = sinks_of([first], line, size)
        truth = view_masks([view], context)[:, 0].int()
        assert torch.equal(pairs(keys, B, N, size), truth), text
        seen, blocks = pairs(queries, B, N, key_size).transpose(1, 2), -(-N // size)
        for row in range(B):
            for t in range(N):
                begin = int(sinks.first[row * blocks + t // size])
                if begin >= 0 and begin == int(sinks.begin[row, t]):
                    seen[row, t, begin : begin + FIRST_ANCHORS] += 1
        assert torch.equal(seen, truth), text


def test_every_block_with_first_pieces_far_away_is_of_a_sequence_of_the_table() -> None:
    line = line_of(context_of([[130], [50, 3, 70]]))
    view = parse("window(3)")
    _, first = key_lists(view, cover_of(view, line), line, 16)
    sinks = sinks_of([first], line, 16)
    named = {(row, begin, x) for row, begin, start, stop in sinks.sequence.tolist() for x in range(start, stop)}
    blocks = -(-130 // 16)
    far = {(x // blocks, int(begin), x) for x, begin in enumerate(sinks.first.tolist()) if begin >= 0}
    assert far
    assert far <= named


def test_no_list_grows_with_the_text() -> None:
    """A first piece is seen by all, and has no list of those far from it: tiles a block stay as they are."""
    most = []
    for length in (200, 800):
        line = line_of(context_of([[length]]))
        view = parse("window(9)")
        cover = cover_of(view, line)
        lists = [key_lists(view, cover, line, 32)[0], query_lists(view, cover, line, 32, 32)]
        most.append([int((each.begin[1:] - each.begin[:-1]).max()) for each in lists])
    assert most[0] == most[1]
    assert max(most[0]) <= 3


def test_lists_of_views_lie_one_after_another() -> None:
    line = line_of(context_of([[63], [20, 30]]))
    views = [parse(text) for text in ("sentence", "window(7)")]
    alone = [key_lists(view, cover_of(view, line), line, 16)[0] for view in views]
    both, X = together(alone), len(alone[0].begin) - 1
    for number, one in enumerate(alone):
        begin = both.begin[number * X : number * X + X + 1]
        assert torch.equal(begin - begin[0], one.begin)
        assert torch.equal(both.bits[begin[0] : begin[-1]], one.bits)
        assert torch.equal(both.place[begin[0] * TILE : begin[-1] * TILE], one.place)
