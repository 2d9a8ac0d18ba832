"""Why and why not, in words that name rule, lexicon entry and what was missing."""

from xml.etree import ElementTree

import pytest

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.bonds.modes import mode_config
from pipeline.matrix import LARGEST, matrix_svg
from pipeline.records import KINDS
from pipeline.why import why
from tests.pipeline.sentences import words_of

WORDS = annotate(
    words_of(
        "Mary/PROPN/2/nsubj gave=give/VERB/0/root him/PRON/2/iobj an/DET/6/det old/ADJ/6/amod treaty/NOUN/2/obj "
        "./PUNCT/2/punct",
        "She/PRON/2/nsubj saw=see/VERB/0/root herself/PRON/2/obj in/ADP/6/case the/DET/6/det treaty/NOUN/2/obl",
        "The/DET/2/det treaty/NOUN/3/nsubj pleased=please/VERB/0/root the/DET/5/det king/NOUN/3/obj",
    )
)
CONFIG = BondConfig()
BONDS = bonds_of(WORDS, CONFIG)
PLACE = {text: row for row, text in enumerate(WORDS.text.to_list())}


def said(query: int | str, key: int | str) -> str:
    rows = [each if isinstance(each, int) else PLACE[each] for each in (query, key)]
    return "\n".join(why(WORDS, BONDS, rows[0], rows[1], CONFIG))


@pytest.mark.parametrize(
    ("query", "key", "lines"),
    [
        ("Mary", "gave", ["Mary 1 → gave 2: may attend, by dependency", "Mary 1 hangs on gave 2 (nsubj)"]),
        ("gave", "Mary", ["role: Mary 1 can be the Agent of gave 2 in VerbNet's class give-13.1", "[+animate |"]),
        (
            "gave",
            "Mary",
            ["the other way round: dependency, nsubj", "no dependency: the arc leads up from Mary 1 to gave 2"],
        ),
        ("herself", "She", ["may attend, by binding", "inside its own clause or phrase (principle A)"]),
        ("She", "Mary", ["She 8 may stand for Mary 1, outside", "principle B", "third singular feminine"]),
        ("She", "him", ["by any bond", "no binding: they do not agree: She 8 is [third singular feminine]"]),
        (12, 5, ["by cohesion", "treaty 13 repeats treaty 6 (same lemma: treaty)"]),
        (
            "an",
            "gave",
            ["no dependency: gave 2 is 2 arcs above an 4; words 2 apart are seen in any case"],
        ),
        (
            "Mary",
            "him",
            ["they meet in gave 2, 1 up from Mary 1 and 1 down to him 3; words 2 apart", "him 3 comes later"],
        ),
        ("Mary", "king", ["they stand in different sentences", "no role: Mary 1 is no verb that VerbNet knows"]),
        ("gave", "old", ["no role: old 5 does not hang on gave 2", "no cohesion: it ties nouns and names"]),
        ("him", "an", ["no binding: an 4 heads no phrase"]),
        ("king", 5, ["no cohesion: they have other lemmas"]),
        (5, "Mary", ["no cohesion: it leads to earlier sentences"]),
        ("She", "gave", ["by tags alone PRON and VERB may attend one another: arcs join such words 1."]),
    ],
)
def test_reasons(query: int | str, key: int | str, lines: list[str]) -> None:
    for line in lines:
        assert line in said(query, key)


def test_every_pair_has_an_answer_and_every_bond_a_sentence() -> None:
    for query in range(len(WORDS)):
        for key in range(len(WORDS)):
            if query != key:
                found = (BONDS.query == query) & (BONDS.key == key)
                kinds = [KINDS[kind] for kind in BONDS.kind[found].tolist()]
                lines = why(WORDS, BONDS, query, key, CONFIG)
                assert [line.partition(":")[0] for line in lines[1 : 1 + len(kinds)]] == kinds
                assert sum(line.startswith("no ") for line in lines) == len(CONFIG.kinds) - len(kinds)


def test_what_a_filler_lacks_is_said() -> None:
    words = annotate(words_of("Stones=stone/NOUN/2/nsubj think=think/VERB/0/root"))
    bonds = bonds_of(words, CONFIG)
    lines = "\n".join(why(words, bonds, 1, 0, CONFIG))
    assert "that is not what Agent [+animate" in lines


def test_what_the_parser_may_have_missed_is_said_and_how_unlikely_the_rest_is() -> None:
    text = "the/DET/2/det king/NOUN/3/nsubj saw/VERB/0/root a/DET/6/det big/ADJ/6/amod dog/NOUN/3/obj of/ADP/9/case "
    text += "his/PRON/9/nmod:poss sister/NOUN/6/nmod"
    words = annotate(words_of(text))
    for config, line in (
        (BondConfig(), "the parser may have missed an arc here (nmod up 2)"),
        (BondConfig(dependency_cap=1), "less likely than one in 2, or likelier ones come first"),
    ):
        lines = "\n".join(why(words, bonds_of(words, config), 8, 2, config))
        assert "saw 3 is 2 arcs above sister 9" in lines
        assert line in lines


def in_mode(name: str, query: int, key: int, *sentences: str) -> str:
    words, config = annotate(words_of(*sentences)), mode_config(name)
    return "\n".join(why(words, bonds_of(words, config), query, key, config))


JOHN = "John/PROPN/2/nsubj saw=see/VERB/0/root him/PRON/2/obj"


def test_modes_say_what_they_cut_and_score() -> None:
    assert "him 3 → John 1: may not attend in the mode full" in in_mode("full", 2, 0, JOHN)
    assert "him 3 may not stand for John 1, which is in the same clause or phrase" in in_mode("full", 0, 2, JOHN)
    assert "him 3 → John 1: may not attend in the mode pos_only" in in_mode("pos_only", 2, 0, JOHN)
    assert "score" not in in_mode("pos_only", 2, 0, JOHN)
    assert "John 1 → saw 2: may attend in the mode full" in in_mode("full", 0, 1, JOHN)
    assert "score +" in in_mode("features_only", 0, 1, JOHN)
    assert "may attend in the mode none (every pair)" in in_mode("none", 2, 0, JOHN)
    stones = "Stones=stone/NOUN/2/nsubj judge/VERB/0/root kings=king/NOUN/2/obj"
    assert "blocked: Stones 1 cannot fill its place beside judge 2" in in_mode("full", 1, 0, stones)
    said = "John/PROPN/2/nsubj said=say/VERB/0/root Peter/PROPN/4/nsubj saw=see/VERB/2/ccomp himself/PRON/4/obj"
    assert "himself 5 must be bound inside its clause" in in_mode("full", 4, 0, said)
    he = "He/PRON/2/nsubj said=say/VERB/0/root John/PROPN/4/nsubj left=leave/VERB/2/ccomp"
    assert "He 1 may not stand for John 3, which it commands" in in_mode("full", 0, 2, he)


def test_open_and_causal_bonds_are_said_in_words() -> None:
    the = "The/DET/3/det old/ADJ/3/amod king/NOUN/4/nsubj left=leave/VERB/0/root ./PUNCT/4/punct"
    assert "before king 3 is read, The 1 is still open: determiner without noun" in in_mode("causal", 2, 0, the)
    assert "The 1 hangs on king 3 (det)" in in_mode("causal", 2, 0, the)
    assert "no open: The 1 has what it waits for before left 4 comes" in in_mode("near", 3, 0, the)
    assert "no open: it looks back, and king 3 comes later" in in_mode("near", 0, 2, the)
    assert "no open: they stand in different sentences" in in_mode("near", 5, 0, the, "So/ADV/0/root")


def test_words_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="there is no word 0; the text has 18 words"):
        why(WORDS, BONDS, -1, 3, CONFIG)
    with pytest.raises(ValueError, match="there is no word 19"):
        why(WORDS, BONDS, 3, 18, CONFIG)
    with pytest.raises(ValueError, match="always attends itself"):
        why(WORDS, BONDS, 3, 3, CONFIG)


def test_the_matrix_has_a_cell_for_every_pair_that_is_bonded() -> None:
    picture = ElementTree.fromstring(matrix_svg(WORDS, BONDS))
    name = "{http://www.w3.org/2000/svg}"
    cells = [group.find(f"{name}title") for group in picture.iter(f"{name}g")]
    pairs = set(zip(BONDS.query.tolist(), BONDS.key.tolist(), strict=True))
    assert len(cells) == len(pairs)
    texts = " ".join(str(cell.text) for cell in cells if cell is not None)
    for query, key, kind, rule in zip(BONDS.query, BONDS.key, BONDS.kind, BONDS.rule.to_list(), strict=True):
        assert f"{KINDS[kind]}: {WORDS.text[query]} → {WORDS.text[key]} · {rule}" in texts
    many = words_of(" ".join(["a/NOUN/0/root"] + [f"w{n}/NOUN/1/nmod" for n in range(LARGEST)]))
    with pytest.raises(ValueError, match="draw 80 at most"):
        matrix_svg(many, bonds_of(annotate(many), CONFIG))
