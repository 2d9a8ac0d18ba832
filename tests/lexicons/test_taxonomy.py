"""The noun hierarchy: nearer nouns are more alike."""

import numpy as np
from numpy.typing import NDArray

from lexicons import taxonomy, wordnet
from lexicons.upos import UPOS_INDEX


def node(*lemmas: str) -> NDArray[np.int32]:
    return wordnet.nodes(lemmas, np.full(len(lemmas), UPOS_INDEX["NOUN"], dtype=np.uint8))


def test_the_nearest_common_concept_has_a_name_one_would_give() -> None:
    met = taxonomy.common(node("dog", "car", "teacher", "apple"), node("cat", "bicycle", "farmer", "pear"))
    assert [taxonomy.name(one) for one in met.tolist()] == [
        "carnivore.n.01",
        "wheeled_vehicle.n.01",
        "person.n.01",
        "edible_fruit.n.01",
    ]


def test_a_word_is_itself_and_above_its_kinds() -> None:
    dog, poodle = node("dog"), node("poodle")
    assert taxonomy.common(dog, dog).tolist() == dog.tolist()
    assert taxonomy.common(poodle, dog).tolist() == dog.tolist()
    assert taxonomy.similarity(dog, dog).tolist() == [1.0]


def test_similarity_falls_with_distance_and_is_symmetric() -> None:
    others = node("cat", "hen", "truth")
    dog = np.repeat(node("dog"), len(others))
    falling = taxonomy.similarity(dog, others)
    assert (np.diff(falling) < 0).all()
    assert falling[-1] == 0
    assert np.array_equal(falling, taxonomy.similarity(others, dog))


def test_words_without_a_node_are_like_nothing() -> None:
    assert wordnet.nodes(["run"], np.array([UPOS_INDEX["VERB"]], dtype=np.uint8)).tolist() == [-1]
    assert taxonomy.similarity(node("blorp"), node("dog")).tolist() == [0.0]
    assert taxonomy.common(node("blorp"), node("blorp")).tolist() == [-1]


def test_the_paths_are_those_that_one_finds_by_climbing() -> None:
    parent, content = taxonomy._columns()["parent"], taxonomy._columns()["content"]
    random = np.random.default_rng(0)
    one, other = random.integers(0, len(parent), size=(2, 200)).astype(np.int32)

    def climb(start: int) -> list[int]:
        path = [start]
        while parent[path[-1]] >= 0:
            path.append(int(parent[path[-1]]))
        return path

    slow = [next(step for step in climb(int(a)) if step in climb(int(b))) for a, b in zip(one, other, strict=True)]
    assert taxonomy.common(one, other).tolist() == slow
    assert (content[parent[one]] <= content[one]).all()
    assert (content[slow] <= np.minimum(content[one], content[other])).all()
