"""Which tags may be joined by an arc: pairs that every grammar of English knows, and some that none does."""

import numpy as np
import pytest

from lexicons.upos import UPOS, UPOS_INDEX, compatible, lift_table


def test_the_tags_are_the_seventeen_of_universal_dependencies_in_order() -> None:
    assert len(UPOS) == 17
    assert list(UPOS) == sorted(UPOS)
    assert UPOS_INDEX["VERB"] == UPOS.index("VERB")


@pytest.mark.parametrize(
    "pair", ["DET NOUN", "NOUN VERB", "PRON VERB", "ADJ NOUN", "ADP NOUN", "AUX VERB", "NOUN NOUN", "PROPN PROPN"]
)
def test_phrases_hold_together(pair: str) -> None:
    one, other = pair.split()
    assert compatible()[UPOS_INDEX[one], UPOS_INDEX[other]]


@pytest.mark.parametrize("pair", ["DET VERB", "DET DET", "ADP AUX", "CCONJ ADP", "SCONJ DET"])
def test_function_words_do_not_hang_on_one_another(pair: str) -> None:
    one, other = pair.split()
    assert not compatible()[UPOS_INDEX[one], UPOS_INDEX[other]]


def test_the_matrix_is_symmetric_and_cannot_be_written() -> None:
    matrix = compatible()
    assert matrix.shape == (17, 17)
    assert np.array_equal(matrix, matrix.T)
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = True


def test_the_table_has_every_unordered_pair_once_and_its_verdict_follows_its_lift() -> None:
    rows = lift_table()
    assert len({(row["tag"], row["other"]) for row in rows}) == len(rows) == 17 * 18 // 2
    kept = [float(row["lift"]) for row in rows if row["compatible"] == "yes"]
    cut = [float(row["lift"]) for row in rows if row["compatible"] == "no"]
    assert min(kept) > max(cut)
