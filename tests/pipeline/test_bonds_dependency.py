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


FAR = words_of(
    "She/PRON/2/nsubj saw=see/VERB/0/root the/DET/5/det old/ADJ/5/amod man/NOUN/2/obj with/ADP/9/case a/DET/9/det "
    "long/ADJ/9/amod telescope/NOUN/5/nmod yesterday/NOUN/2/obl:unmarked ,/PUNCT/2/punct sadly/ADV/2/advmod"
)


def test_the_next_best_heads_are_bonds_too_and_their_way_is_the_rule() -> None:
    found = set(named(FAR, dependency_bonds(FAR, BondConfig())))
    assert ("telescope", "saw", "nmod up 2") in found  # seen with a telescope
    assert ("yesterday", "telescope", "obl up 2 down 2") not in found  # one word apart: seen anyway
    assert ("yesterday", "man", "obl up 1 down 1") in found  # the man of yesterday
    assert ("the", "telescope", "det up 1 down 1") not in found  # a determiner has no second choice there


def test_what_every_view_sees_needs_no_bond_beside_the_arc() -> None:
    bonds = dependency_bonds(FAR, BondConfig(dependency_stake=0.001))
    others = [rule.count(" ") > 0 for rule in bonds.rule.to_list()]
    assert (abs(bonds.query - bonds.key)[others] > 2).all()
    assert sum(others) > 20


def test_one_hop_or_a_cap_of_one_leaves_the_arcs() -> None:
    arcs = named(FAR, dependency_bonds(FAR, BondConfig(hops=1)))
    assert arcs == named(FAR, dependency_bonds(FAR, BondConfig(dependency_cap=1)))
    assert len(arcs) == len(FAR) - 1


def test_the_worthiest_stay_where_the_cap_is_reached() -> None:
    bonds = dependency_bonds(FAR, BondConfig(dependency_cap=2, dependency_stake=0.01))
    telescope = [key for query, key, _ in named(FAR, bonds) if query == "telescope"]
    assert telescope == ["saw", "man"]  # the verb above, and not the adverb or comma beside


def test_a_lone_root_has_no_bond() -> None:
    assert len(dependency_bonds(words_of("Yes/INTJ/0/root"), BondConfig())) == 0
