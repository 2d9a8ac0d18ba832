"""Training texts say what the treebank says, plain or dressed as WikiText; the training itself runs."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.training import Example

from pipeline.conllu import Word
from pipeline.corpus import Document
from pipeline.fit.gold import GoldSentence, GoldText, as_wikitext, dressed_texts, joined, plain_texts, read_gold
from pipeline.fit.parser import ParserConfig, examples, fit_parser, new_pipeline, norms, to_disk
from pipeline.fit.vectors import fit_vectors
from pipeline.parsers.spacy import SpacyParser


def sentence(text: str, paragraph: bool = False) -> GoldSentence:
    """`form/upos/head/relation` a word; a form ending in + has no space after it."""
    cells = [cell.rsplit("/", 3) for cell in text.split()]
    words = [
        Word(form.rstrip("+"), form.lower().rstrip("+"), tag, "", int(head), rel) for form, tag, head, rel in cells
    ]
    return GoldSentence(tuple(words), tuple(not cell[0].endswith("+") for cell in cells), paragraph)


HE_DID = sentence("He/PRON/4/nsubj did+/AUX/4/aux n't/PART/4/advmod stop+/VERB/0/root ./PUNCT/4/punct")
COST = sentence("A/DET/5/det well+/ADV/4/advmod -+/PUNCT/2/punct known/ADJ/5/amod cost/NOUN/0/root 1,000/NUM/5/nummod")


def shown(text: GoldText) -> list[str]:
    """`word<head` a word, the root's head being itself."""
    return [f"{word}<{text.words[head]}" for word, head in zip(text.words, text.heads, strict=True)]


def test_paragraphs_are_joined_by_space_tokens() -> None:
    text = joined([HE_DID, sentence("Yes/INTJ/0/root", paragraph=True), sentence("Go/VERB/0/root")], ["\n\n"])
    assert text.text() == "He didn't stop.\n\nYes Go"
    assert shown(text) == ["He<stop", "did<stop", "n't<stop", "stop<stop", ".<stop", "\n\n<.", "Yes<Yes", "Go<Go"]
    assert [word for word, begins in zip(text.words, text.sentence_starts, strict=True) if begins] == [
        "He",
        "Yes",
        "Go",
    ]
    wiki = joined([HE_DID, sentence("Yes/INTJ/0/root", paragraph=True)], [" \n "])
    assert wiki.text() == "He didn't stop. \n Yes"
    assert "\n " in wiki.words, "spaCy gives the first space to the word before"


def test_wikitext_dress() -> None:
    counts = Counter({"He": 9, "A": 9, "well": 9, "known": 9, "cost": 9, "did": 9, "men": 9, "left": 9, "stop": 1})
    always = random.Random(1)  # its first draws are below 0.5
    assert " ".join(word.form for word in as_wikitext(HE_DID, counts, always).words) == "He didn 't <unk> ."
    dressed = joined([as_wikitext(COST, counts, always)], [])
    assert dressed.text() == "A well @-@ known cost 1 @,@ 000"
    late = sentence("2.5/NUM/2/nummod men/NOUN/3/nsubj left/VERB/0/root")
    assert shown(joined([as_wikitext(late, counts, always)], [])) == (
        ["2<men", "@.@<2", "5<2", "men<left", "left<left"]
    )
    assert shown(dressed) == (
        ["A<cost", "well<known", "@-@<well", "known<cost", "cost<cost", "1<cost", "@,@<1", "000<1"]
    )


def test_headings_are_framed() -> None:
    words = as_wikitext(
        sentence("Early/ADJ/2/amod life/NOUN/0/root", paragraph=True), Counter(), random.Random(0)
    ).words
    frame = [word.form for word in words].index("Early")
    assert frame in (1, 2, 3)
    assert {word.form for word in words[:frame]} == {"="} == {word.form for word in words[frame + 2 :]}
    assert words[frame].head == frame + 2
    assert words[frame + 1].head == 0
    assert {word.head for word in words if word.form == "="} == {frame + 2}


def test_every_sentence_is_in_an_epoch_once(valency_data: Path) -> None:
    documents = read_gold(valency_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu")
    count = sum(map(len, documents))
    for texts in (dressed_texts(documents, random.Random(0)), list(plain_texts(documents))):
        assert sum(sum(text.sentence_starts) for text in texts) == count == 2001
    again = dressed_texts(documents, random.Random(0))
    assert [text.text() for text in again] == [text.text() for text in dressed_texts(documents, random.Random(0))]


def test_the_tokenizer_agrees_with_the_treebank(valency_data: Path) -> None:
    nlp = new_pipeline()
    texts = list(plain_texts(read_gold(valency_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu")))
    agree = total = 0
    for example in examples(nlp, texts):
        ours = {(token.idx, len(token)) for token in example.predicted}
        gold = {(token.idx, len(token)) for token in example.reference}
        agree, total = agree + 2 * len(ours & gold), total + len(ours) + len(gold)
    assert agree / total > 0.9915


def test_vectors_are_found_by_norm_before_and_after_saving(tmp_path: Path) -> None:
    """spaCy's own table would lose those of all capitalised words on the way."""
    vectors = ["dog", "paris"], np.eye(2, 3, dtype=np.float32)
    made = new_pipeline(vectors=vectors)
    made.get_pipe("tok2vec").initialize(lambda: [Example.from_dict(made.make_doc("A dog"), {})], nlp=made)
    to_disk(made, tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    texts = "A Dog saw PARIS and paris"
    for nlp in (made, loaded):
        keys = nlp.make_doc(texts).to_array(nlp.vocab.vectors.attr)
        assert nlp.vocab.vectors.find(keys=keys).tolist() == [-1, 0, -1, 1, -1, 1]
    hidden = [nlp.get_pipe("tok2vec").predict([nlp.make_doc(texts)])[0] for nlp in (made, loaded)]
    np.testing.assert_allclose(hidden[0], hidden[1], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_training_learns_and_leaves_a_loadable_pipeline(valency_data: Path, tmp_path: Path) -> None:
    lines = (valency_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu").read_text(encoding="utf-8").split("\n\n")
    small = tmp_path / "small.conllu"
    small.write_text("\n\n".join(lines[:150]) + "\n\n", encoding="utf-8")
    vectors = fit_vectors([str(small.read_text("utf-8"))], norms(), dimensions=8)
    las = fit_parser(small, small, tmp_path / "model", ParserConfig(steps=120), vectors)
    assert las > 10
    words, failed = SpacyParser(str(tmp_path / "model")).parse(
        [Document(id="d", source="s", split="train", language="en", text="He sees the dog.")]
    )
    assert not failed
    assert words.text.to_list() == ["He", "sees", "the", "dog", "."]
