"""Controls matched to a layer of bonds: as many bonds, or as far, or as tangled, with the grammar taken out (law 7).

    random-keys      each query keeps its number of bonds of each kind, to words drawn from the sentences it reached
    same-distances   distances from query to key are dealt out anew among the bonds of a kind in a document
    other-sentence   each sentence gets the bonds of another one in its document, as long as it or nearly so
    permuted-tags    every word type gets the tag of another one about as frequent; bonds are then made as usual
    random-tree      every sentence gets a random recursive tree (Smythe and Mahmoud 1995); bonds are then made as usual

All draws follow from the seed, the document's id and the place in the document (no generator's state), so that shards,
workers and neighbouring documents change nothing.
"""

from collections.abc import Callable
from dataclasses import replace

from pipeline.bonds import BondConfig, bonds_of, rules_digest
from pipeline.cache.digest import digest, source_digest
from pipeline.controls.distances import same_distances
from pipeline.controls.keys import random_keys
from pipeline.controls.sentences import other_sentence
from pipeline.controls.tags import permuted_tags
from pipeline.controls.trees import random_tree
from pipeline.records import Bonds, Strings, Words

WORDS: dict[str, Callable[[Words, int], Words]] = {"permuted-tags": permuted_tags, "random-tree": random_tree}
"""Those that change the words before bonds are made of them."""
BONDS: dict[str, Callable[[Words, Bonds, int], Bonds]] = {
    "random-keys": random_keys,
    "same-distances": same_distances,
    "other-sentence": other_sentence,
}
"""Those that change the bonds."""
CONTROLS = (*BONDS, *WORDS)
CODE = ("pipeline/controls", "pipeline/chance.py")


def controlled_bonds(words: Words, config: BondConfig) -> Bonds:
    """The bonds that the settings ask for, or those of their control: sorted, and the rule says what each stands for.

    words: annotated. Errors: ValueError for a kind or control that is not known.
    """
    control, seed = config.control, config.control_seed
    if control and control not in CONTROLS:
        raise ValueError(f"there is no control {control!r}; choose one of {', '.join(CONTROLS)}")
    bonds = bonds_of(WORDS[control](words, seed) if control in WORDS else words, config)
    if not control:
        return bonds
    made = BONDS[control](words, bonds, seed) if control in BONDS else bonds
    values = tuple(f"{control}: {value}" for value in made.rule.values)
    return replace(made, rule=Strings(made.rule.code, values))


def layer_digest(config: BondConfig) -> str:
    """Twelve hex digits of all that decides a layer of bonds, its control's code among it."""
    rules = rules_digest(config)
    return digest({"rules": rules, "code": source_digest(*CODE)}) if config.control else rules
