"""The Brown corpus as text: its tokens laid out as print has them, each text in a split that its name says."""

from pathlib import Path

import pytest

from pipeline.brown import lay_out, write_brown
from pipeline.corpus import Document, read_documents


def laid_out(*sentences: str) -> str:
    return lay_out([sentence.split() for sentence in sentences])


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("The jury said `` no evidence '' was found .", 'The jury said "no evidence" was found.'),
        ("`` Only a few '' , he said , `` came '' .", '"Only a few", he said, "came".'),
        ("Why ? ? No ! ! Then ; ; well , , yes : :", "Why? No! Then; well, yes:"),
        ("Mr. Pye met Ivan Allen Jr. .", "Mr. Pye met Ivan Allen Jr."),
        ("more ' pro ' letters than ' con ' on Texas' law", "more 'pro' letters than 'con' on Texas' law"),
        ("`` It's ' See Joe , see Jim ' '' , he says .", "\"It's 'See Joe, see Jim'\", he says."),
        ("a ( small ) board of 1/4'' -- or [ so ]", 'a (small) board of 1/4" -- or [so]'),
        ("", ""),
    ],
)
def test_tokens_are_laid_out_as_print_has_them(tokens: str, text: str) -> None:
    assert laid_out(tokens) == text


def test_sentences_of_a_paragraph_stand_on_one_line_and_share_no_quotation_mark() -> None:
    assert laid_out("`` Go .", "' Never ' .", "Stay '' , he said .") == "\"Go. 'Never'. Stay\", he said."
    assert laid_out("Is it ? ?", "? ?") == "Is it??"


def fake_brown(folder: Path, genres: dict[str, int]) -> Path:
    """NLTK's layout: a file of tagged tokens a text, and cats.txt with its genre."""
    corpus = folder / "corpora" / "brown"
    corpus.mkdir(parents=True)
    lines = []
    for letter, (genre, count) in zip("ab", genres.items(), strict=False):
        for number in range(1, count + 1):
            name = f"c{letter}{number:02}"
            text = f"\n\n\tText/nn {name}/np said/vbd ``/`` no/at ''/'' ./.\nWhy/wrb ?/. ?/.\n\n\n\tA/at line/nn ./.\n"
            (corpus / name).write_text(text)
            lines.append(f"{name} {genre}\n")
    (corpus / "cats.txt").write_text("".join(lines))
    return folder


def test_texts_are_written_one_a_file_in_the_splits_that_their_names_say(tmp_path: Path) -> None:
    counts = write_brown(fake_brown(tmp_path / "nltk_data", {"news": 12, "humor": 9}), tmp_path / "out")
    assert counts == {"train": 18, "validation": 2, "test": 1}
    documents = list(read_documents([tmp_path / "out" / "brown"]))
    assert len(documents) == 21
    found = {document.id: document for document in documents if isinstance(document, Document)}
    assert found["brown/ca01-train.txt"].split == "train"
    assert found["brown/ca05-validation.txt"].split == found["brown/cb05-validation.txt"].split == "validation"
    assert found["brown/ca10-test.txt"].split == "test"
    assert found["brown/ca10-test.txt"].text == 'Text ca10 said "no". Why?\nA line.\n'


def test_a_missing_corpus_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"corpora/brown\.zip; point VALENCY_DATA .* nltk\.downloader"):
        write_brown(tmp_path, tmp_path / "out")


def test_the_real_corpus_has_500_texts_without_traces_of_its_tokens(valency_data: Path, tmp_path: Path) -> None:
    if not (valency_data / "nltk_data" / "corpora" / "brown.zip").exists():
        pytest.skip(f"{valency_data} holds no nltk_data/corpora/brown.zip")
    assert write_brown(valency_data / "nltk_data", tmp_path) == {"train": 407, "validation": 52, "test": 41}
    news = (tmp_path / "brown" / "ca01-train.txt").read_text()
    assert news.startswith("The Fulton County Grand Jury said Friday an investigation of Atlanta's recent primary ")
    text = "".join(file.read_text() for file in (tmp_path / "brown").iterdir())
    for trace in ("``", "''", " ,", " .\n", "; ;", "??", "!!"):
        assert trace not in text, trace
