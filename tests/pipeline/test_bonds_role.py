"""Role bonds: verbs and the fillers that VerbNet's frames and restrictions allow."""

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig
from pipeline.bonds.role import role_bonds
from tests.pipeline.sentences import words_of

PART = "Tense=Past|VerbForm=Part"


def roles(*sentences: str, **settings: int) -> set[tuple[str, str, str]]:
    """(verb, filler, role) of each bond."""
    words = annotate(words_of(*sentences))
    bonds = role_bonds(words, BondConfig(**settings))  # type: ignore[arg-type]
    parts = zip(bonds.query.tolist(), bonds.key.tolist(), bonds.rule.to_list(), strict=True)
    return {(words.text[query], words.text[key], rule.split()[1]) for query, key, rule in parts}


def rules(sentence: str) -> set[str]:
    return set(role_bonds(annotate(words_of(sentence)), BondConfig()).rule.to_list())


GIVER = {("gave", "She", "Agent"), ("gave", "books", "Theme"), ("gave", "him", "Recipient")}


def test_giver_gift_and_receiver() -> None:
    sentence = "She/PRON/2/nsubj gave=give/VERB/0/root him/PRON/2/iobj books=book/NOUN/2/obj"
    assert roles(sentence) == GIVER
    assert "give-13.1-1 Recipient [+animate | +organization]" in rules(sentence)


def test_the_receiver_behind_a_preposition() -> None:
    assert roles("She/PRON/2/nsubj gave=give/VERB/0/root books=book/NOUN/2/obj to/ADP/5/case him/PRON/2/obl") == GIVER


def test_passives_turn_the_places_around() -> None:
    by_her = "by/ADP/{n}/case her/PRON/{v}/obl:agent"
    books = "Books=book/NOUN/3/nsubj:pass were=be/AUX/3/aux:pass given=give/VERB/0/root to/ADP/5/case him/PRON/3/obl "
    assert roles(books + by_her.format(n=7, v=3)) == {
        ("given", "Books", "Theme"),
        ("given", "him", "Recipient"),
        ("given", "her", "Agent"),
    }
    he = "He/PRON/3/nsubj:pass was=be/AUX/3/aux:pass given=give/VERB/0/root books=book/NOUN/3/obj "
    assert roles(he + by_her.format(n=6, v=3)) == {
        ("given", "He", "Recipient"),
        ("given", "books", "Theme"),
        ("given", "her", "Agent"),
    }


def test_a_restriction_cuts_a_filler_that_it_forbids() -> None:
    lent = "The/DET/2/det {}/NOUN/3/nsubj lent=lend/VERB/0/root him/PRON/3/iobj books=book/NOUN/3/obj"
    books_to_him = {("lent", "books", "Theme"), ("lent", "him", "Recipient")}
    assert roles(lent.format("stone")) == books_to_him  # a lender is animate, or an organization
    assert roles(lent.format("teacher")) == {*books_to_him, ("lent", "teacher", "Agent")}


def test_a_filler_of_whom_nothing_is_known_is_allowed() -> None:
    unknown = "Zyx/PROPN/2/nsubj gave=give/VERB/0/root him/PRON/2/iobj books=book/NOUN/2/obj"
    assert ("gave", "Zyx", "Agent") in roles(unknown)


def test_conjoined_verbs_share_a_subject_and_conjoined_fillers_a_role() -> None:
    shared = (
        "She/PRON/4/nsubj and/CCONJ/3/cc he/PRON/1/conj came=come/VERB/0/root and/CCONJ/6/cc "
        "ate=eat/VERB/4/conj apples=apple/NOUN/6/obj"
    )
    found = roles(shared)
    assert {("ate", "She", "Agent"), ("ate", "he", "Agent"), ("ate", "apples", "Patient")} <= found
    assert {filler for verb, filler, _ in found if verb == "came"} == {"She", "he"}


def test_controlled_subjects() -> None:
    wants = "He/PRON/2/nsubj wants=want/VERB/0/root to/PART/4/mark eat/VERB/2/xcomp apples=apple/NOUN/4/obj"
    assert ("eat", "He", "Agent") in roles(wants)
    told = "She/PRON/2/nsubj told=tell/VERB/0/root him/PRON/2/obj to/PART/5/mark eat/VERB/2/xcomp"
    found = roles(told)
    assert ("eat", "him", "Agent") in found
    assert ("eat", "She", "Agent") not in found


def test_relative_clauses_and_participles_reach_their_noun() -> None:
    relative = "the/DET/2/det man/NOUN/0/root who/PRON/4/nsubj/PronType=Rel ate=eat/VERB/2/acl:relcl it/PRON/4/obj"
    assert {("ate", "who", "Agent"), ("ate", "man", "Agent")} <= roles(relative)
    eaten = f"apples=apple/NOUN/0/root eaten=eat/VERB/1/acl/{PART} by/ADP/4/case him/PRON/2/obl:agent"
    assert roles(eaten) == {("eaten", "apples", "Patient"), ("eaten", "him", "Agent")}


def test_prepositions_of_two_words() -> None:
    out_of = (
        "She/PRON/2/nsubj built=build/VERB/0/root boats=boat/NOUN/2/obj out/ADP/6/case of/ADP/6/case wood/NOUN/2/obl"
    )
    assert ("built", "wood", "Material") in roles(out_of)
    fixed = "It/PRON/2/nsubj lurks=lurk/VERB/0/root next/ADV/5/case to/ADP/3/fixed houses=house/NOUN/2/obl"
    assert ("lurks", "houses", "Location") in roles(fixed)


def test_clauses_fill_roles_whatever_their_verb_means() -> None:
    said = "She/PRON/2/nsubj said=say/VERB/0/root it/PRON/4/nsubj fell=fall/VERB/2/ccomp"
    assert {("said", "She", "Agent"), ("said", "fell", "Topic")} <= roles(said)
    falling = "She/PRON/2/nsubj spoke=say/VERB/0/root falling=fall/VERB/2/advcl"
    assert ("spoke", "falling", "Topic") not in roles(falling)  # an adverbial clause without preposition


def test_among_equal_frames_the_class_of_the_verbs_name_wins_and_then_the_one_with_fewest_slots() -> None:
    wants = "He/PRON/2/nsubj wants=want/VERB/0/root bread/NOUN/2/obj"
    assert "want-32.1-1-1 Theme" in rules(wants)  # appoint-29.1 comes first in VerbNet, and fits as well
    assert roles("The/DET/2/det boy/NOUN/3/nsubj broke=break/VERB/0/root") == {("broke", "boy", "Patient")}


def test_non_finite_clauses_borrow_their_subject() -> None:
    left = "He/PRON/2/nsubj left=leave/VERB/0/root to/PART/4/mark eat/VERB/2/advcl/VerbForm=Inf"
    assert ("eat", "He", "Agent") in roles(left)
    finite = "He/PRON/2/nsubj left=leave/VERB/0/root when/ADV/4/advmod eats=eat/VERB/2/advcl/VerbForm=Fin"
    assert "eats" not in {verb for verb, _, _ in roles(finite)}
    seen = f"He/PRON/3/nsubj:pass was=be/AUX/3/aux:pass seen=see/VERB/0/root/{PART} and/CCONJ/5/cc "
    seen += f"eaten=eat/VERB/3/conj/{PART}"
    assert ("eaten", "He", "Patient") in roles(seen)


def test_the_cap_counts_per_verb() -> None:
    stones = " ".join(["stone/NOUN/3/conj"] * 30)
    many = f"She/PRON/2/nsubj carried=carry/VERB/0/root apples=apple/NOUN/2/obj {stones}"
    words = annotate(words_of(many))
    bonds = role_bonds(words, BondConfig(role_cap=5))
    assert bonds.query.tolist() == [1] * 5
    assert bonds.key.tolist() == [0, 2, 3, 4, 5]  # the nearest


def test_verbs_that_verbnet_does_not_know_and_verbs_alone_have_no_roles() -> None:
    assert roles("She/PRON/2/nsubj zyxed=zyx/VERB/0/root books=book/NOUN/2/obj") == set()
    assert roles("Go/VERB/0/root") == set()
