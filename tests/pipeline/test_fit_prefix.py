"""Learning the left-to-right annotator: what is counted, on a treebank of a few sentences."""

from pathlib import Path

import pytest

from lexicons.upos import UPOS
from pipeline.fit.prefix import fit_prefix
from pipeline.fit.prefix_score import score_prefix
from pipeline.fit.treebank import read_documents
from pipeline.pieces import Tokenizer
from pipeline.prefix import SHIPPED, PrefixAnnotator

SENTENCES = [
    "# newdoc id = a|1 Walking/VERB|2 helps/VERB|3-4 don't_|3 do/AUX|4 n't/PART|5 worry_/VERB|6 ./PUNCT",
    "1 Acm./NOUN|2 Jones/PROPN|3 was/AUX|4 talking_/VERB|5 ./PUNCT",
    "# newpar id = 2|1 See/VERB|2 http://a.b/X|3 Qtd./NOUN",
    "1 Then/ADV|2 Qtd./NOUN",
    "1 She/PRON|2 saw/VERB|3 a/DET|4 saw_/NOUN|5 ./PUNCT|6 It/PRON|7 saw/VERB",
    "1-2 cannot|1 can/AUX|2 not/PART|3 9/NUM|4 pm/NOUN",
    "1-2 cannot|1 can/AUX|2 not/PART|3-4 9pm|3 9/NUM|4 pm/NOUN",
    "1-2 Cannot|1 Can/AUX|2 not/PART|3-4 7pm|3 7/NUM|4 pm/NOUN|5-6 8pm|5 8/NUM|6 pm/NOUN|7-8 6pm|7 6/NUM|8 pm/NOUN",
    "# newdoc id = b|1 The/DET|2 quickly/ADV|3 talking/VERB|4 thing/NOUN",
]


def conllu(sentence: str) -> str:
    """`3 saw/VERB` a row; `_` after the form: no space follows."""
    rows = []
    for cell in sentence.split("|"):
        if cell.startswith("#"):
            rows.append(cell)
            continue
        place, form = cell.split(" ", 1)
        form, _, tag = form.rpartition("/") if "-" not in place else (form, "", "_")
        space = "SpaceAfter=No" if form.endswith("_") else "_"
        head = "_" if "-" in place else "0" if place == "1" else "1"
        rows.append("\t".join([place, form.rstrip("_"), "_", tag, "_", "_", head, "dep", "_", space]))
    return "\n".join(rows) + "\n\n"


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("treebank") / "tiny-ud-train.conllu"
    path.write_text("".join(map(conllu, SENTENCES)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tables(treebank: Path) -> Path:
    fit_prefix(treebank, treebank.with_name("prefix.safetensors"))
    return treebank.with_name("prefix.safetensors")


def test_a_treebank_becomes_text(treebank: Path) -> None:
    one, other = read_documents(treebank)
    assert one.text.startswith(
        "Walking helps don'tworry. Acm. Jones was talking.\n\nSee http://a.b Qtd. Then Qtd. She saw"
    )
    assert other.text.strip() == "The quickly talking thing"
    words = [one.text[begin:end] for begin, end in zip(one.begin, one.end, strict=True)]
    assert words[:6] == ["Walking", "helps", "do", "n't", "worry", "."]
    assert [UPOS[tag] for tag in one.tag[:4]] == ["VERB", "VERB", "AUX", "PART"]
    assert one.sentence[:7] == [0, 0, 0, 0, 0, 0, 1]


def test_what_is_learnt(tables: Path) -> None:
    annotator = PrefixAnnotator.load(tables, [b"", b"", b"a sa", b" tal", b" wal"], 0, 1)

    def tag(word: str) -> str:
        return UPOS[int(annotator.words(word).tag[0])]

    text = "An acm. Next qtd. Next tiny. Next"
    words = annotator.words(text)
    cut = [text[begin:end] for begin, end in zip(words.begin, words.end, strict=True)]
    assert cut == ["An", "acm.", "Next", "qtd.", "Next", "tiny", ".", "Next"], "gold words with their period"
    assert words.sentence.tolist() == [0, 0, 0, 0, 1, 1, 1, 2], "one that ended sentences twice may do so again"
    text = "You don't, can't, needn't, cannot; cannots 4pm 4am"
    words = annotator.words(text)
    cut = [text[begin:end] for begin, end in zip(words.begin, words.end, strict=True)]
    assert cut[:4] == ["You", "do", "n't", ","], "the treebank cuts it"
    assert cut[4:10] == ["can", "'t", ",", "need", "n't", ","], "it does not know the one, the list has the other"
    assert cut[10:] == ["can", "not", ";", "can", "nots", "4", "pm", "4am"], "often enough"
    assert UPOS[words.tag[1]] == "AUX", "by what it is cut from"
    assert tag("saw") == "VERB", "two of three"
    assert tag("walking") == "VERB"
    assert tag("balking") == "VERB", "by its suffix"
    assert UPOS[annotator._stepper.open_tag("qui", initial=False)] == "ADV", "by its beginning"


def test_the_same_treebank_gives_the_same_bytes(treebank: Path, tables: Path, tmp_path: Path) -> None:
    fit_prefix(treebank, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == tables.read_bytes()
    assert SHIPPED.stat().st_size < 3_000_000


@pytest.mark.slow
def test_the_shipped_one_reads_ewt_well(valency_data: Path) -> None:
    """Measured on EWT dev: words 0.985, sentences 0.872, full tags 0.896, input tags 0.805."""
    tokenizer = Tokenizer.load()
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    scores = score_prefix(valency_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu", tokenizer, annotator)
    assert scores["words"] > 0.98
    assert scores["sentences"] > 0.865
    assert scores["full_tags"] > 0.89
    assert scores["input_tags"] > 0.8


@pytest.mark.slow
def test_the_shipped_one_can_be_made_again(valency_data: Path, tmp_path: Path) -> None:
    fit_prefix(valency_data / "ud_english_ewt" / "en_ewt-ud-train.conllu", tmp_path / "again.safetensors")
    found, shipped = (
        PrefixAnnotator.load(path, [b"", b""], 0, 1) for path in (tmp_path / "again.safetensors", SHIPPED)
    )
    for (name, ours), theirs in zip(found.named_buffers(), shipped.buffers(), strict=True):
        # kinds of characters follow the Unicode data of this Python
        assert name.startswith(("kind", "lower")) or ours.equal(theirs), name
