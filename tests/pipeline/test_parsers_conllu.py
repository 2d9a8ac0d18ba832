"""The gold parser gives back what the treebank says, for documents that may have gone through a cache."""

from pathlib import Path

import pytest

from lexicons.upos import UPOS
from pipeline.corpus import Document, read_documents
from pipeline.parsers import load_parser
from pipeline.score import conllu_lines, score_parser
from tests.pipeline.parser_contract import assert_contract, documents_of

TREEBANK = """\
# newdoc id = one
# newpar id = p1
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\t_\tMood=Imp|VerbForm=Fin\t3\taux\t_\t_
2\tn't\tnot\tPART\t_\tPolarity=Neg\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No
3.1\tgone\tgo\tVERB\t_\t_\t_\t_\t0:root\t_
4\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_

1\tStay\tstay\tVERBX\t_\t_\t0\troot\t_\t_
2\there\there\tADV\t_\t_\t1\tadvmod\t_\t_

# newdoc id = two
1\tGreat\tgreat\tADJ\t_\t_\t0\troot\t_\t_
2\tjob\tjob\tNOUN\t_\t_\t1\tdep\t_\t_

# newdoc id = three
1\tGreat\tgreat\tADJ\t_\t_\t2\tamod\t_\t_
2\tjob\tjob\tNOUN\t_\t_\t0\troot\t_\t_
"""


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    (tmp_path / "x.conllu").write_text(TREEBANK)
    return tmp_path / "x.conllu"


def sound(path: Path) -> list[Document]:
    return [each for each in read_documents([path]) if isinstance(each, Document)]


def test_words_are_the_treebanks(treebank: Path) -> None:
    documents = sound(treebank)
    words, failed = load_parser("conllu", str(treebank)).parse(documents)
    assert not failed
    assert_contract(words, documents)
    assert words.text.to_list()[:5] == ["Do", "n't", "go", ".", "Stay"]
    assert words.lemma.to_list()[:5] == ["do", "not", "go", ".", "stay"]
    assert [UPOS[tag] for tag in words.upos[:5]] == ["AUX", "PART", "VERB", "PUNCT", "X"]
    assert words.feats.to_list()[:3] == ["Mood=Imp|VerbForm=Fin", "Polarity=Neg", ""]
    assert words.head[:6].tolist() == [2, 2, -1, 2, -1, 4]
    assert words.relation.to_list()[:5] == ["aux", "advmod", "root", "punct", "root"]
    assert words.sentence[:5].tolist() == [0, 0, 0, 0, 1]
    spans = [documents[0].text[start:end] for start, end in zip(words.start[:5], words.end[:5], strict=True)]
    assert spans == ["Don't", "Don't", "go", ".", "Stay"], "words of a multiword token share its span"


def test_same_texts_are_told_apart_by_name(treebank: Path) -> None:
    parser = load_parser("conllu", str(treebank))
    words, _ = parser.parse(sound(treebank)[1:])
    assert words.head.tolist() == [-1, 0, 3, -1]
    other = [Document(id="elsewhere", source="s", split="train", language="en", text="Great job")]
    assert parser.parse(other)[0].head.tolist() == [-1, 0], "without a name the first serves"


def test_unknown_documents_are_quarantined(treebank: Path) -> None:
    known, strange = sound(treebank)[1], documents_of({"new": "Never seen."})[0]
    words, failed = load_parser("conllu", str(treebank)).parse([strange, known])
    assert words.documents == (known.id,)
    assert list(failed) == ["new"]
    assert "not in the treebank" in failed["new"]


def test_export_gives_the_file_back(treebank: Path) -> None:
    documents = sound(treebank)
    words, _ = load_parser("conllu", str(treebank)).parse(documents)
    rows = [line for line in TREEBANK.splitlines() if not line.startswith(("#", "3.1")) and line]
    plain = [row.replace("SpaceAfter=No", "_").replace("VERBX", "X") for row in rows]
    lines = "".join(conllu_lines(words, {each.id: each.text for each in documents}))
    assert [line for line in lines.splitlines() if line] == plain


def test_digest_is_of_content(treebank: Path, tmp_path: Path) -> None:
    first = load_parser("conllu", str(treebank)).digest
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "x.conllu").write_text(TREEBANK)
    assert load_parser("conllu", str(tmp_path / "far" / "x.conllu")).digest == first
    (tmp_path / "far" / "x.conllu").write_text(TREEBANK.replace("amod", "dep"))
    assert load_parser("conllu", str(tmp_path / "far" / "x.conllu")).digest != first


def test_mistakes_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A.")
    with pytest.raises(ValueError, match=r"name the \.conllu file"):
        load_parser("conllu")
    with pytest.raises(ValueError, match=r"no \.conllu file"):
        load_parser("conllu", str(tmp_path))
    with pytest.raises(ValueError, match="did you mean 'conllu'"):
        load_parser("conlu")


@pytest.mark.slow
def test_gold_scores_a_hundred(valency_data: Path) -> None:
    file = valency_data / "ud_english_ewt" / "en_ewt-ud-test.conllu"
    scores = score_parser(load_parser("conllu", str(file)), file)
    assert set(scores.values()) == {100.0}
