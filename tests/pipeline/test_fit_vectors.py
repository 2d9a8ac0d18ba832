"""Vectors from raw text: the association is the formula's, words that stand alike lie together, files are checked."""

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.fit.vectors import PLACES, _association, _stream, fit_vectors, load_vectors, save_vectors

TEXT = "the cat sat on the mat \n\n the dog sat on the rug <br /> a cat and a dog ran \n\n the end"


def slow_association(paragraphs: list[list[str]], vocabulary: list[str], contexts: int) -> list[list[float]]:
    """Counted pair by pair: log of how much more often than by chance, 0 below 1."""
    pairs, of_context, of_word = Counter[tuple[str, int, str]](), Counter[tuple[int, str]](), Counter[str]()
    for words in paragraphs:
        for i, word in enumerate(words):
            for place in PLACES:
                if 0 <= i + place < len(words) and words[i + place] in vocabulary[:contexts] and word in vocabulary:
                    pairs[word, place, words[i + place]] += 1
                    of_context[place, words[i + place]] += 1
                    of_word[word] += 1
    smoothed = sum(count**0.75 for count in of_context.values())
    table = []
    for word in vocabulary:
        table.append([])
        for place in PLACES:
            for context in vocabulary[:contexts]:
                chance = of_word[word] * of_context[place, context] ** 0.75 / smoothed
                count = pairs[word, place, context]
                table[-1].append(max(0.0, math.log(count / chance)) if count else 0.0)
    return table


def test_the_association_is_the_formulas() -> None:
    paragraphs = [paragraph.split() for paragraph in TEXT.replace("<br />", "\n\n").split("\n\n")]
    vocabulary = ["the", "cat", "sat", "a", "on", "dog"]
    stream = _stream(paragraphs, {word: row for row, word in enumerate(vocabulary)})
    found = _association(stream, len(vocabulary), contexts=4)
    np.testing.assert_allclose(found, slow_association(paragraphs, vocabulary, 4), rtol=1e-5, atol=1e-6)
    assert (found > 0).sum() > 8


def test_words_that_stand_alike_lie_together() -> None:
    chance = random.Random(0)
    nouns, verbs = [f"noun{n}" for n in range(10)], [f"verb{n}" for n in range(10)]
    said = (f"the {chance.choice(nouns)} will {chance.choice(verbs)} it" for _ in range(4000))
    words, rows = fit_vectors(said, str.split, size=50, dimensions=8)
    assert sorted(words) == sorted([*nouns, *verbs, "the", "will", "it"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    place = {word: row for row, word in enumerate(words)}
    alike = rows[[place[noun] for noun in nouns]] @ rows[[place[noun] for noun in nouns]].T
    apart = rows[[place[noun] for noun in nouns]] @ rows[[place[verb] for verb in verbs]].T
    assert alike.min() > 0.6
    assert apart.max() < 0.3


def test_the_same_text_and_seed_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_vectors(fit_vectors([TEXT] * 5, str.split, dimensions=4), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    words, rows = load_vectors(tmp_path / "a")
    assert (words[0], len(words), rows.shape[1]) == ("the", len(rows), 4)


def test_too_little_text_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give more text"):
        fit_vectors([TEXT], str.split)
    (tmp_path / "x").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="make them by `valency fit vectors`"):
        load_vectors(tmp_path / "x")
