"""A view's table of truth says what the expression says."""

import itertools

from model.kernels.truth import truth_of
from model.parse import parse


def test_a_table_is_the_expression() -> None:
    cases = {
        "sentence": lambda sentence: sentence,
        "~(pos & sentences(2)) | open": lambda pos, sentences, opened: not (pos and sentences) or opened,
        "window(3) & window(3) | ~window(9)": lambda three, nine: three or not nine,
        "(dense | pos) & ~sentence & window(2) & role": lambda dense, pos, sentence, window, role: (
            (dense or pos) and not sentence and window and role
        ),
    }
    for text, said in cases.items():
        truth = truth_of(parse(text))
        assert truth is not None
        for bits in itertools.product([False, True], repeat=len(truth.masks)):
            number = sum(bit << place for place, bit in enumerate(bits))
            assert truth.table >> number & 1 == said(*bits), (text, bits)


def test_what_has_no_table_of_one_number_has_none() -> None:
    assert truth_of(parse("random(sentence)")) is None
    assert truth_of(parse("sentence & random(window(3))")) is None
    assert truth_of(parse(" | ".join(f"window({count})" for count in range(1, 7)))) is None
    assert truth_of(parse(" | ".join(f"window({count})" for count in range(1, 6)))) is not None
