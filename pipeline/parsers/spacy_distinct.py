"""What spaCy's pipeline does for every token, done once for every distinct one: embeddings and lemmas.

A batch of 7,000 words holds some 1,700 different ones. An embedding depends on what a word looks like alone, and a
lemma on the word and the edit tree that is chosen for it; so both are made once and handed to all that are alike. The
numbers are those of the plain pipeline: the products are the same, row by row.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline.edit_tree_lemmatizer import TOP_K_GUARDRAIL, EditTreeLemmatizer
from spacy.pipeline.tok2vec import Tok2Vec
from spacy.tokens import Doc
from thinc.api import Model

Keys = NDArray[np.uint64]

FEWEST_ROWS = 64
"""OpenBLAS rounds products of few rows in another way, and the number of distinct words must not matter."""
REMEMBERED = 200_000
"""Lemmas kept from batch to batch, about 30 MB; then they are forgotten."""
MIXERS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], dtype=np.uint64)
"""Odd numbers that fold a row of hashes into one; taken again from the first for longer rows."""


def once_a_distinct_word(nlp: Language) -> None:
    """Change the components of a loaded pipeline that are built as expected; others stay as they are."""
    for _, pipe in nlp.pipeline:
        if type(pipe) is EditTreeLemmatizer and 1 <= pipe.top_k <= TOP_K_GUARDRAIL and pipe.backoff in (None, "orth"):
            pipe.__class__ = DistinctLemmatizer  # the trained state stays, the loops over tokens go
        elif type(pipe) is Tok2Vec and pipe.model.layers and _embeds_features(pipe.model.layers[0]):
            pipe.model.layers[0] = Model("distinct", _embed, layers=[pipe.model.layers[0]])


def _embeds_features(embed: Model[Any, Any]) -> bool:
    names = [layer.name for layer in embed.layers]
    return len(names) > 2 and names[:2] == ["extract_features", "list2ragged"] and names[-1] == "ragged2list"


def _embed(
    model: Model[Any, Any], docs: Sequence[Doc], is_train: bool
) -> tuple[list[NDArray[np.float32]], Callable[[Any], Any]]:
    """For each doc, float32 [T, D]: the layers after feature extraction, run over the distinct rows of features."""
    extract, *rest = model.layers[0].layers
    rows: list[Keys] = extract.predict(docs)
    together = np.concatenate(rows)
    weight = np.resize(MIXERS, together.shape[1])
    _, first, inverse = np.unique((together * weight).sum(axis=1), return_index=True, return_inverse=True)
    distinct = together[first] if len(first) >= FEWEST_ROWS else np.resize(together[first], (FEWEST_ROWS, len(weight)))
    made: Any = [distinct]
    for layer in rest:
        made = layer.predict(made)
    ends = np.cumsum([len(each) for each in rows])[:-1]
    return np.split(made[0][inverse], ends), _no_training


def _no_training(gradient: Any) -> Any:
    raise NotImplementedError("this pipeline only parses; train the one that spacy.load gives")


class DistinctLemmatizer(EditTreeLemmatizer):
    """EditTreeLemmatizer with the same answers: each distinct (word, tree) is tried once, and remembered."""

    def predict(self, docs: Sequence[Doc]) -> list[Keys]:  # type: ignore[override]
        """For each doc, uint64 [T]: keys of the lemmas, 0 where none is to be set."""
        docs = list(docs)
        lengths = [len(doc) for doc in docs]
        if not sum(lengths):
            return [np.empty(0, np.uint64) for _ in docs]
        scores = np.concatenate(self.model.predict(docs))
        orth = np.concatenate([doc.to_array("ORTH") for doc in docs])
        words, word = np.unique(orth, return_inverse=True)
        lemma = orth.copy() if self.backoff == "orth" else np.zeros_like(orth)
        left = np.arange(len(orth))
        for _ in range(min(self.top_k, scores.shape[1])):
            best = scores[left].argmax(axis=1)
            keys = self._lemmas(words, word[left], best, scores.shape[1])
            fits = keys != 0
            lemma[left[fits]] = keys[fits]
            left, best = left[~fits], best[~fits]
            scores[left, best] = np.finfo(np.float32).min
        return np.split(lemma, np.cumsum(lengths)[:-1])

    def _lemmas(self, words: Keys, word: NDArray[np.int64], label: NDArray[np.int64], labels: int) -> Keys:
        """Key of the lemma that the label's tree makes of each word; 0 where it does not apply."""
        pairs, inverse = np.unique(word * labels + label, return_inverse=True)
        strings, said = self.vocab.strings, self.__dict__.setdefault("remembered", {})
        if len(said) > REMEMBERED:
            said.clear()
        keys = np.zeros(len(pairs), np.uint64)
        for place, pair in enumerate(zip(words[pairs // labels].tolist(), (pairs % labels).tolist(), strict=True)):
            if pair not in said:
                said[pair] = self.trees.apply(self.cfg["labels"][pair[1]], strings[pair[0]])
            lemma = said[pair]
            keys[place] = 0 if lemma is None else strings.add(lemma)
        return keys[inverse]

    def set_annotations(self, docs: Sequence[Doc], batch_tree_ids: Sequence[Keys]) -> None:  # type: ignore[override]
        for doc, lemma in zip(docs, batch_tree_ids, strict=True):
            if len(doc):
                there = doc.to_array("LEMMA")
                keep = (lemma == 0) | ((there != 0) & (not self.overwrite))
                doc.from_array(["LEMMA"], np.where(keep, there, lemma))  # type: ignore[arg-type]  # a column will do
