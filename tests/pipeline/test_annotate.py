"""Annotation: features and classes of single words."""

import pytest

from lexicons.features import names
from lexicons.morphology import suffix_features
from pipeline.annotate import annotate, pronoun_entries
from pipeline.records import no_words
from tests.pipeline.sentences import documents_of, words_of


def features(sentence: str) -> dict[str, set[str]]:
    words = annotate(words_of(sentence))
    return {words.text[row]: set(names(int(words.features[row]))) for row in range(len(words))}


def test_nouns_are_what_wordnet_says() -> None:
    found = features("teachers=teacher/NOUN/0/root/Number=Plur bread/NOUN/1/dep/Number=Sing")
    assert {"human", "animate", "third", "plural"} <= found["teachers"]
    assert "comestible" in found["bread"]
    assert "human" not in found["bread"]


def test_a_tag_decides_which_sense_counts() -> None:
    assert features("run/VERB/0/root")["run"] != features("run/NOUN/0/root")["run"]


def test_pronouns_follow_the_table_and_not_the_parser() -> None:
    found = features("They/PRON/2/nsubj/Number=Plur|Person=3 saw=see/VERB/0/root her/PRON/2/obj")
    assert {"third"} <= found["They"]
    assert "plural" not in found["They"]
    assert {"third", "singular", "feminine"} <= found["her"]


def test_each_other_is_plural() -> None:
    assert "plural" in features("They/PRON/2/nsubj met=meet/VERB/0/root each/DET/2/obj other/ADJ/3/fixed")["each"]
    assert "plural" not in features("each/DET/2/det day/NOUN/0/root")["each"]


def test_agreement_is_read_off_the_features_of_the_parse() -> None:
    assert {"singular", "third"} <= features("gives=give/VERB/0/root/Number=Sing|Person=3|Tense=Pres")["gives"]


@pytest.mark.parametrize(
    ("sentence", "name", "holds", "lacks"),
    [
        ("Mrs./PROPN/2/nmod:desc Zyxa/PROPN/0/root", "Zyxa", {"human", "feminine"}, {"masculine"}),
        ("Mr./PROPN/0/root Zyxa/PROPN/1/flat", "Zyxa", {"human", "masculine"}, {"feminine"}),
        ("Dr./PROPN/3/nmod:desc Ann/PROPN/3/compound Zyxa/PROPN/0/root", "Zyxa", {"human"}, {"masculine"}),
        ("Zyxa/PROPN/0/root", "Zyxa", {"third"}, {"human", "animate"}),
        ("Martin/PROPN/0/root", "Martin", {"human"}, {"feminine", "masculine"}),  # Mary Martin, the singer
        ("London/PROPN/0/root", "London", {"location", "organization"}, {"human"}),
        ("Everest/PROPN/0/root", "Everest", {"location"}, {"organization"}),
    ],
)
def test_names(sentence: str, name: str, holds: set[str], lacks: set[str]) -> None:
    found = features(sentence)[name]
    assert holds <= found
    assert not lacks & found


def test_a_title_says_nothing_of_a_name_that_it_does_not_hang_on() -> None:
    found = features("Mr./PROPN/0/root Zyxa/PROPN/1/conj")["Zyxa"]
    assert "human" not in found


def test_suffixes_speak_where_wordnet_is_silent() -> None:
    assert {"animate", "human"} <= set(names(suffix_features("zyxologist")))
    assert "abstract" in names(suffix_features("zyxiness"))
    assert suffix_features("mist") == 0
    assert "human" in features("zyxologist/NOUN/0/root")["zyxologist"]


def test_verb_classes_and_particles() -> None:
    words = annotate(words_of("gave=give/VERB/0/root up/ADP/1/compound:prt", "books=give/NOUN/0/root zyx/VERB/1/dep"))
    assert words.verb_class[0] != annotate(words_of("gave=give/VERB/0/root")).verb_class[0]
    assert words.verb_class[2] == ""  # a noun
    assert words.verb_class[3] == ""  # no verb of VerbNet
    assert "give-13.1-1" in annotate(words_of("gave=give/VERB/0/root")).verb_class[0].split()


def test_documents_do_not_touch() -> None:
    together = annotate(documents_of(["Mrs./PROPN/0/root"], ["Zyxa/PROPN/0/root"]))
    assert "feminine" not in names(int(together.features[1]))


def test_no_words() -> None:
    assert len(annotate(no_words())) == 0


def test_a_mistyped_pronoun_is_its_lemma_and_a_foreign_one_what_its_features_say() -> None:
    assert {"third"} == features("thier=their/PRON/0/root/Number=Plur|PronType=Prs")["thier"]
    found = features("ella=él/PRON/0/root/Gender=Fem|Number=Sing|Person=3|PronType=Prs")["ella"]
    assert found == {"feminine", "singular", "third"}


def test_entries_of_one_foreign_form_stay_apart() -> None:
    said = "sie/PRON/0/root/Number=Sing|Person=3|PronType=Prs sie/PRON/1/dep/Number=Plur|Person=3|PronType=Prs"
    entries, known = pronoun_entries(words_of(said))
    assert entries.to_list() == ["sie (personal third singular)", "sie (personal third plural)"]
    assert len(known) == len(entries.values)


def test_a_noun_that_wordnet_does_not_have_is_what_its_make_says() -> None:
    assert "group" in features("newsgroup/NOUN/0/root")["newsgroup"]
    assert "currency" in features("$/SYM/0/root")["$"]
