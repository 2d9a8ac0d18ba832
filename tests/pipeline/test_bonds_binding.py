"""Binding bonds: pronouns and the words they may stand for, principle by principle."""

import pytest

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig
from pipeline.bonds.binding import binding_bonds
from tests.pipeline.sentences import documents_of, named, words_of


def bound(*sentences: str, **settings: int) -> set[tuple[str, str]]:
    """(pronoun, antecedent) of each bond."""
    words = annotate(words_of(*sentences))
    return {(query, key) for query, key, _ in named(words, binding_bonds(words, BondConfig(**settings)))}  # type: ignore[arg-type]


JOHN_SAW = "John/PROPN/2/nsubj saw=see/VERB/0/root "


class TestPrincipleA:
    """A reflexive is bound in its clause."""

    def test_by_the_subject_and_not_from_outside(self) -> None:
        said = "Mary/PROPN/2/nsubj said=say/VERB/0/root John/PROPN/4/nsubj hurt/VERB/2/ccomp himself/PRON/4/obj"
        assert bound(said) == {("himself", "John")}

    def test_the_rule_says_what_must_agree(self) -> None:
        words = annotate(words_of("Mary/PROPN/2/nsubj hurt/VERB/0/root herself/PRON/2/obj"))
        assert named(words, binding_bonds(words, BondConfig())) == [
            ("herself", "Mary", "principle A: herself ~ [third singular feminine]")
        ]

    def test_only_an_agreeing_one(self) -> None:
        assert bound("She/PRON/2/nsubj hurt/VERB/0/root himself/PRON/2/obj") == set()
        assert bound("They/PRON/2/nsubj hurt/VERB/0/root themselves/PRON/2/obj") == {("themselves", "They")}
        assert bound("I/PRON/2/nsubj hurt/VERB/0/root myself/PRON/2/obj") == {("myself", "I")}

    def test_a_conjunct_or_possessor_of_the_subject_does_not_command(self) -> None:
        brother = "John/PROPN/2/nmod:poss brother/NOUN/3/nsubj hurt/VERB/0/root himself/PRON/3/obj"
        assert bound(brother) == {("himself", "brother")}
        both = "John/PROPN/4/nsubj and/CCONJ/3/cc Mary/PROPN/1/conj hurt/VERB/0/root themselves/PRON/4/obj"
        assert bound(both) == {("themselves", "John")}  # John stands for the two of them

    def test_objects_command_what_is_more_oblique(self) -> None:
        showed = "I/PRON/2/nsubj showed=show/VERB/0/root John/PROPN/2/obj to/ADP/5/case himself/PRON/2/obl"
        assert bound(showed) == {("himself", "John")}

    def test_understood_subjects_bind(self) -> None:
        wants = "John/PROPN/2/nsubj wants=want/VERB/0/root to/PART/4/mark see/VERB/2/xcomp himself/PRON/4/obj"
        assert bound(wants) == {("himself", "John")}
        told = "Mary/PROPN/2/nsubj told=tell/VERB/0/root John/PROPN/2/obj to/PART/5/mark "
        told += "see/VERB/2/xcomp himself/PRON/5/obj"
        assert bound(told) == {("himself", "John")}

    def test_a_possessor_closes_the_noun_phrase(self) -> None:
        picture = JOHN_SAW + "a/DET/4/det picture/NOUN/2/obj of/ADP/6/case himself/PRON/4/nmod"
        assert bound(picture) == {("himself", "John")}
        johns = "Bill/PROPN/2/nsubj saw=see/VERB/0/root John/PROPN/4/nmod:poss picture/NOUN/2/obj "
        johns += "of/ADP/6/case himself/PRON/4/nmod"
        assert bound(johns) == {("himself", "John")}

    def test_emphasis(self) -> None:
        himself = "The/DET/2/det king/NOUN/4/nsubj himself/PRON/2/nmod:unmarked came=come/VERB/0/root"
        assert bound(himself) == {("himself", "king")}

    def test_reciprocals_want_several(self) -> None:
        each = "{}/2/nsubj saw=see/VERB/0/root each/DET/2/obj other/ADJ/3/fixed"
        assert bound(each.format("They/PRON")) == {("each", "They")}
        assert bound(each.format("She/PRON")) == set()
        ann = "Ann/PROPN/4/nsubj/Number=Sing {} saw=see/VERB/0/root each/DET/4/obj other/ADJ/5/fixed"
        assert bound(ann.format("and/CCONJ/3/cc Mary/PROPN/1/conj")) == {("each", "Ann")}
        assert bound(ann.format("Smith/PROPN/1/flat too/ADV/4/advmod")) == set()


class TestPrincipleB:
    """A pronoun is free in its clause."""

    def test_not_by_its_own_subject(self) -> None:
        assert bound(JOHN_SAW + "him/PRON/2/obj") == set()
        said = "Bill/PROPN/2/nsubj said=say/VERB/0/root John/PROPN/4/nsubj saw=see/VERB/2/ccomp him/PRON/4/obj"
        assert bound(said) == {("him", "Bill")}

    def test_nor_by_an_understood_one(self) -> None:
        wants = "John/PROPN/2/nsubj wants=want/VERB/0/root to/PART/4/mark see/VERB/2/xcomp him/PRON/4/obj"
        assert bound(wants) == set()

    def test_a_possessive_is_free_in_its_noun_phrase_only(self) -> None:
        loves = "John/PROPN/2/nsubj loves=love/VERB/0/root his/PRON/4/nmod:poss mother/NOUN/2/obj"
        assert bound(loves) == {("his", "John")}
        is_brother = "John/PROPN/4/nsubj is=be/AUX/4/cop his/PRON/4/nmod:poss brother/NOUN/0/root"
        assert bound(is_brother) == set()
        at_home = "John/PROPN/5/nsubj is=be/AUX/5/cop at/ADP/5/case his/PRON/5/nmod:poss house/NOUN/0/root"
        assert bound(at_home) == {("his", "John")}

    def test_no_phrase_is_its_own_part(self) -> None:
        owner = "the/DET/2/det owner/NOUN/6/nsubj of/ADP/5/case his/PRON/5/nmod:poss house/NOUN/2/nmod "
        assert bound(owner + "left=leave/VERB/0/root") == set()
        man = "the/DET/2/det man/NOUN/0/root who/PRON/4/nsubj loves=love/VERB/2/acl:relcl his/PRON/6/nmod:poss "
        assert bound(man + "house/NOUN/4/obj") == {("his", "man")}

    def test_earlier_sentences_in_reach(self) -> None:
        rain, him = "It/PRON/2/expl rained=rain/VERB/0/root", "Mary/PROPN/2/nsubj saw=see/VERB/0/root him/PRON/2/obj"
        left = "John/PROPN/2/nsubj left=leave/VERB/0/root"
        assert ("him", "John") in bound(left, rain, him)
        assert ("him", "John") not in bound(left, rain, rain, him)
        assert ("him", "John") not in bound(left, rain, him, binding_reach=1)

    def test_the_nearest_fill_the_cap(self) -> None:
        names = " ".join(f"N{n}x/PROPN/0/root" for n in range(12))
        found = bound(names, "Go/VERB/0/root to/ADP/3/case him/PRON/1/obl")
        assert found == {("him", f"N{n}x") for n in range(4, 12)}

    @pytest.mark.parametrize(
        ("antecedent", "takes"),
        [
            ("The/DET/2/det woman/NOUN/3/nsubj", {"she", "they"}),
            ("The/DET/2/det king/NOUN/3/nsubj", {"he", "they"}),
            ("The/DET/2/det stone/NOUN/3/nsubj/Number=Sing", {"it"}),
            ("The/DET/2/det stones=stone/NOUN/3/nsubj/Number=Plur", {"they"}),
            ("The/DET/2/det teacher/NOUN/3/nsubj/Number=Sing", {"he", "she", "they"}),
            ("The/DET/2/det teachers=teacher/NOUN/3/nsubj/Number=Plur", {"they"}),
            ("The/DET/2/det company/NOUN/3/nsubj/Number=Sing", {"it", "they"}),
            ("Old/ADJ/2/amod Zyxa/PROPN/3/nsubj/Number=Sing", {"he", "she", "it", "they"}),
            ("Old/ADJ/2/amod Zyxas/PROPN/3/nsubj/Number=Plur", {"he", "she", "it", "they"}),
            ("Mrs./PROPN/2/nmod:desc Zyxa/PROPN/3/nsubj/Number=Sing", {"she", "they"}),
        ],
    )
    def test_agreement(self, antecedent: str, takes: set[str]) -> None:
        noun = antecedent.split()[1].partition("/")[0].partition("=")[0]
        for pronoun in ("he", "she", "it", "they", "I", "we", "you"):
            found = bound(antecedent + " fell=fall/VERB/0/root", f"{pronoun}/PRON/2/nsubj left=leave/VERB/0/root")
            assert ((pronoun, noun) in found) == (pronoun in takes), pronoun

    def test_conjoined_names_are_plural_together_and_singular_apart(self) -> None:
        pair = "John/PROPN/4/nsubj/Number=Sing and/CCONJ/3/cc Mary/PROPN/1/conj/Number=Sing left=leave/VERB/0/root"
        assert ("They", "John") in bound(pair, "They/PRON/2/nsubj sang=sing/VERB/0/root")
        assert {("She", "Mary")} <= bound(pair, "She/PRON/2/nsubj sang=sing/VERB/0/root")

    def test_speaker_and_hearer_are_found_among_their_own_person(self) -> None:
        left = "I/PRON/2/nsubj told=tell/VERB/0/root you/PRON/2/obj"
        assert bound(left, "I/PRON/2/nsubj saw=see/VERB/0/root") == {("I", "I")}
        assert bound(left, "You/PRON/2/nsubj forgot=forget/VERB/0/root my/PRON/4/nmod:poss book/NOUN/2/obj") == {
            ("You", "you"),
            ("my", "I"),
        }

    def test_expletives_are_out(self) -> None:
        rain = "It/PRON/2/expl rained=rain/VERB/0/root"
        stone = "The/DET/2/det stone/NOUN/3/nsubj fell=fall/VERB/0/root"
        assert bound(stone, rain) == set()
        assert bound(rain, "It/PRON/2/nsubj fell=fall/VERB/0/root") == set()


class TestPrincipleC:
    """A name is free: it makes no bond, and no pronoun that commands it takes it."""

    def test_names_make_no_bonds(self) -> None:
        assert bound("He/PRON/2/nsubj saw=see/VERB/0/root John/PROPN/2/obj") == set()

    def test_a_later_name_below_the_pronoun_is_cut(self) -> None:
        said = "He/PRON/2/nsubj said=say/VERB/0/root John/PROPN/4/nsubj left=leave/VERB/2/ccomp"
        assert bound(said) == set()

    def test_a_later_name_above_the_pronoun_is_kept(self) -> None:
        when = (
            "When/ADV/3/advmod he/PRON/3/nsubj left=leave/VERB/6/advcl ,/PUNCT/3/punct "
            "John/PROPN/6/nsubj cried=cry/VERB/0/root"
        )
        assert bound(when) == {("he", "John")}
        told = "When/ADV/3/advmod she/PRON/3/nsubj left=leave/VERB/5/advcl he/PRON/5/nsubj told=tell/VERB/0/root "
        assert ("she", "Mary") in bound(told + "Mary/PROPN/5/iobj all/PRON/5/obj")
        mother = "His/PRON/2/nmod:poss mother/NOUN/3/nsubj loves=love/VERB/0/root John/PROPN/3/obj"
        assert bound(mother) == {("His", "John")}

    def test_an_earlier_name_in_a_fronted_object_is_cut_and_in_a_fronted_adverbial_kept(self) -> None:
        fronted = "John/PROPN/2/nmod:poss mother/NOUN/4/obj he/PRON/4/nsubj loves=love/VERB/0/root"
        assert bound(fronted) == set()
        office = "In/ADP/3/case John/PROPN/3/nmod:poss office/NOUN/5/obl he/PRON/5/nsubj slept=sleep/VERB/0/root"
        assert bound(office) == {("he", "John")}
        quoted = "John/PROPN/2/nsubj left=leave/VERB/4/ccomp he/PRON/4/nsubj said=say/VERB/0/root"
        assert bound(quoted) == set()


def test_documents_are_apart() -> None:
    john, he = "John/PROPN/2/nsubj left=leave/VERB/0/root", "He/PRON/2/nsubj ran=run/VERB/0/root"
    assert len(binding_bonds(annotate(documents_of([john], [he])), BondConfig())) == 0
    assert len(binding_bonds(annotate(documents_of([john, he])), BondConfig())) == 1
