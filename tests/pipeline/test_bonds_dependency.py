"""Dependency bonds: arcs of the parse and the ancestors above them."""

from pipeline.bonds import BondConfig
from pipeline.bonds.dependency import dependency_bonds
from tests.pipeline.sentences import named, words_of

READER = words_of(
    "the/DET/4/det book/NOUN/4/nmod:poss 's/PART/2/case reader/NOUN/5/nsubj smiles/VERB/0/root ./PUNCT/5/punct"
)


def test_every_arc_is_a_bond_and_its_relation_the_rule() -> None:
    assert named(READER, dependency_bonds(READER, BondConfig(hops=1))) == [
        ("the", "reader", "det"),
        ("book", "reader", "nmod:poss"),
        ("'s", "book", "case"),
        ("reader", "smiles", "nsubj"),
        (".", "smiles", "punct"),
    ]


def test_two_arcs_up_only_where_the_tags_may_meet() -> None:
    found = set(named(READER, dependency_bonds(READER, BondConfig(hops=2))))
    assert ("book", "smiles", "nmod:poss>nsubj") in found  # a noun and a verb
    assert ("the", "smiles", "det>nsubj") not in found  # no determiner depends on a verb


def test_paths_end_at_the_root() -> None:
    chain = words_of("a/NOUN/2/nmod b/NOUN/3/nmod c/NOUN/4/nsubj go/VERB/0/root")
    rules = [rule for _, _, rule in named(chain, dependency_bonds(chain, BondConfig(hops=5)))]
    assert rules == ["nmod", "nmod>nmod", "nmod>nmod>nsubj", "nmod", "nmod>nsubj", "nsubj"]


def test_a_lone_root_has_no_bond() -> None:
    assert len(dependency_bonds(words_of("Yes/INTJ/0/root"), BondConfig())) == 0
