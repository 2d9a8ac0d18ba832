"""The left-to-right network can be fitted, and what it learns from is what the treebank says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lexicons.upos import UPOS
from pipeline.corpus import Document
from pipeline.fit import arcs
from pipeline.fit.arc_data import truth_of
from pipeline.fit.arc_network import as_integers
from pipeline.fit.arc_score import score_arcs
from pipeline.fit.examples import Examples, annotators_words, own_words, raw_documents, read_treebank
from pipeline.fit.lemmas import fit_lemmas
from pipeline.fit.vectors import save_vectors
from pipeline.parsers.prefix import PrefixParser
from pipeline.prefix.annotator import SHIPPED
from pipeline.prefix.arcs import ArcReader, Pairs, Said
from pipeline.prefix.heads import heads_of
from pipeline.prefix.network import Sizes
from pipeline.prefix.tables import Tables
from pipeline.prefix.text import Alphabet
from pipeline.records import Strings

TREEBANK = """\
# newdoc id = one
# text = She cannot give him red books.
1\tShe\tshe\tPRON\t_\tNumber=Sing\t4\tnsubj\t_\t_
2-3\tcannot\t_\t_\t_\t_\t_\t_\t_\t_
2\tcan\tcan\tAUX\t_\t_\t4\taux\t_\t_
3\tnot\tnot\tPART\t_\t_\t4\tadvmod\t_\t_
4\tgive\tgive\tVERB\t_\t_\t0\troot\t_\t_
5\thim\the\tPRON\t_\tNumber=Sing\t4\tiobj\t_\t_
6\tred\tred\tADJ\t_\t_\t7\tamod\t_\t_
7\tbooks\tbook\tNOUN\t_\tNumber=Plur\t4\tobj\t_\tSpaceAfter=No
8\t.\t.\tPUNCT\t_\t_\t4\tpunct\t_\t_

# text = Birds sing.
1\tBirds\tbird\tNOUN\t_\tNumber=Plur\t2\tnsubj\t_\t_
2\tsing\tsing\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No
3\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_

"""
SMALL = arcs.ArcConfig(steps=120, words=50, sizes=Sizes(row=8, word=24, near=24, state=24, view=24, pair=8), rate=0.01)


@pytest.fixture(scope="module")
def alphabet() -> Alphabet:
    return Alphabet.of(Tables.load(SHIPPED))


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    (tmp_path / "x.conllu").write_text(TREEBANK)
    return tmp_path / "x.conllu"


def joined(examples: Examples) -> set[tuple[str, str]]:
    """Word and head, as forms."""
    return {
        (examples.form[row], examples.form[int(examples.head[row])])
        for row in range(len(examples))
        if examples.head[row] >= 0
    }


def test_examples_are_a_treebanks_own_words(treebank: Path) -> None:
    examples = own_words(read_treebank(treebank)[0])
    assert examples.first.tolist() == [0, 8, 11]
    assert ("can", "give") in joined(examples)
    assert examples.head[3] == -1


def test_the_annotators_words_take_what_the_treebank_says(treebank: Path, alphabet: Alphabet) -> None:
    """`cannot`, if it is one word, is the first of the words that share its span."""
    examples = annotators_words(*read_treebank(treebank), alphabet)
    forms, found = examples.form.to_list(), joined(examples)
    assert "".join(forms) == "Shecannotgivehimredbooks.Birdssing."
    assert {("She", "give"), ("red", "books"), ("books", "give"), ("Birds", "sing")} <= found
    assert [UPOS[tag] for tag in examples.tag][:2] == ["PRON", "AUX"]
    assert examples.feats[0] == "Number=Sing"
    assert examples.first[-1] == len(forms)


def test_a_word_cut_in_two_is_joined_with_itself(alphabet: Alphabet, tmp_path: Path) -> None:
    line = "1\tone/two\tone/two\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tsing\tsing\tVERB\t_\t_\t0\troot\t_\t_\n\n"
    (tmp_path / "x.conllu").write_text("# newdoc id = a\n" + line)
    examples = annotators_words(*read_treebank(tmp_path / "x.conllu"), alphabet)
    assert joined(examples) == {("one", "sing"), ("/", "one"), ("two", "one")}


def test_truth_of_pairs() -> None:
    """She(1) gave(root) him(1) red(4) books(1): `gave` stays open until `books`, `red` is until then."""
    truth = truth_of(torch.tensor([[1, -1, 1, 4, 1, -2]]))
    pairs = {name: set(map(tuple, getattr(truth, name)[0].nonzero().tolist())) for name in ("arc", "open", "next")}
    assert pairs["arc"] == {(1, 0), (2, 1), (4, 1), (4, 3)}
    assert pairs["open"] == {(0, 0), (1, 1), (2, 1), (3, 1), (3, 3)}
    assert pairs["next"] == {(0, 0), (1, 1), (3, 1), (3, 3)}
    assert set(map(tuple, truth.later_is_head[0].nonzero().tolist())) == {(1, 0), (4, 3)}
    assert truth.upto[0].sum() == 15, "the sixth word is none"


def test_integers_fit_int8_and_stay_exact() -> None:
    weight = torch.randn(5, 768) * torch.tensor([1e-6, 0.01, 1.0, 50.0, 0.0])[:, None]
    weight[2] = 1.0  # all as large as the largest: the sum decides the unit
    integers, shift, bias = as_integers("near", weight, torch.full((5,), 0.37))
    assert integers.abs().max() <= 127
    assert (integers.abs().sum(1) * 255 + bias.abs() < 2**24).all()
    assert ((integers * 2.0 ** shift[:, None] - weight).abs() <= 2.0 ** shift[:, None] / 2).all()


def said(words: int, rows: list[tuple[int, int, bool, int]]) -> Said:
    later, earlier, is_head, score = (np.array(column) for column in zip(*rows, strict=True))
    pairs = Pairs(later=later, earlier=earlier, score=score.astype(np.int32))
    nothing = np.zeros(words, np.uint8)
    return Said(tag=nothing, label=nothing.astype(np.int32), arcs=pairs, later_is_head=is_head, open=pairs)


def test_heads_go_from_left_to_right() -> None:
    rows = [
        (1, 0, True, 900),  # word 0 hangs on word 1
        (2, 0, True, 990),  # too late
        (2, 1, False, 10),
        (3, 1, False, 400),  # of two possible heads the likelier
        (3, 2, False, 700),
        (4, 2, False, -1),  # less likely than not
        (5, 1, True, 300),
        (5, 2, False, 300),  # 5 hangs on 2, 2 on 1: so 1 cannot hang on 5
    ]
    assert heads_of(said(6, rows)).tolist() == [1, -1, 1, 2, -1, 2]
    for count in range(1, len(rows)):
        assert (heads_of(said(6, rows[:count]))[: rows[count][0]] <= rows[count][0]).all()


def test_lemmas_are_learnt_by_ending() -> None:
    verbs = [("walked", "walk"), ("talked", "talk"), ("used", "use"), ("used", "use"), ("went", "go"), ("went", "go")]
    lemmas = fit_lemmas([(form, lemma, 0) for form, lemma in verbs] + [("Londons", "London", 1)], ["VERB", "PROPN"])
    assert [lemmas.lemma(form, 0) for form in ("WENT", "balked", "Used", "d")] == ["go", "balk", "use", "d"]
    assert lemmas.lemma("Parises", 1) == "Parise"
    column = lemmas.column(Strings.of(["went", "Birds", "went"]), np.array([0, 1, 0], np.int32))
    assert column.to_list() == ["go", "Bird", "go"]


def test_raw_text_is_shared_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two<br />three\n" * 10)
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"text": f"{n} words here"}) for n in range(10)))
    found = list(raw_documents([str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl")], 24))
    assert len(found) == 5
    assert found[0].text.startswith("one two\nthree\n")


def test_the_same_sources_give_the_same_bytes(treebank: Path, tmp_path: Path) -> None:
    save_vectors((["she", "give", "books"], np.eye(3, dtype=np.float32)), tmp_path / "vectors")
    raw = [Document(id="r", source="s", split="train", language="en", text="He gave me a red bird.")]
    for name in ("a", "b"):
        arcs.fit_arcs(
            treebank, treebank, tmp_path / name, vectors=tmp_path / "vectors", raw=raw, config=replace(SMALL, steps=8)
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_small_network_learns_its_treebank(
    treebank: Path, tmp_path: Path, alphabet: Alphabet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it learnt is in the file, and the parser reads it."""
    monkeypatch.setattr(arcs, "LEAST_LABEL", 1)
    scores = arcs.fit_arcs(treebank, treebank, tmp_path / "a", config=SMALL)
    assert min(scores["upos"], scores["arc_recall"], scores["open_recall"]) > 0.9
    reader = ArcReader.load(tmp_path / "a", alphabet)
    assert score_arcs(reader, own_words(read_treebank(treebank)[0])) == scores
    documents = [Document(id="d", source="s", split="train", language="en", text="Birds sing.")]
    words = PrefixParser(str(tmp_path / "a")).parse(documents)[0]
    assert [UPOS[tag] for tag in words.upos] == ["NOUN", "VERB", "PUNCT"]
    assert words.feats.to_list() == ["Number=Plur", "", ""]
    assert words.head.tolist() == [1, -1, 1]
    assert words.lemma.to_list() == ["bird", "sing", "."]


def test_no_model_says_what_makes_one() -> None:
    with pytest.raises(ValueError, match="no model 'nowhere'; `valency fit prefix-parser` makes one"):
        PrefixParser("nowhere")
