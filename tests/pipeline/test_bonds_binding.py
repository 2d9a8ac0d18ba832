"""Binding bonds: pronouns and the words they may stand for, principle by principle."""

import pytest

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig
from pipeline.bonds.binding import antecedents, binding_bonds
from pipeline.bonds.clauses import clauses
from pipeline.bonds.config import BINDING_RULES
from pipeline.bonds.mentions import mentions
from pipeline.bonds.nominals import nominals
from pipeline.bonds.salience import salience
from tests.pipeline.sentences import documents_of, named, words_of


def bound(*sentences: str, without: tuple[str, ...] = (), **settings: int) -> set[tuple[str, str]]:
    """(pronoun, antecedent) of each bond."""
    words = annotate(words_of(*sentences))
    config = BondConfig(binding_without=without, **settings)  # type: ignore[arg-type]
    return {(query, key) for query, key, _ in named(words, binding_bonds(words, config))}


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
        assert ("him", "John") in bound(left, rain, rain, him)
        assert ("him", "John") not in bound(left, rain, rain, rain, him)
        assert ("him", "John") not in bound(left, rain, him, binding_reach=1)

    def test_the_most_salient_fill_the_cap(self) -> None:
        names = " ".join(f"N{n}x/PROPN/{'0/root' if n == 11 else '23/list'} ,/PUNCT/23/punct" for n in range(12))
        found = bound(names, "Go/VERB/0/root to/ADP/3/case him/PRON/1/obl")
        assert len(found) == 8
        assert {("him", "N10x"), ("him", "N11x")} <= found  # the nearest are among them
        assert len(bound(names, "Go/VERB/0/root to/ADP/3/case him/PRON/1/obl", binding_cap=2)) == 2

    def test_a_later_noun_that_the_pronoun_does_not_command(self) -> None:
        book = "In/ADP/3/case her/PRON/3/nmod:poss book/NOUN/6/obl ,/PUNCT/6/punct Gold/PROPN/6/nsubj "
        assert bound(book + "says=say/VERB/0/root so/ADV/6/advmod") == {("her", "Gold")}
        saw = "She/PRON/2/nsubj saw=see/VERB/0/root Gold/PROPN/2/obj in/ADP/6/case her/PRON/6/nmod:poss "
        assert ("She", "Gold") not in bound(saw + "house/NOUN/2/obl")
        assert bound(book + "says=say/VERB/0/root so/ADV/6/advmod", without=("later nouns",)) == set()

    def test_a_later_clause_beside_the_pronouns_own(self) -> None:
        both = "He/PRON/2/nsubj left=leave/VERB/0/root and/CCONJ/5/cc Kim/PROPN/5/nsubj came=come/VERB/2/{}"
        assert bound(both.format("conj")) == {("He", "Kim")}
        assert bound(both.format("ccomp")) == set()

    def test_a_name_is_a_candidate_however_tagged_and_wherever_it_hangs(self) -> None:
        misread = (
            "With/ADP/3/case that/DET/3/det Emily/ADV/4/advmod bought=buy/VERB/0/root a/DET/6/det house/NOUN/4/obj"
        )
        assert ("She", "Emily") in bound(misread, "She/PRON/2/nsubj left=leave/VERB/0/root")
        assert ("It", "Emily") not in bound(misread, "It/PRON/2/nsubj fell=fall/VERB/0/root")
        lord = "Lord/PROPN/3/nsubj Darwen/PROPN/1/flat left=leave/VERB/0/root"
        assert ("He", "Darwen") in bound(lord, "He/PRON/2/nsubj slept=sleep/VERB/0/root")

    def test_first_names_tell_the_gender_of_a_surname_elsewhere(self) -> None:
        full = "{}/PROPN/3/nsubj Zyx/PROPN/1/flat sang=sing/VERB/0/root"
        later = (
            "Zyx/PROPN/2/nsubj met=meet/VERB/0/root Qux/PROPN/2/obj with/ADP/5/case Vorn/PROPN/2/obl ./PUNCT/2/punct"
        )
        she = "She/PRON/2/nsubj left=leave/VERB/0/root"

        def odds(first: str) -> float:
            words = annotate(words_of(full.format(first), later, she))
            said = clauses(words)
            phrases, named_ = nominals(words, said), mentions(words)
            found = antecedents(words, said, phrases, named_, BondConfig())
            worth = salience(words, phrases, named_, found.query, found.key, found.inside)
            return float(worth[(words.text.code[found.key] == words.text.code[3])][0])

        assert odds("Mary") > odds("Xqz") > odds("John")

    def test_a_sentence_cut_without_a_full_stop_goes_on(self) -> None:
        cut = "On/ADP/4/case her/PRON/4/nmod:poss last/ADJ/4/amod day/NOUN/0/root {}/PUNCT/4/punct"
        left = "Kim/PROPN/2/nsubj left=leave/VERB/0/root"
        assert bound(cut.format(","), left) == {("her", "Kim")}
        assert bound(cut.format("."), left) == set()

    @pytest.mark.parametrize("rule", BINDING_RULES)
    def test_every_rule_can_be_left_out(self, rule: str) -> None:
        text = (
            "In/ADP/3/case his/PRON/3/nmod:poss book/NOUN/6/obl ,/PUNCT/6/punct Gold/PROPN/6/nsubj "
            "says=say/VERB/0/root",
            "With/ADP/2/case Emily/ADV/3/advmod came=come/VERB/0/root the/DET/5/det "
            "stones=stone/NOUN/3/obj/Number=Plur",
            "Kim/PROPN/2/nsubj saw=see/VERB/0/root him/PRON/2/obj while/SCONJ/6/mark he/PRON/6/nsubj "
            "slept/VERB/2/advcl by/ADP/8/case Tom/PROPN/6/obl",
            *[f"N{n}a/PROPN/2/nsubj saw=see/VERB/0/root N{n}b/PROPN/2/obj" for n in range(2)],
            "He/PRON/2/nsubj left=leave/VERB/0/root",
        )
        assert bound(*text, binding_cap=5) != bound(*text, binding_cap=5, without=(rule,))

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
