"""What the left-to-right annotator says of sentences that a person can read.

In the expected answers `|` stands between words and a line break between sentences.
"""

import hashlib
from dataclasses import fields

import numpy as np
import pytest
import torch

from lexicons.upos import UPOS
from pipeline.pieces import Tokenizer
from pipeline.prefix import NO_TAG, Attributes, PrefixAnnotator
from pipeline.prefix.tables import RULES

PIECES = [
    b"",
    b"",
    b"The",
    b" un",
    b"happi",
    b"ly",
    b" dogs",
    b" bark",
    b".",
    b" They",
    b"  ",
    b" caf\xc3",
    b"\xa9",
    b'!"',
]
BEGIN, END, THE, UN, HAPPI, LY, DOGS, BARK, STOP, THEY, SPACES, CAF, E_ACUTE, MARKS = range(len(PIECES))


@pytest.fixture(scope="module")
def annotator() -> PrefixAnnotator:
    return PrefixAnnotator.load(None, PIECES, BEGIN, END)


def cut(annotator: PrefixAnnotator, text: str) -> str:
    words, lines = annotator.words(text), dict[int, list[str]]()
    for begin, end, sentence in zip(words.begin, words.end, words.sentence.tolist(), strict=True):
        lines.setdefault(sentence, []).append(text[begin:end])
    return "\n".join("|".join(line) for line in lines.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Smith left. He ran.", "Mr.|Smith|left|.\nHe|ran|."),
        ("J. R. Smith of the U.S. Navy, e.g. him.", "J.|R.|Smith|of|the|U.S.|Navy|,|e.g.|him|."),
        ("It was I. Then he came.", "It|was|I|.\nThen|he|came|."),
        ("At 5 p.m. the bell rang; at 6 p.m. The end.", "At|5|p.m.|the|bell|rang|;|at|6|p.m.\nThe|end|."),
        ("I don't. We won’t!", "I|do|n't|.\nWe|wo|n’t|!"),
        ("'Don't' and 'can't'; the man's, Ann's", "'|Do|n't|'|and|'|ca|n't|'|;|the|man|'s|,|Ann|'s"),
        ("I cannot, gonna, dont, GOTTA, cannons", "I|can|not|,|gon|na|,|do|nt|,|GOT|TA|,|cannons"),
        ("It cost $3.50, or 1,000 at 10:30.", "It|cost|$|3.50|,|or|1,000|at|10:30|."),
        ("In 2004. On 9/11/2001: 5, 6-7, 713-853-3989", "In|2004|.\nOn|9/11/2001|:|5|,|6|-|7|,|713-853-3989"),
        ("5pm, 7:30PM and 10k (35mm), 3rd", "5|pm|,|7:30|PM|and|10|k|(|35|mm|)|,|3rd"),
        ("e-mail, Non-US, a well-known one", "e-mail|,|Non-US|,|a|well|-|known|one"),
        ("What?! Oh :-) no ;) ->", "What|?!\nOh|:-)|no|;)|->"),
        ("Great. :) Then :( Then", "Great|.|:)\nThen|:(\nThen"),
        ("'such a' thing, ''so, 'tis 'em 's", "'|such|a|'|thing|,|''|so|,|'tis|'em|'s"),
        ("Of AT&T and a&b, so", "Of|AT&T|and|a|&|b|,|so"),
        ("Go to http://a.b/c?d=e, or www.a.org.", "Go|to|http://a.b/c?d=e|,|or|www.a.org|."),
        ("<joe_x@mail.a-b.uk> 5 Then ftp: it", "<|joe|_|x@mail.a-b.uk|>|5|Then|ftp|:|it"),
        ("Two things: 1. It is. 2. It was 2.", "Two|things|:|1|.|It|is|.\n2|.|It|was|2|."),
        ("At 10:30 AM Then 10 AM Then", "At|10:30|AM\nThen|10|AM|Then"),
        ("“Stop!” said he. “Why?” She went.", "“|Stop|!|”|said|he|.\n“|Why|?|”\nShe|went|."),
        ('He said "Go." Then left. "I see."', 'He|said|"|Go|.|"\nThen|left|.\n"|I|see|.|"'),
        ("Oh! how nice. so it is", "Oh|!|how|nice|.\nso|it|is"),
        ("Well... maybe. Well... Maybe", "Well|...|maybe|.\nWell|...\nMaybe"),
        ("hard-wrapped\nlines go on", "hard|-|wrapped|lines|go|on"),
        ("One. - Two", "One|.\n-|Two"),
        ("A heading\n\na paragraph", "A|heading\na|paragraph"),
        ("see www.example.com now", "see|www.example.com|now"),
        (" = Head = \n \n The <unk> . \n", "=|Head|=\nThe|<unk>|."),
        (' He said " go . " Then 10 @,@ 000 re @-@ made', 'He|said|"|go|.|"\nThen|10|@,@|000|re|@-@|made'),
        (" Dr. <unk> 's dog didn 't . ", "Dr.|<unk>|'s|dog|didn|'t|."),
        ("", ""),
    ],
)  # fmt: skip
def test_words_and_sentences(annotator: PrefixAnnotator, text: str, expected: str) -> None:
    assert cut(annotator, text) == expected


def test_long_words_and_long_sentences_are_cut(annotator: PrefixAnnotator) -> None:
    words = annotator.words("x" * 600)
    assert (words.end - words.begin).tolist() == [256, 256, 88]
    words = annotator.words("and " * 600)
    assert np.bincount(words.sentence).tolist() == [256, 256, 88]


def tags(annotator: PrefixAnnotator, text: str) -> list[str]:
    return [UPOS[tag] for tag in annotator.words(text).tag]


def test_full_tags(annotator: PrefixAnnotator) -> None:
    assert tags(annotator, "The dog saw Mary.") == ["DET", "NOUN", "VERB", "PROPN", "PUNCT"]
    assert tags(annotator, "a flurbished glorbization 3,141 Zworykin") == ["DET", "VERB", "NOUN", "NUM", "PROPN"]
    assert tags(annotator, "they didn’t, I'll") == ["PRON", "AUX", "PART", "PUNCT", "PRON", "AUX"]
    assert tags(annotator, " <unk> @-@ ") == ["PROPN", "PUNCT"]


def test_attributes_piece_by_piece(annotator: PrefixAnnotator) -> None:
    """`The unhappily dogs bark. They`, as it is read."""
    ids = np.array(
        [BEGIN, THE, UN, HAPPI, LY, DOGS, BARK, STOP, THEY, SPACES, CAF, E_ACUTE, MARKS, END], dtype=np.int32
    )
    found = annotator.annotate(ids)
    #                                   <  The  un happi ly dogs bark . They "  " caf é  !" >
    assert found.first_word.tolist() == [-1, 0, 1, 1, 1, 2, 3, 4, 5, 5, 6, 6, 7, 8]
    assert found.last_word.tolist() == [-1, 0, 1, 1, 1, 2, 3, 4, 5, 5, 6, 6, 8, 8]
    assert found.closed_word.tolist() == [0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 8, 9]
    assert found.sentence_start.tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 8, 8, 8, 8, 8, 8]
    assert found.input_tag[[0, 9, 13]].tolist() == [NO_TAG] * 3, "no word here"
    adverb, noun, pronoun = (UPOS.index(tag) for tag in ("ADV", "NOUN", "PRON"))
    assert found.key_tag[[2, 3, 4]].tolist() == [adverb] * 3
    assert found.input_tag[2] != adverb, "the first piece does not know the whole word"
    assert found.input_tag[4] == adverb
    assert (found.key_tag[5], found.key_tag[8], found.key_tag[9]) == (noun, pronoun, pronoun)


def told(pieces: list[str]) -> list[tuple[int, int, int, str, str]]:
    """First and last word, words closed, input and key tag of pieces, and of the end."""
    annotator = PrefixAnnotator.load(None, [b"", b"", *(piece.encode() for piece in pieces)], 0, 1)
    found = annotator.annotate(np.array([*range(2, 2 + len(pieces)), 1], dtype=np.int32))
    columns = (found.first_word, found.last_word, found.closed_word, found.input_tag, found.key_tag)
    names = (*UPOS, "-")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(first, last, closed, names[tag], names[key]) for first, last, closed, tag, key in rows]


def test_a_word_that_a_later_piece_cuts() -> None:
    """` don` is known as the first word, which closes as `do`; the piece that tells has `n't`."""
    assert told(["I", " don", "'t", " go"])[1:4] == [
        (1, 1, 1, "AUX", "AUX"),
        (2, 2, 2, "PART", "PART"),
        (3, 3, 3, "VERB", "VERB"),
    ]
    assert told(["I", " can", "not", " go"])[1:3] == [(1, 1, 1, "AUX", "AUX"), (1, 2, 2, "PART", "PART")]
    assert told(["I", " cannot"])[1] == (1, 2, 2, "PART", "PART"), "both, without the next character"


def test_a_mark_that_waits_belongs_to_its_number_until_the_next_character() -> None:
    number, mark = (0, 0, 0, "NUM", "NUM"), (1, 1, 2, "PUNCT", "PUNCT")
    assert told(["3", ".", "5", " go"])[:3] == [number] * 3
    assert told(["3", ".", " go"])[:3] == [number, number, (1, 2, 2, "VERB", "VERB")]
    assert told(["3", ".", " ", "go"])[1:4] == [number, mark, (2, 2, 2, "VERB", "VERB")]
    assert told(["3", "."])[1:] == [number, mark], "the end of a document tells, too"


def test_nothing_is_closed_by_the_end_of_input(annotator: PrefixAnnotator) -> None:
    found = annotator.annotate(np.array([BEGIN, THE, DOGS], dtype=np.int32))
    assert found.closed_word.tolist() == [0, 0, 1]
    assert found.key_tag[-1] == NO_TAG
    ended = annotator.annotate(np.array([BEGIN, THE, DOGS, END], dtype=np.int32))
    assert (ended.closed_word[-1], UPOS[ended.key_tag[2]]) == (2, "NOUN")


def test_no_pieces(annotator: PrefixAnnotator) -> None:
    assert len(annotator.annotate(np.empty(0, np.int32))) == 0


def test_a_model_carries_it(annotator: PrefixAnnotator, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("annotator") / "annotator.safetensors"
    annotator.save(path)
    again = PrefixAnnotator.load(path, PIECES, BEGIN, END)
    assert again.digest == annotator.digest
    model = torch.nn.ModuleDict({"annotator": again}).to(torch.float64).to("meta")
    assert cut(again, "Mr. Smith left. He") == cut(annotator, "Mr. Smith left. He"), (
        "moving the model leaves it as it is"
    )
    with torch.no_grad():
        model["annotator"].get_buffer("word_tag").zero_()
        model["annotator"].get_buffer("suffix_tag").zero_()
    model.load_state_dict({f"annotator.{name}": value for name, value in annotator.state_dict().items()})
    assert again.digest == annotator.digest
    assert tags(again, "The dog saw Mary.") == ["DET", "NOUN", "VERB", "PROPN", "PUNCT"]


def test_rules_are_raised_when_attributes_change() -> None:
    """The digest of an annotator vouches for what it says. If this fails, the rules or the shipped tables have changed:
    raise RULES in prefix_tables (not for tables alone), and set both here anew."""
    tokenizer = Tokenizer.load()
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    text = "“Mr. Smith isn’t here,” she said. He paid $3.50 at 5 p.m. The U.S. Navy… came!\n\n = Head = <unk> 10 @,@ 0"
    found = annotator.annotate(tokenizer.document(text))
    said = b"".join(getattr(found, column.name).tobytes() for column in fields(Attributes))
    assert (RULES, hashlib.sha256(said).hexdigest()[:12]) == (2, "3e438255b5c2")
