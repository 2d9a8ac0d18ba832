"""`valency explain --mode`: the parser that a mode needs, and its verdict."""

import pytest

from flows.explain import explain_text


def test_the_causal_mode_is_read_left_to_right() -> None:
    explained = explain_text("The old king left the house (of his sister).", mode="causal")
    assert {record["relation"] for record in explained.records} <= {"dep", "root"}
    bonds = [(record["index"], bond["key"]) for record in explained.records for bond in record["bonds"]]
    assert bonds
    assert all(key < query for query, key in bonds)
    assert "determiner without noun" in explained.table


def test_the_full_mode_says_what_is_blocked() -> None:
    explained = explain_text("John saw him.", pair=(3, 1), mode="full")
    assert "may not attend in the mode full" in explained.why[0]
    assert any("principle B" in line for line in explained.why)
    assert any(line.startswith("score ") for line in explained.why)
    assert "blocked" in explained.page()


def test_an_unknown_mode_is_refused_before_anything_is_parsed() -> None:
    with pytest.raises(ValueError, match="did you mean 'full'"):
        explain_text("Hm.", mode="ful")
