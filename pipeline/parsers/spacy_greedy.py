"""A batch through a spaCy pipeline, the transition parser over all texts of the batch at a time.

spaCy's own loop over the parser's steps lets go of Python's lock, and takes it back for a moment some 130 times a
step for every text, which is half of its time. This one is in Python, holds the lock, and calls the same compiled
functions for all texts that have not ended. It multiplies with BLIS as spaCy's does, row by row, so that scores are the
same to the last bit, whatever is parsed beside a text.
"""

from collections.abc import Callable, Iterable
from typing import Any

import blis.py
from spacy.language import Language
from spacy.pipeline import DependencyParser
from spacy.tokens import Doc
from thinc.api import NumpyOps


def piped(nlp: Language, texts: Iterable[str | Doc]) -> list[Doc]:
    """What `nlp.pipe` gives for the texts as one batch; errors of a component are raised."""
    docs = [nlp.make_doc(text) if isinstance(text, str) else text for text in texts]
    for _, component in nlp.pipeline:
        docs = _run(component, docs)
    return docs


def _run(component: Callable[[Doc], Doc], docs: list[Doc]) -> list[Doc]:
    if _steps_are_known(component) and any(map(len, docs)):
        component.set_annotations(docs, greedy_parse(component, docs))  # type: ignore[attr-defined]
        return docs
    if hasattr(component, "pipe"):
        return list(component.pipe(docs, batch_size=len(docs)))
    return [component(doc) for doc in docs]


def _steps_are_known(component: Any) -> bool:
    """Whether `greedy_parse` does what the parser would: a search without beam through a network of two layers."""
    return (
        type(component) is DependencyParser
        and component.cfg["beam_width"] == 1
        and isinstance(component.model.ops, NumpyOps)
        and component.model.attrs["has_upper"]
        and component.model.get_ref("lower").get_dim("nP") >= 2  # with one, spaCy's own loop leaves the ReLU out
        and not component.model.attrs["unseen_classes"]
    )


def greedy_parse(parser: Any, docs: list[Doc]) -> list[Any]:
    """The final states of the docs, as DependencyParser.greedy_parse gives them."""
    states = parser.moves.init_batch(docs)
    network = parser.model.predict(docs)  # what each word adds to a hidden layer is multiplied for all words here
    weight, bias = (network.vec2scores.get_param(name) for name in ("W", "b"))
    ahead = [state for state in states if not state.is_final()]
    while ahead:
        hidden = network.state2vec.predict(network.get_token_ids(ahead))
        scores = blis.py.gemm(hidden, weight, trans2=True)
        scores += bias
        ahead = parser.transition_states(ahead, scores)
    network.clear_memory()
    return list(states)
