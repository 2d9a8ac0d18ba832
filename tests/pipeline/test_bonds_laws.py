"""Laws of bonds that hold for every text: documents do not touch, caps, order, and what the digest sees."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of, rules_digest
from pipeline.records import KINDS, Bonds, concatenate_words, no_words
from tests.pipeline.sentences import words_of

FORMS = (
    *("she/PRON", "he/PRON", "his/PRON", "it/PRON", "they/PRON", "I/PRON", "himself/PRON", "each/DET", "other/ADJ"),
    *("who/PRON", "Mary/PROPN", "Mr./PROPN", "John/PROPN", "king/NOUN", "books=book/NOUN", "book/NOUN", "stone/NOUN"),
    *(
        "gave=give/VERB",
        "told=tell/VERB",
        "ate=eat/VERB",
        "wants=want/VERB",
        "to/ADP",
        "by/ADP",
        "was=be/AUX",
        "./PUNCT",
    ),
)
RELATIONS = (
    *("nsubj", "nsubj:pass", "obj", "iobj", "obl", "obl:agent", "nmod", "nmod:poss", "nmod:desc", "conj", "xcomp"),
    *("ccomp", "advcl", "acl", "acl:relcl", "case", "mark", "aux:pass", "fixed", "expl", "appos", "punct", "flat"),
)
FEATS = ("", "", "", "PronType=Rel", "Tense=Past|VerbForm=Part", "VerbForm=Inf", "Number=Sing", "Number=Plur")


@st.composite
def sentences(draw: st.DrawFn) -> str:
    """A random tree over random words: nonsense, so that no rule can rely on good English."""
    size = draw(st.integers(1, 8))
    order = draw(st.permutations(range(size)))
    heads = {order[0]: 0} | {order[n]: order[draw(st.integers(0, n - 1))] + 1 for n in range(1, size)}
    words = []
    for place in range(size):
        relation = draw(st.sampled_from(RELATIONS)) if heads[place] else "root"
        words.append(f"{draw(st.sampled_from(FORMS))}/{heads[place]}/{relation}/{draw(st.sampled_from(FEATS))}")
    return " ".join(words)


documents = st.lists(st.lists(sentences(), max_size=5), max_size=4)
configs = st.builds(
    BondConfig,
    hops=st.integers(1, 5),
    dependency_cap=st.integers(1, 24),
    dependency_stake=st.sampled_from([0.001, 0.1, 0.5]),
    escape_cap=st.integers(1, 3),
    escape_every=st.integers(1, 9),
    escape_sentences=st.integers(1, 3),
    role_cap=st.integers(1, 3),
    binding_reach=st.integers(0, 2),
    binding_cap=st.integers(1, 3),
    cohesion_reach=st.integers(1, 3),
    cohesion_cap=st.integers(1, 2),
)


def rows(bonds: Bonds, shift: int = 0) -> list[tuple[int, int, int, str]]:
    columns = (bonds.query + shift).tolist(), (bonds.key + shift).tolist(), bonds.kind.tolist(), bonds.rule.to_list()
    return list(zip(*columns, strict=True))


@given(documents, configs)
@settings(max_examples=150, deadline=None)
def test_the_bonds_of_many_documents_are_the_bonds_of_each(texts: list[list[str]], config: BondConfig) -> None:
    parts = [words_of(*text, document=f"d{number}") for number, text in enumerate(texts)]
    alone, before = [], 0
    for part in parts:
        alone += rows(bonds_of(annotate(part), config), shift=before)
        before += len(part)
    assert rows(bonds_of(annotate(concatenate_words(parts)), config)) == alone


def test_which_of_two_phrases_takes_an_open_slot_does_not_hang_on_other_documents() -> None:
    wants = "He/PRON/2/nsubj wants=want/VERB/0/root in/ADP/4/case bread/NOUN/2/obl at/ADP/6/case tea/NOUN/2/obl"
    alone = annotate(words_of(wants))
    behind = annotate(concatenate_words([words_of("at/ADP/0/root in/ADP/1/fixed"), words_of(wants)]))
    first, second = (rows(bonds_of(words, BondConfig(kinds=("role",)))) for words in (alone, behind))
    assert [(query + 2, key + 2, kind, rule) for query, key, kind, rule in first] == second
    assert any("Theme" in rule for _, _, _, rule in first)


@given(documents, configs)
@settings(max_examples=150, deadline=None)
def test_bonds_are_sorted_single_capped_and_at_home(texts: list[list[str]], config: BondConfig) -> None:
    words = annotate(concatenate_words([words_of(*text, document=f"d{number}") for number, text in enumerate(texts)]))
    bonds = bonds_of(words, config)
    triples = list(zip(bonds.query.tolist(), bonds.key.tolist(), bonds.kind.tolist(), strict=True))
    assert triples == sorted(set(triples))
    assert (words.document[bonds.query] == words.document[bonds.key]).all()
    assert (bonds.query != bonds.key).all()
    cap = {
        "role": config.role_cap,
        "binding": config.binding_cap,
        "dependency": config.dependency_cap,
        "cohesion": config.cohesion_cap,
        "escape": config.escape_cap,
    }
    for kind in BondConfig().kinds:
        queries = bonds.query[bonds.kind == KINDS.index(kind)]
        assert np.bincount(queries, minlength=1).max() <= cap[kind]
    reach = {"binding": config.binding_reach, "cohesion": config.cohesion_reach, "escape": len(words)}
    most = np.array([reach.get(kind, 0) for kind in KINDS])[bonds.kind]
    apart = words.sentence[bonds.query] - words.sentence[bonds.key]
    ahead = np.where(bonds.kind == KINDS.index("binding"), 1, 0)  # where the parser cut without a full stop
    assert ((apart >= -ahead) & (apart <= most)).all()


LONG = 5_000
SHAPES = {
    "a star": [0, *[1] * (LONG - 1)],
    "a chain": [0, *range(1, LONG)],
    "a tree of halves": [0, *[(n + 1) // 2 for n in range(1, LONG)]],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["she/PRON", "Mary/PROPN", "and/CCONJ", "ate=eat/VERB"])
def test_a_sentence_of_five_thousand_words_keeps_every_cap(shape: str, form: str) -> None:
    relations = ("nsubj", "conj", "punct", "nmod", "obj", "parataxis")
    cells = [f"{form}/{head}/{relations[n % 6] if head else 'root'}" for n, head in enumerate(SHAPES[shape])]
    words = annotate(words_of(" ".join(cells)))
    config = BondConfig(dependency_stake=0.001)  # every pair that is met is likely enough
    bonds = bonds_of(words, config)
    caps = {"role": config.role_cap, "binding": config.binding_cap, "dependency": config.dependency_cap}
    caps |= {"cohesion": config.cohesion_cap, "escape": config.escape_cap}
    for kind, cap in caps.items():
        assert np.bincount(bonds.query[bonds.kind == KINDS.index(kind)], minlength=1).max() <= cap
    assert len(bonds) > LONG - 2  # all the arcs of the parse


KEEP_ARCS = ("dependency", "escape")


@given(documents, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_larger_cap_only_adds(texts: list[list[str]], cap: int) -> None:
    words = annotate(concatenate_words([words_of(*text, document=f"d{number}") for number, text in enumerate(texts)]))
    fewer, more = (
        {row[:3] for row in rows(bonds_of(words, BondConfig(kinds=KEEP_ARCS, dependency_cap=one, escape_cap=99)))}
        for one in (cap, cap + 1)
    )
    assert fewer <= more


def test_each_kind_alone_gives_its_share_of_all() -> None:
    text = (
        "Mary/PROPN/2/nsubj ate=eat/VERB/0/root books=book/NOUN/2/obj",
        "She/PRON/2/nsubj ate=eat/VERB/0/root books=book/NOUN/2/obj at/ADP/5/case home/NOUN/2/obl",
    )
    words = annotate(words_of(*text))
    together = rows(bonds_of(words, BondConfig()))
    alone = [row for kind in BondConfig().kinds for row in rows(bonds_of(words, BondConfig(kinds=(kind,))))]
    assert sorted(alone) == together
    assert {KINDS[row[2]] for row in together} == set(BondConfig().kinds)


def test_no_words_have_no_bonds_and_no_kinds_neither() -> None:
    assert len(bonds_of(annotate(no_words()), BondConfig())) == 0
    assert len(bonds_of(annotate(words_of("Go/VERB/0/root")), BondConfig(kinds=()))) == 0


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'dependency'"):
        bonds_of(no_words(), BondConfig(kinds=("dependancy",)))
    with pytest.raises(ValueError, match="known kinds: role"):
        bonds_of(no_words(), BondConfig(kinds=("xyz",)))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"hops": 0}, {"binding_cap": 0}, {"binding_reach": -1}, {"kinds": ("role", "role")}, {"dependency_cap": 0}),
        *({"dependency_stake": 1.0}, {"binding_chance": 0.0}, {"escape_every": 0}, {"binding_without": ("rule",)}),
    ],
)
def test_settings_are_checked_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BondConfig(**wrong)  # type: ignore[arg-type]


def test_the_digest_sees_every_setting() -> None:
    base = BondConfig()
    changed = [replace(base, hops=4), replace(base, kinds=("role",)), replace(base, cohesion_cap=5)]
    digests = {rules_digest(config) for config in [base, *changed]}
    assert len(digests) == 4
    assert rules_digest(BondConfig()) == rules_digest(base)
    assert all(len(digest) == 12 and int(digest, 16) >= 0 for digest in digests)
