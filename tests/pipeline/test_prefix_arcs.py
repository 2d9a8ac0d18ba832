"""What is said of a closed word never changes: not by text that follows, not by what is read beside it, not by how."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lexicons import wordnet
from pipeline.fit.arc_data import prepare
from pipeline.fit.examples import Examples
from pipeline.prefix.annotator import SHIPPED
from pipeline.prefix.arc_step import ArcStepper, StepState
from pipeline.prefix.arcs import ArcReader, Said, WordSaid
from pipeline.prefix.fast import read_text
from pipeline.prefix.features import FEATURES, WORD_ROWS, _spread, word_keys, word_rows
from pipeline.prefix.lexicon import BASES, lexicon_codes
from pipeline.prefix.network import EXACT, LAYERS, Layer
from pipeline.prefix.tables import Tables
from pipeline.prefix.text import Alphabet
from pipeline.prefix.texts import read_texts
from pipeline.records import Strings
from tests.pipeline.parser_contract import HARD_TEXTS
from tests.pipeline.random_arcs import KNOWN, random_network, random_reader

PHRASES = [
    "Mr. Smith", "U.S. Navy", "don't", "She went home.", " The ", "of 1,000 things", "…", "?!", " <unk> ", " @-@ ",
    "\n\n", "\n", "“Quoted.” She", "é", "e\u0301", "中文字", "👩‍👩‍👧", "\ufffd", "\u2028", "x" * 300,
    "of " * 70, "a. " * 90,
]  # fmt: skip
SENTENCE = "The man of whom she had told me went home . She , too ."

texts = st.lists(
    st.sampled_from(PHRASES) | st.text(max_size=6) | st.sampled_from(" .'\"\n@<>aA1,:-!"), max_size=15
).map("".join)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return Tables.load(SHIPPED)


@pytest.fixture(scope="module")
def alphabet(tables: Tables) -> Alphabet:
    return Alphabet.of(tables)


@pytest.fixture(scope="module")
def reader(alphabet: Alphabet) -> ArcReader:
    return random_reader(alphabet)


@pytest.fixture(scope="module")
def stepper(tables: Tables, reader: ArcReader) -> ArcStepper:
    """Every byte a piece; 256 begins, 257 ends, and a few pieces cut characters."""
    pieces = [*(bytes([byte]) for byte in range(256)), b"", b"", b"went home", b"\xf0\x9f\x91", b" a\xc3", b". The"]
    return ArcStepper(tables, reader, pieces, 256, 257)


def read(reader: ArcReader, strings: Sequence[str]) -> list[list[WordSaid]]:
    """What is said of each word of each text, all read together."""
    found = read_texts(reader.alphabet, strings)
    spans = zip(found.text.tolist(), found.begin.tolist(), found.end.tolist(), strict=True)
    form = Strings.of(strings[text][begin:end] for text, begin, end in spans)
    begins = np.append(True, (np.diff(found.text) != 0) | (np.diff(found.sentence) != 0))[: len(form)]
    said = reader.read(form, np.append(np.flatnonzero(begins), len(form)))
    words = by_word(reader, said)
    return [[words[row] for row in np.flatnonzero(found.text == number)] for number in range(len(strings))]


def by_word(reader: ArcReader, said: Said) -> list[WordSaid]:
    arcs: list[list[tuple[int, bool, int]]] = [[] for _ in said.tag]
    opened: list[list[tuple[int, int]]] = [[] for _ in said.tag]
    rows = (said.arcs.later, said.arcs.earlier, said.later_is_head, said.arcs.score)
    for i, j, is_head, score in zip(*(column.tolist() for column in rows), strict=True):
        arcs[i].append((i - j, is_head, score))
    for i, j, score in zip(said.open.later.tolist(), said.open.earlier.tolist(), said.open.score.tolist(), strict=True):
        opened[i].append((i - j, score))
    return [
        WordSaid(tag=int(tag), feats=reader.feats[label], arcs=tuple(arcs[i]), open=tuple(opened[i]))
        for i, (tag, label) in enumerate(zip(said.tag.tolist(), said.label.tolist(), strict=True))
    ]


def step_through(stepper: ArcStepper, ids: Sequence[int]) -> list[WordSaid]:
    """The words closed so far. The state goes through JSON between any two pieces."""
    state, closed = stepper.start(), list[WordSaid]()
    for piece in ids:
        state, said = stepper.step(StepState.from_json(state.to_json()), piece)
        closed += said.closed
        assert said.attributes.closed_word == len(closed)
    return closed


@pytest.mark.parametrize("name", HARD_TEXTS)
def test_step_by_step_says_what_a_batch_says_of_hard_texts(name: str, reader: ArcReader, stepper: ArcStepper) -> None:
    text = HARD_TEXTS[name][:700]
    assert step_through(stepper, [256, *text.encode(), 257]) == read(reader, [text])[0]


@settings(max_examples=25, deadline=None)
@given(text=texts, cut=st.integers(0, 400), after=texts)
@example(text="She went home. The end", cut=20, after="ing of it")
def test_nothing_said_of_a_prefix_changes(
    text: str, cut: int, after: str, reader: ArcReader, stepper: ArcStepper
) -> None:
    """Of a text that is cut anywhere, the words closed by then are said to be what they are in every continuation:
    the true one, another, and the end."""
    data = text.encode()
    closed = step_through(stepper, [256, *data[:cut]])
    shown = data[:cut].decode(errors="ignore")
    for whole in (text, shown + after, shown):
        assert read(reader, [whole])[0][: len(closed)] == closed


@settings(max_examples=25, deadline=None)
@given(ids=st.lists(st.integers(0, 261), max_size=60))
def test_any_pieces_can_be_read(ids: list[int], reader: ArcReader, stepper: ArcStepper) -> None:
    """Broken characters and begins in the middle, too: each stretch between breaks is a text."""
    closed = step_through(stepper, [*ids, 257])
    stretches: list[bytes] = [b""]
    pieces = [*(bytes([byte]) for byte in range(256)), b"", b"", b"went home", b"\xf0\x9f\x91", b" a\xc3", b". The"]
    for piece in ids:
        if piece in (256, 257):
            stretches.append(b"")
        stretches[-1] += pieces[piece]
    assert closed == [word for part in stretches for word in read(reader, [part.decode(errors="replace")])[0]]


@settings(max_examples=25, deadline=None)
@given(strings=st.lists(texts, min_size=1, max_size=5))
def test_nothing_depends_on_what_is_read_beside_it(strings: list[str], reader: ArcReader) -> None:
    assert read(reader, strings) == [read(reader, [string])[0] for string in strings]


@settings(max_examples=50, deadline=None)
@given(strings=st.lists(texts, max_size=5))
def test_many_texts_have_the_words_that_each_has_alone(strings: list[str], alphabet: Alphabet) -> None:
    together, rows = read_texts(alphabet, strings), 0
    for number, string in enumerate(strings):
        alone = read_text(alphabet, string)
        part = slice(rows, rows + len(alone.begin))
        assert (together.text[part] == number).all()
        for name in ("begin", "end", "sentence"):
            assert getattr(together, name)[part].tolist() == getattr(alone, name).tolist()
        rows += len(alone.begin)
    assert rows == len(together.text)


def test_the_network_in_training_says_the_same_bits(alphabet: Alphabet) -> None:
    """Scores compared as numbers, not within a tolerance; in float64, too, where no sum could be rounded at all."""
    network = random_network(seed=3)
    reader = random_reader(alphabet, network)
    form = Strings.of(SENTENCE.split())
    some = Examples(
        form=form,
        tag=np.zeros(len(form), np.uint8),
        feats=Strings.of([""] * len(form)),
        head=np.full(len(form), -1),
        first=np.array([0, len(form)]),
    )
    said = reader.read(form, some.first)
    data = prepare([some], alphabet, reader.known, {})
    rows = torch.from_numpy(data.rows[data.type].astype(np.int64))[None]
    for network_of in (network, network.double()):
        with torch.no_grad():
            tag, _, score = network_of(rows)
        assert tag[0].argmax(-1).tolist() == said.tag.tolist()
        for number, pairs in ((0, said.arcs), (2, said.open)):
            units = score[0, number].numpy() * 1024
            assert len(pairs) > 10
            assert units[pairs.later, pairs.earlier].tolist() == pairs.score.tolist()


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_exact_or_refused(name: str) -> None:
    """The largest sums that pass are the integers that they should be; one unit more is refused."""
    _, top, _ = LAYERS[name]
    random = np.random.default_rng(0)
    fan_in = (EXACT - 1) // (127 * top)
    weight = random.choice(np.array([-127, 127], np.int8), size=(2, fan_in))
    room = EXACT - 1 - 127 * top * fan_in
    arrays = {f"{name}.weight": weight, f"{name}.shift": np.array([-9, 0], np.int8)}
    layer = Layer.of(name, arrays | {f"{name}.bias": np.array([room, -room], np.int32)})
    x = random.integers(0, top + 1, size=(50, fan_in))
    unit = layer.bias / np.array([room, -room])
    slow = x @ weight.T.astype(np.int64) + np.array([room, -room])
    assert (layer(x.astype(np.float32)) == slow * unit).all()
    with pytest.raises(ValueError, match=f"row 1 of {name} can sum up to 16,777,216; under 16,777,216"):
        Layer.of(name, arrays | {f"{name}.bias": np.array([0, -room - 1], np.int32)})


def test_rows_are_of_the_word_alone(alphabet: Alphabet) -> None:
    known = np.sort(word_keys(alphabet, KNOWN))
    words = ["home", "Home", "HOME", "houses", "1,000", "x" * 300, "’", "é", "Ǆ"]
    together = word_rows(alphabet, known, words)
    assert together.shape == (len(words), FEATURES)
    for row, word in zip(together, words, strict=True):
        assert word_rows(alphabet, known, [word])[0].tolist() == row.tolist()
    assert (together[:3, -1] > WORD_ROWS).all(), "the case does not matter for what is known"
    assert (together[3:, -1] == WORD_ROWS).all()
    assert len({tuple(row) for row in together[:3].tolist()}) == 3, "but it does for the rest"
    assert (together[:, :-1] < WORD_ROWS).all()


def test_the_lexicon_knows_words_and_their_bases(alphabet: Alphabet) -> None:
    """The hashes of a word's bases are those of the bases themselves: as if each were looked up as a string."""
    words = ["dogs", "running", "Planned", "used", "churches", "happier", "quickly", "carries", "London", "glorps"]
    text, begin, end = _spread(alphabet, [*words, "x" * 300 + "ing"])
    known = set(wordnet.keys().tolist())
    for word, code in zip(words, lexicon_codes(text, begin, end).tolist(), strict=False):
        whole = [f"{word.lower()}/{part}".encode() in known for part in "nvap"]
        based = [
            any(
                word.lower().endswith(ending)
                and f"{word.lower()[: len(word) - cut]}{put}/{'nva'[part // 2]}".encode() in known
                for ending, bases in endings.items()
                for cut, put in bases
            )
            for part, endings in BASES
        ]
        assert [bool(code >> bit & 1) for bit in range(len(whole) + len(based))] == whole + based, word
        assert (code > 0) == (word != "glorps")


def test_a_reader_is_kept_in_a_file(alphabet: Alphabet, reader: ArcReader, tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "models" / "arcs.safetensors"
    reader.save(path)
    again = ArcReader.load(path, alphabet)
    assert again.digest == reader.digest
    text = "She went home, I think."
    assert read(again, [text]) == read(reader, [text])
