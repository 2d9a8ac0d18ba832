"""How good a spaCy pipeline is where nobody has to find words and sentences: on those of the treebank."""

from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from pipeline.fit.gold import GoldSentence, read_gold

BATCH = 256
"""Sentences parsed at once."""


def score_gold(nlp: Language, treebank: Path) -> dict[str, float]:
    """Percent of all words, punctuation too, with the right tag, lemma, head, and head and relation (as the shared task
    compares them: without subtypes)."""
    sentences = [sentence for document in read_gold(treebank) for sentence in document]
    right, words = dict.fromkeys(("upos", "lemma", "uas", "las"), 0), 0
    for first in range(0, len(sentences), BATCH):
        batch = sentences[first : first + BATCH]
        for sentence, doc in zip(batch, nlp.pipe([_doc(nlp, sentence) for sentence in batch]), strict=True):
            words += len(doc)
            for place, (word, token) in enumerate(zip(sentence.words, doc, strict=True)):
                head = 0 if token.head.i == place else token.head.i + 1
                same_relation = token.dep_.lower().partition(":")[0] == word.relation.partition(":")[0]
                right["upos"] += token.pos_ == word.upos
                right["lemma"] += token.lemma_ == word.lemma
                right["uas"] += head == word.head
                right["las"] += head == word.head and same_relation
    return {name: 100 * count / max(words, 1) for name, count in right.items()}


def _doc(nlp: Language, sentence: GoldSentence) -> Doc:
    words = [word.form for word in sentence.words]
    starts: list[bool | int | None] = [place == 0 for place in range(len(words))]
    return Doc(nlp.vocab, words=words, spaces=list(sentence.spaces), sent_starts=starts)
