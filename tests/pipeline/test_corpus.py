"""Every input becomes documents or reasons; ids and splits do not depend on the machine."""

import gzip
import json
import lzma
import os
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.corpus import Document, Rejected, read_documents, sample_corpus, split_of
from pipeline.readers import READERS


def told(*inputs: Path) -> dict[str, str]:
    """Text by id, or `! reason`."""
    found = list(read_documents(inputs))
    shown = {each.id: each.text if isinstance(each, Document) else f"! {each.reason}" for each in found}
    assert len(shown) == len(found), "two documents have one id"
    return shown


def test_text_files_are_documents_as_they_stand(tmp_path: Path) -> None:
    books = tmp_path / "books"
    (books / "old").mkdir(parents=True)
    (books / "a.txt").write_bytes(b"\xef\xbb\xbfOne.\r\nTwo.\n")
    (books / "old" / "b.txt.gz").write_bytes(gzip.compress("Três.".encode()))
    (books / "picture.png").write_bytes(b"\x89PNG")
    (books / "README.txt").write_text("About these books.")
    (books / ".hidden.txt").write_text("Hidden.")
    assert told(books) == {"books/a.txt": "One.\r\nTwo.\n", "books/old/b.txt.gz": "Três."}
    assert told(books / "a.txt") == {"a.txt": "One.\r\nTwo.\n"}
    assert told(books / "README.txt") == {"README.txt": "About these books."}, "asked for by name"


def test_what_is_no_text_is_rejected_with_its_reason(tmp_path: Path) -> None:
    bad = {
        "latin.txt": "caf\xe9".encode("latin-1"),
        "nul.txt": b"a\0b",
        "empty.txt": b"",
        "blank.txt": b" \n\t ",
        "cut.txt.gz": gzip.compress(os.urandom(5_000))[:2_000],
        "fake.txt.gz": b"no gzip at all",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    reasons = {name.partition("/")[2]: reason for name, reason in told(tmp_path).items()}
    assert reasons["latin.txt"].startswith("! is not UTF-8: byte 0xe9 at offset 3")
    assert reasons["nul.txt"].startswith("! holds a NUL character at offset 1")
    assert reasons["empty.txt"] == reasons["blank.txt"] == "! is empty"
    assert reasons["cut.txt.gz"].startswith("! cannot be read after 0 documents: ")
    assert reasons["fake.txt.gz"].startswith("! cannot be read after 0 documents: Not a gzipped file")


def test_jsonl_bad_lines_do_not_stop_the_good_ones(tmp_path: Path) -> None:
    lines = [
        '{"text": "good", "id": "first"}',
        "{not json",
        '["a", "list"]',
        '{"id": 7, "body": "x"}',
        '{"text": 3}',
        "",
        '{"text": "half \\ud800"}',
        '{"text": "again", "id": "first"}',
        "[" * 100_000,
        '{"text": "last"}',
    ]
    (tmp_path / "x.jsonl.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    shown = told(tmp_path / "x.jsonl.xz")
    assert {name: text for name, text in shown.items() if not text.startswith("!")} == {
        "x.jsonl.xz#first": "good", "x.jsonl.xz#first~2": "again", "x.jsonl.xz#9": "last"
    }  # fmt: skip
    assert shown["x.jsonl.xz#1"].startswith("! line 2 is not JSON: Expecting property name")
    assert shown["x.jsonl.xz#2"] == "! line 3 holds a list; give an object with the field 'text'"
    assert shown["x.jsonl.xz#7"] == "! row 4 has no field 'text'; its fields: id, body"
    assert shown["x.jsonl.xz#4"] == "! the field 'text' of row 5 is a number; give a string"
    assert shown["x.jsonl.xz#6"] == "! holds half of a surrogate pair at offset 5"
    assert shown["x.jsonl.xz#8"].startswith("! line 9 is not JSON")


def test_parquet_rows_are_documents(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one", None, "three"], "id": [11, 12, 13]}), tmp_path / "t.parquet")
    pq.write_table(pa.table({"body": ["one"]}), tmp_path / "u.parquet")
    assert told(tmp_path / "t.parquet", tmp_path / "u.parquet") == {
        "t.parquet#11": "one",
        "t.parquet#12": "! the field 'text' of row 2 is null; give a string",
        "t.parquet#13": "three",
        "u.parquet": "! has no column 'text'; its columns: body",
    }


WIKI = (
    " \n = First = \n \n Text . \n = Wins ; L = \n Losses ; T \n = Ties = \n \n = = Section = = \n \n More . \n \n"
    " = Second = \n \n Its text . \n"
)


def test_wikitext_articles_begin_at_titles_only(tmp_path: Path) -> None:
    (tmp_path / "wiki.valid.tokens").write_text(WIKI)
    shown = told(tmp_path / "wiki.valid.tokens")
    assert list(shown) == ["wiki.valid.tokens#0", "wiki.valid.tokens#1"]
    assert shown["wiki.valid.tokens#1"] == " \n = Second = \n \n Its text . \n"
    assert "".join(shown.values()) == WIKI
    assert {each.split for each in read_documents([tmp_path])} == {"validation"}


@pytest.mark.parametrize(
    "text", ["No title .\n", " = Only a title = \n", "\n\n\n = T = \n\n x\n", "before\n \n = T = \n \n x"]
)
def test_wikitext_loses_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.tokens").write_text(text)
    assert "".join(told(tmp_path / "a.tokens").values()) == text


def test_wikitext_2_has_its_720_articles(valency_data: Path) -> None:
    for split, articles in {"train": 600, "valid": 60, "test": 60}.items():
        file = valency_data / "wikitext-2" / f"wiki.{split}.tokens"
        texts = told(file)
        assert len(texts) == articles
        assert "".join(texts.values()).encode() == file.read_bytes()


TREEBANK = """\
# newdoc id = one
# sent_id = 1
# newpar id = p1
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\t_\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\t_\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No
4\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_

# sent_id = 2
1\tStay\tstay\tVERB\t_\t_\t0\troot\t_\t_
1.1\tstay\tstay\tVERB\t_\t_\t_\t_\t0:root\t_

# sent_id = 3
# newpar id = p2
1\tPlease\tplease\tINTJ\t_\t_\t0\troot\t_\t_

# newdoc id = two
1\tBroken\tbreak\tVERB\t_\t_\t2\tx\t_\t_

# newdoc id = three
1\tSound\tsound\tADJ\t_\t_\t0\troot\t_\t_
"""


def test_treebank_text_is_rebuilt_and_broken_documents_are_told(tmp_path: Path) -> None:
    (tmp_path / "x-ud-dev.conllu").write_text(TREEBANK)
    shown = told(tmp_path / "x-ud-dev.conllu")
    assert shown.pop("x-ud-dev.conllu#two").startswith("! the sentence that ends at line 19 has 0 roots")
    assert shown == {"x-ud-dev.conllu#one": "Don't go. Stay\n\nPlease", "x-ud-dev.conllu#three": "Sound"}


def test_ewt_texts_are_the_treebanks_own(valency_data: Path) -> None:
    file = valency_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu"
    texts = told(file)
    assert len(texts) == 318
    lines = file.read_text(encoding="utf-8").split("\n")
    sentences = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    assert "".join("".join(texts.values()).split()) == "".join("".join(sentences).split())


def test_ids_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    shown = []
    for home in ("here", "there/far"):
        folder = tmp_path / home / "corpus"
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("A.")
        (folder / "b.jsonl").write_text(json.dumps({"text": "B."}))
        shown.append([(each.id, each.source, each.split) for each in read_documents([folder])])
    assert shown[0] == shown[1]
    assert [name for name, _, _ in shown[0]] == ["corpus/a.txt", "corpus/b.jsonl#0"]


def test_globs_folders_and_repeats(tmp_path: Path) -> None:
    for name in ("c/x.txt", "c/d/x.txt", "e/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    both = {"c/d/x.txt": "c/d/x.txt", "c/x.txt": "c/x.txt"}
    assert told(tmp_path / "c" / "**" / "*.txt") == told(tmp_path / "c") == told(tmp_path / "c", tmp_path / "c") == both
    assert told(tmp_path / "c" / "x.txt", tmp_path / "e" / "x.txt") == {"x.txt": "c/x.txt", "x.txt~2": "e/x.txt"}


def test_links_and_pipes_are_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("A.")
    (folder / "sub" / "loop").symlink_to(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "o.txt").write_text("O.")
    (folder / "away").symlink_to(tmp_path / "other")
    (folder / "b.txt").symlink_to(folder / "a.txt")
    (folder / "dead.txt").symlink_to(folder / "gone.txt")
    (folder / "self.txt").symlink_to(folder / "self.txt")
    os.mkfifo(folder / "pipe.txt")
    shown = told(folder)
    assert shown.pop("c/a.txt") == "A."
    assert set(shown) == {"c/dead.txt", "c/self.txt"}
    assert all(reason.startswith("! cannot be read") for reason in shown.values())
    assert told(folder / "**" / "*.txt") == {"c/a.txt": "A."}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("bokks", "did you mean"),
        ("books/a.pdf", "give files that end in .txt"),
        ("books/*.jsonl", "nothing to read"),
        ("nowhere/at/all.txt", "nor the folder"),
        ("empty", "nothing to read"),
        ("x" * 5_000, "File name too long"),
    ],
)
def test_inputs_that_are_not_there_are_errors_at_once(tmp_path: Path, wrong: str, said: str) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "books" / "a.txt").write_text("A.")
    (tmp_path / "books" / "a.pdf").write_text("A.")
    with pytest.raises(ValueError, match=said) as error:
        read_documents([tmp_path / "books", tmp_path / wrong])
    assert wrong[:20] in str(error.value)


@pytest.mark.parametrize(
    ("source", "split"),
    [
        ("wikitext-2/wiki.valid.tokens", "validation"),
        ("ud/en_ewt-ud-dev.conllu", "validation"),
        ("imdb/test.jsonl.xz", "test"),
        ("x/books-train.txt", "train"),
        ("x/poems-test.txt.gz", "test"),
    ],
)
def test_files_may_name_their_split(source: str, split: str) -> None:
    assert split_of(source, source + "#5") == split


def test_other_documents_are_split_by_their_ids() -> None:
    splits = Counter(split_of(f"c/test{number}.txt", f"c/test{number}.txt") for number in range(3_000))
    assert splits["validation"] == pytest.approx(300, abs=60)
    assert splits["test"] == pytest.approx(300, abs=60)
    assert split_of("c/test.txt", "c/test.txt") == "train", "only a dash makes a text file's name speak of a split"


def test_large_files_are_not_held_in_memory(tmp_path: Path) -> None:
    line = json.dumps({"text": "word " * 2_000})
    (tmp_path / "big.jsonl").write_text("\n".join([line] * 2_000))
    tracemalloc.start()
    count = sum(1 for _ in read_documents([tmp_path / "big.jsonl"]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2_000
    assert peak < 2_000_000, "the file has 20 MB"


@settings(max_examples=150, deadline=None)
@given(suffix=st.sampled_from(sorted(READERS)), content=st.binary(max_size=300))
@example(suffix=".jsonl", content=b'{"text": "a", "id": "\\ud800"}')
@example(suffix=".conllu", content="1\t²\tx\tX\t_\t_\t²\tx\t_\t_\n".encode())
@example(suffix=".conllu", content=b"1-999999999999\tx\t_\t_\t_\t_\t_\t_\t_\t_\n")
def test_no_content_stops_the_reading(suffix: str, content: bytes) -> None:
    packers = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": lambda each: bytes(pa.compress(each, "zstd"))}
    packed = packers.get(Path(suffix).suffix, bytes)(content)
    for data in (content, packed):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"x{suffix}"
            file.write_bytes(data)
            for each in read_documents([file]):
                assert isinstance(each, Rejected) or each.text.strip()
                f"{each.id}{each.source}".encode()


def test_the_sample_is_readable() -> None:
    if not any(sample_corpus().glob("*")):
        pytest.skip("the sample corpus is not here")
    assert all(isinstance(each, Document) for each in read_documents([sample_corpus()]))
