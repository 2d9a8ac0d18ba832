"""Bonds on the gold trees of UD English EWT (dev): what no parser's mistakes can excuse."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.corpus import Document, read_documents
from pipeline.parsers import load_parser
from pipeline.records import KINDS, Bonds, Words


@pytest.fixture(scope="module")
def words(valency_data: Path) -> Words:
    treebank = valency_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu"
    documents = [document for document in read_documents([treebank]) if isinstance(document, Document)]
    parsed, failed = load_parser("conllu", str(treebank)).parse(documents)
    assert not failed
    return annotate(parsed)


@pytest.fixture(scope="module")
def bonds(words: Words) -> Bonds:
    return bonds_of(words, BondConfig())


def test_every_arc_is_a_dependency_bond(words: Words, bonds: Bonds) -> None:
    arcs = {(row, head) for row, head in enumerate(words.head.tolist()) if head >= 0}
    ours = bonds.kind == KINDS.index("dependency")
    assert arcs <= set(zip(bonds.query[ours].tolist(), bonds.key[ours].tolist(), strict=True))


def test_most_reflexives_are_bound(words: Words, bonds: Bonds) -> None:
    reflexive = np.flatnonzero(words.text.isin(["himself", "herself", "itself", "themselves", "myself", "ourselves"]))
    bound = np.isin(reflexive, bonds.query[bonds.kind == KINDS.index("binding")])
    assert bound.mean() > 0.75


def test_most_verbs_that_verbnet_knows_have_a_role_filled(words: Words, bonds: Bonds) -> None:
    verbs = np.flatnonzero([bool(classes) for classes in words.verb_class.to_list()])
    filled = np.isin(verbs, bonds.query[bonds.kind == KINDS.index("role")])
    assert filled.mean() > 0.75


def test_bonds_are_few(words: Words, bonds: Bonds) -> None:
    assert len(bonds) < 3.5 * len(words)  # arcs, and two of the likeliest others
