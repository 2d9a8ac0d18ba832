"""GAP by preference: which of two names does a model like better in a pronoun's place (Webster et al. 2018)?

The snippet is written twice, the pronoun replaced by name A and by name B (with 's for `his`; `her` is ambiguous and
gets, for each name by itself, whichever form makes the text likelier), and each is read as a document of its own.

    whole   the log-probability of the full snippet: the pieces up to the name are the same, so that it compares the
            name there and all that follows. Short names and names said before are favoured.
    rest    of the pieces after the name alone, given all before them (partial scoring, Trinh and Le 2018): how long or
            rare a name is cancels out. Pieces of a text end in no other place than before, or this would not be fair:
            a piece counts if it begins at or after the end of the name.

The likelier name is the answer; ties are wrong. Two scores:

    accuracy    over the pronouns that stand for one of the two names
    f1          GAP's own, over all pronouns and names: the answer is said to be coreferent and the other name not,
                also where neither is. A preference cannot abstain, which costs it precision.

`feminine_over_masculine` is the ratio of the feminine to the masculine score, GAP's measure of bias: 1 has none.
Beside them stands what needs no model: the name nearest before the pronoun (else the nearest after), and the shorter
name, which `whole` favours: a model is worth something where it beats both.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from model.evaluate.intervals import share
from model.evaluate.text import Floats, TextModel
from pipeline.gap import Case, read_gap

FEMININE = {"she", "her", "hers"}
OWNING = {"his", "hers"}
"""Pronouns that stand for name's."""
EITHER = {"her"}

Answers = list[int | None]
"""0 for name A, 1 for B, None for a tie."""


def gap(
    text: TextModel,
    file: Path,
    most: int | None = None,
    seed: int = 0,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, object]:
    """Scores of both methods and of the two without a model; most: cases, drawn under the seed, None for all."""
    cases = read_gap(file)
    if most is not None and most < len(cases):
        chosen = np.random.default_rng(seed).choice(len(cases), size=most, replace=False)
        cases = [cases[number] for number in sorted(chosen.tolist())]
    whole: Answers = []
    rest: Answers = []
    for begin in range(0, len(cases), 100):
        for scores in _scored(text, cases[begin : begin + 100]):
            whole.append(_least(scores[:, 0]))
            rest.append(_least(scores[:, 1]))
        on_case(len(whole), len(cases))
    without_model = {"nearest_name": list(map(nearest, cases)), "shorter_name": list(map(shorter, cases))}
    methods = {"whole": whole, "rest": rest, **without_model}
    neither = sum(not case.antecedents for case in cases)
    return {"cases": len(cases), "neither": neither} | {name: _scores(cases, said) for name, said in methods.items()}


def variants(case: Case, name: int) -> list[tuple[str, int]]:
    """The snippets with the name in the pronoun's place, and where in each the name ends."""
    text, (begin, end) = case.document.text, case.pronoun
    pronoun, (first, last) = text[begin:end].casefold(), case.names[name]
    said = text[first:last]
    owning = f"{said}'" if said.endswith("s") else f"{said}'s"
    forms = [said, owning] if pronoun in EITHER else [owning] if pronoun in OWNING else [said]
    return [(text[:begin] + form + text[end:], begin + len(form)) for form in forms]


def nearest(case: Case) -> int | None:
    """The name that ends nearest before the pronoun, else the one that begins nearest after it."""
    begin, end = case.pronoun
    away = [begin - last if last <= begin else 1_000_000 + first - end for first, last in case.names]
    return _least(np.array(away, float))


def shorter(case: Case) -> int | None:
    """The name of fewer characters."""
    return _least(np.array([last - first for first, last in case.names], float))


def _least(nats: Floats) -> int | None:
    return None if nats[0] == nats[1] else int(nats.argmin())


def _scored(text: TextModel, cases: Sequence[Case]) -> list[Floats]:
    """Of each case [name, method] the nats of its likeliest form, whole and rest, the document's end left out."""
    written = [
        (case, name, each) for case in range(len(cases)) for name in (0, 1) for each in variants(cases[case], name)
    ]
    spans = [text.tokenizer.document_spans(snippet) for _, _, (snippet, _) in written]
    found = [np.full((2, 2), np.inf) for _ in cases]
    nats = text.nats([ids for ids, _, _ in spans])
    for (case, name, (_, end)), (_, begins, _), each in zip(written, spans, nats, strict=True):
        after = begins[1:-1] >= end  # entry n of the nats is of piece n + 1
        scores = np.array([each[:-1].sum(), each[:-1][after].sum()])
        found[case][name] = np.minimum(found[case][name], scores)
    return found


def _scores(cases: Sequence[Case], answers: Answers) -> dict[str, object]:
    feminine = [case.document.text[slice(*case.pronoun)].casefold() in FEMININE for case in cases]
    parts = {"all": [True] * len(cases), "feminine": feminine, "masculine": [not each for each in feminine]}
    scores = {
        name: _score([each for each, kept in zip(zip(cases, answers, strict=True), part, strict=True) if kept])
        for name, part in parts.items()
    }
    ratio = {
        f"{score}_feminine_over_masculine": scores["feminine"][score] / max(scores["masculine"][score], 1e-9)
        for score in ("accuracy", "f1")
    }
    return {**scores, **ratio}


def _score(answered: Sequence[tuple[Case, int | None]]) -> dict[str, float]:
    truth = [[span in case.antecedents for span in case.names] for case, _ in answered]
    hits = sum(answer is not None and true[answer] for true, (_, answer) in zip(truth, answered, strict=True))
    said, wanted = sum(answer is not None for _, answer in answered), sum(map(sum, truth))
    return {**share(hits, sum(any(true) for true in truth)), "f1": 2 * hits / max(said + wanted, 1)}
