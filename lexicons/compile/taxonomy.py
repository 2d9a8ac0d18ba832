"""The noun hierarchy of WordNet as two columns: a node's parent, and how much it tells (Resnik 1995)."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexicons.compile.corpora import TaggedSenses


def compile_taxonomy(wordnet: Any, tagged: TaggedSenses, out: Path) -> tuple[dict[str, int], list[Path]]:
    """Write the parents, the content and the names of the nodes; return each synset's node, and the paths written.

    A node keeps one hypernym (few nouns have more), so that the hierarchy is a tree: the deepest, which tells most
    (a dog is a canine rather than a domestic animal); among equally deep ones the first by name.
    """
    synsets = sorted(wordnet.all_synsets("n"), key=lambda synset: str(synset.name()))
    node_of = {synset.name(): node for node, synset in enumerate(synsets)}
    parent = np.full(len(synsets), -1, dtype=np.int32)
    for node, synset in enumerate(synsets):
        above = synset.hypernyms() or synset.instance_hypernyms()
        if above:
            deepest = min(above, key=lambda higher: (-higher.max_depth(), higher.name()))
            parent[node] = node_of[deepest.name()]
    names = out / "taxonomy_names.txt"
    names.write_text("".join(f"{name}\n" for name in node_of), encoding="utf-8", newline="\n")
    np.save(out / "taxonomy_parent.npy", parent, allow_pickle=False)
    np.save(out / "taxonomy_content.npy", _content(synsets, parent, tagged), allow_pickle=False)
    return node_of, [out / "taxonomy_parent.npy", out / "taxonomy_content.npy", names]


def _content(synsets: list[Any], parent: NDArray[np.int32], tagged: TaggedSenses) -> NDArray[np.float32]:
    """Information content in nats, float32 [nodes]: minus the log of how often the node or one below it is meant."""
    # one for every synset, so that what nobody tagged is rare and not impossible
    total = [1 + sum(tagged.of(synset, lemma).times for lemma in synset.lemmas()) for synset in synsets]
    order = np.argsort([-_depth(node, parent) for node in range(len(synsets))], kind="stable")
    for node in order:
        if parent[node] >= 0:
            total[parent[node]] += total[node]
    everything = max(total)
    return np.array([math.log(everything / value) for value in total], dtype=np.float32)


def _depth(node: int, parent: NDArray[np.int32]) -> int:
    steps = 0
    while (node := int(parent[node])) >= 0:
        steps += 1
    return steps
