"""What is counted of bonds, and the named queries over it."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from pipeline.annotate import annotate
from pipeline.cache.layout import Cache
from pipeline.cache.read import read_bonds, read_words
from pipeline.cache.verify import verify
from pipeline.counts import ShardCounts, tally
from pipeline.errors import Failure
from pipeline.records import KINDS, Bonds, Strings
from pipeline.stats import QUERIES, named_query, open_cache
from tests.pipeline.fakes import STORIES, cache_of
from tests.pipeline.sentences import words_of

WORDS = words_of("Anna/PROPN/2/nsubj sang/VERB/0/root", "She/PRON/2/nsubj smiled/VERB/0/root then/ADV/2/advmod")
BONDS = Bonds(
    query=np.array([1, 2, 3, 4], np.int32),
    key=np.array([0, 0, 2, 3], np.int32),
    kind=np.array([KINDS.index(kind) for kind in ("role", "binding", "role", "dependency")], np.uint8),
    rule=Strings.of(["sing Agent", "B", "smile Agent", "advmod"]),
)
DOCUMENTS = [
    {"id": "d", "source": "s", "split": "train", "language": "en", "characters": 28, "bytes": 28, "reason": ""},
    {"id": "e", "source": "s", "split": "train", "language": "en", "characters": 0, "bytes": 0, "reason": "is empty"},
    {"id": "f", "source": "s", "split": "test", "language": "en", "characters": 9, "bytes": 9, "reason": ""},
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return cache_of(tmp_path_factory.mktemp("stats"), STORIES | {"bang.txt": "They explode ."})


def counted() -> ShardCounts:
    counts = ShardCounts()
    counts.add(WORDS, BONDS)
    return counts


def test_every_bond_is_counted_by_kind_span_reach_tags_and_rule() -> None:
    table = counted().tables(DOCUMENTS, {})["counts"].to_pylist()
    bins = {(row["measure"], row["kind"], row["value"]): row["count"] for row in table if row["measure"] != "rule"}
    assert bins["span", "role", 1] == 2
    assert bins["span", "binding", 2] == 1
    assert bins["reach", "role", 0] == 2
    assert bins["reach", "binding", 1] == 1
    tags = {(row["kind"], row["query"], row["key"]) for row in table if row["measure"] == "tags"}
    expected = {
        ("role", "VERB", "PROPN"),
        ("role", "VERB", "PRON"),
        ("binding", "PRON", "PROPN"),
        ("dependency", "ADV", "VERB"),
    }
    assert tags == expected
    rules = {(row["kind"], row["rule"]): row["count"] for row in table if row["measure"] == "rule"}
    assert rules["role", "sing Agent"] == 1


def test_degrees_count_both_ends_and_words_without_a_bond() -> None:
    table = counted().tables(DOCUMENTS, {})["counts"].to_pylist()
    degrees = {row["value"]: row["count"] for row in table if (row["measure"], row["kind"]) == ("degree", "any")}
    assert degrees == {1: 2, 2: 3}  # sang, then: 1; Anna, She, smiled: 2
    assert sum(value * count for value, count in degrees.items()) == 2 * len(BONDS)


def test_sentences_and_documents_have_their_counts_quarantined_ones_too() -> None:
    tables = counted().tables(DOCUMENTS, {"f": "exploded"})
    assert [(row["words"], row["role"], row["binding"]) for row in tables["sentences"].to_pylist()] == [
        (2, 1, 0),
        (3, 1, 1),
    ]
    told = [(row["document"], row["status"], row["reason"], row["words"]) for row in tables["documents"].to_pylist()]
    assert told == [("d", "ok", "", 5), ("e", "quarantined", "is empty", 0), ("f", "quarantined", "exploded", 0)]


def test_tally_counts_negative_values_too() -> None:
    kind, value = np.array([1, 0, 1, 1], np.uint8), np.array([-3, 2, -3, 5], np.int32)
    assert tally(kind, value) == [(0, 2, 1), (1, -3, 2), (1, 5, 1)]
    assert tally(kind[:0], value[:0]) == []


def stored_pairs(cache: Cache, shard: int) -> Iterator[tuple[str, int, int]]:
    """(document, query, key) of a shard's bonds, as positions in the document."""
    for words, bonds in zip(read_words(cache, shard), read_bonds(cache, shard), strict=True):
        index = words.index()
        for query, key in zip(bonds.query, bonds.key, strict=True):
            yield words.documents[words.document[query]], int(index[query]), int(index[key])


def test_named_queries_agree_with_the_bonds_themselves(cache: Cache) -> None:
    with open_cache(cache) as connection:
        bonds = connection.sql("SELECT kind, rule, query, key FROM bond").fetchall()
        pairs = connection.sql("SELECT document, query, key FROM bond").fetchall()
    assert sorted(pairs) == sorted(pair for shard in range(2) for pair in stored_pairs(cache, shard))
    kinds = {row["kind"]: row["bonds"] for row in named_query(cache.folder, "kinds").to_pylist()}
    assert kinds == Counter(kind for kind, *_ in bonds)
    degrees = {row["bonds_at_a_word"]: row["words"] for row in named_query(cache.folder, "degrees").to_pylist()}
    assert sum(degrees.values()) == 34
    assert sum(value * words for value, words in degrees.items()) == 2 * len(bonds)
    spans = named_query(cache.folder, "spans").to_pylist()
    assert sum(value or 0 for row in spans for name, value in row.items() if name != "kind") == len(bonds)


def test_the_genre_is_the_folder_of_the_file(tmp_path: Path) -> None:
    texts = {"letters/one.txt": "Anna wrote him a letter .", "tales/two.txt": "The river carried the boat .",
             "tales/old/three.txt": "A storm broke the mast ."}  # fmt: skip
    for name in texts:
        (tmp_path / "stories" / name).parent.mkdir(parents=True, exist_ok=True)
    cache = cache_of(tmp_path, texts)
    rows = [row for row in named_query(cache.folder, "genres").to_pylist() if row["kind"] == "dependency"]
    assert [(row["genre"], row["documents"], row["words"]) for row in rows] == [
        ("letters", 1, 6), ("old", 1, 6), ("tales", 1, 6)
    ]  # fmt: skip
    total = next(row for row in named_query(cache.folder, "kinds").to_pylist() if row["kind"] == "dependency")
    assert sum(row["bonds"] for row in rows) == total["bonds"]
    assert all(row["density"] == row["bonds"] / 30 for row in rows)


def test_verbs_whose_roles_never_fill() -> None:
    """Of `give` and `sing`, in two row groups, only one has an argument that its roles admit."""
    counts = ShardCounts()
    words = annotate(words_of("Anna/PROPN/2/nsubj gave=give/VERB/0/root", "They/PRON/2/nsubj sang=sing/VERB/0/root"))
    role = Bonds(
        query=np.array([1], np.int32),
        key=np.array([0], np.int32),
        kind=np.array([KINDS.index("role")], np.uint8),
        rule=Strings.of(["give-13.1-1 Agent [+animate | +organization]"]),
    )
    counts.add(words, role)
    counts.add(words, role)
    rows = counts.tables(DOCUMENTS, {})["counts"].to_pylist()
    verbs = {row["rule"]: row["count"] for row in rows if row["measure"] == "verb"}
    filled = {(row["rule"], row["key"]): row["count"] for row in rows if row["measure"] == "filled"}
    assert verbs == {"give": 2, "sing": 2}
    assert (filled["give", "Agent"], filled["give", "Recipient"], filled["sing", "Agent"]) == (2, 0, 0)


def test_unfilled_verbs_are_named_with_the_roles_that_they_lack(cache: Cache) -> None:
    with open_cache(cache) as connection:
        filled = {lemma for (lemma,) in connection.sql(
            "SELECT DISTINCT w.lemma FROM bond b JOIN words w ON (w.document, w.index) = (b.document, b.query) "
            "WHERE b.kind = 'role'").fetchall()}  # fmt: skip
        verbs = {lemma for (lemma,) in connection.sql("SELECT lemma FROM words WHERE verb_class <> ''").fetchall()}
    assert {row["verb"] for row in named_query(cache.folder, "unfilled").to_pylist()} == verbs - filled
    roles = named_query(cache.folder, "roles").to_pylist()
    (bonds,) = [row["bonds"] for row in named_query(cache.folder, "kinds").to_pylist() if row["kind"] == "role"] or [0]
    assert sum(row["bonds"] for row in roles) == bonds


def test_named_queries_tell_documents_and_quarantine(cache: Cache) -> None:
    (total,) = [row for row in named_query(cache.folder, "documents").to_pylist() if row["split"] == "all"]
    assert (total["documents"], total["sentences"], total["words"]) == (4, 7, 34)
    assert named_query(cache.folder, "quarantine").to_pylist() == [
        {"reason": "exploded", "documents": 1, "example": "stories/bang.txt"}
    ]
    layers = {row["layer"]: row["shards"] for row in named_query(cache.folder, "bytes").to_pylist()}
    assert layers == {"documents": 2, "words": 2, "bonds": 2, "stats": 6}


@pytest.mark.parametrize("name", QUERIES)
def test_every_named_query_gives_rows_that_json_can_hold(cache: Cache, name: str) -> None:
    rows = named_query(cache.folder, name).to_pylist()
    assert rows or name == "unfilled"  # in these stories every verb finds its roles
    assert {type(value) for row in rows for value in row.values()} <= {int, float, str, type(None)}


def test_a_name_that_is_none_and_a_cache_without_statistics(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(ValueError, match="did you mean 'density'"):
        named_query(cache.folder, "densty")
    with pytest.raises(ValueError, match="no layer 'stats'"):
        named_query(Cache.create(tmp_path / "empty").folder, "density")


@pytest.mark.parametrize("gone", ["shard", "layer"])
def test_what_is_lost_is_missed(tmp_path: Path, gone: str) -> None:
    """Never answered without it."""
    cache = cache_of(tmp_path)
    layer = cache.folder / cache.layer("words")
    next(layer.glob("*.parquet")).unlink() if gone == "shard" else shutil.rmtree(layer)
    assert verify(cache)
    with pytest.raises(Failure, match="valency repair"):
        open_cache(cache).close()


def test_bytes_that_are_no_text_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB tells them by Python's error, when the answer is fetched."""
    cache = cache_of(tmp_path)
    monkeypatch.setitem(QUERIES, "odd", "SELECT 1")
    monkeypatch.setattr("pipeline.stats.integers", lambda _: b"\xff".decode())
    with pytest.raises(Failure, match="valency repair"):
        named_query(cache.folder, "odd")


PLAIN = """
import sys
sys.path.append(sys.argv[1])  # duckdb's folder, without what .pth files would add: nothing of ours can be imported
for name in ("pipeline", "lexicons", "model", "flows"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} is there")
import json
import duckdb

def layer(path):
    return f"'{sys.argv[2]}/{path}/*.parquet'"

names = {"documents": "documents", "words": "words/*", "bonds": "bonds/*", "document_stats": "stats/*/documents",
         "counts": "stats/*/counts"}
tables = {name: layer(path) for name, path in names.items()}
print(json.dumps([duckdb.sql(query.format(**tables)).fetchall() for query in json.load(sys.stdin)]))
"""

PLAIN_QUERIES = {
    "SELECT count(*), any_value(parser) FROM {words}": [[34, "fake"]],
    # every word is where its document says
    "SELECT count(*) FROM {words} w JOIN {documents} d ON d.id = w.document "
    "WHERE substring(d.text, w.start + 1, w.end - w.start) = w.text": [[34]],
    # bonds are lists: a row each, with the words at both ends
    "SELECT q.text, k.text, b.rule FROM (SELECT document, first + unnest(query) AS query, first + unnest(key) AS key, "
    "unnest(kind) AS kind, unnest(rule) AS rule FROM {bonds}) b "
    "JOIN {words} q ON (q.document, q.index) = (b.document, b.query) "
    "JOIN {words} k ON (k.document, k.index) = (b.document, b.key) "
    "WHERE b.kind = 'dependency' AND b.rule = 'nsubj' AND b.document = 'stories/storm.txt' ORDER BY ALL": None,
    # the statistics count what the lists hold
    "SELECT kind, sum(len(list_filter(b.kind, lambda each: each = kinds.kind)))::INTEGER, any_value(stats.n)::INTEGER "
    "FROM {bonds} b, (SELECT kind, sum(count) AS n FROM {counts} WHERE measure = 'span' GROUP BY kind) stats "
    "JOIN (SELECT DISTINCT unnest(kind) AS kind FROM {bonds}) kinds USING (kind) GROUP BY kind ORDER BY kind": None,
    "SELECT count(*) FROM {document_stats} s JOIN {documents} d ON d.id = s.document "
    "WHERE s.words = (SELECT count(*) FROM {words} w WHERE w.document = d.id)": [[5]],
}


def test_plain_duckdb_reads_the_cache_with_nothing_of_ours(cache: Cache) -> None:
    installed = Path(duckdb.__file__).parents[1]
    command = [sys.executable, "-I", "-S", "-c", PLAIN, str(installed), str(cache.folder)]
    done = subprocess.run(command, input=json.dumps([*PLAIN_QUERIES]), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    answers = dict(zip(PLAIN_QUERIES, json.loads(done.stdout), strict=True))
    for query, expected in PLAIN_QUERIES.items():
        assert expected is None or answers[query] == expected, query
    arcs, kinds = (answers[query] for query, expected in PLAIN_QUERIES.items() if expected is None)
    assert {"It", "fell"} in [{*row[:2]} for row in arcs]
    assert kinds
    assert all(in_lists == in_stats for _, in_lists, in_stats in kinds)


def test_documents_of_words_and_bonds_read_as_strings(tmp_path: Path) -> None:
    """They are an enumeration, so that joins are cheap; whoever asks does not notice."""
    cache = cache_of(tmp_path)
    with open_cache(cache) as connection:
        ask = lambda query: connection.sql(query).fetchall()  # noqa: E731
        names = [name for (name,) in ask("SELECT DISTINCT document FROM words ORDER BY document")]
        assert names == sorted(name for (name,) in ask("SELECT DISTINCT id FROM documents"))
        assert ask("SELECT count(*) FROM words WHERE document = 'nobody'") == [(0,)]
        assert ask("SELECT count(*) > 0 FROM words WHERE document LIKE '%bench%'") == [(True,)]
        assert ask("SELECT count(DISTINCT id) FROM bond JOIN documents ON id = document") == [(len(names),)]
