"""Other languages: hand-written German and Spanish treebanks (valid by udtools) go through all of preprocessing."""

from pathlib import Path

import pytest

from flows.preprocess import PreprocessSettings, preprocess
from pipeline.cache.layout import Cache
from tests.pipeline.fakes import rows

TREEBANKS = Path(__file__).resolve().parents[1] / "pipeline" / "treebanks"


@pytest.mark.usefixtures("server")
def test_german_and_spanish_pass_through_preprocessing(tmp_path: Path) -> None:
    settings = PreprocessSettings(parser="conllu", model=str(TREEBANKS), shards=2, workers=1)
    made = preprocess([TREEBANKS], tmp_path / "cache", settings)
    assert (made.documents, made.quarantined, made.sentences) == (4, 0, 8)
    assert made.bonds_by_kind["dependency"] > 0
    cache = Cache.open(tmp_path / "cache")
    documents = {row["id"]: row for row in rows(cache, "documents")}
    assert {row["language"] for row in documents.values()} == {"de", "es"}
    assert documents["treebanks/es_sample-ud-test.conllu#es_b"]["text"].startswith("Quiero dárselo mañana.")

    words = [row for row in rows(cache, cache.layer("words")) if row["document"].endswith("#es_b")][:6]
    assert [row["text"] for row in words] == ["Quiero", "dar", "se", "lo", "mañana", "."]
    text = documents["treebanks/es_sample-ud-test.conllu#es_b"]["text"]
    assert [text[row["start"] : row["end"]] for row in words[1:4]] == ["dárselo"] * 3
    spoken = {row["text"] for row in rows(cache, cache.layer("words")) if "es_a" in row["document"]}
    assert "Luis" in spoken
    assert len([row for row in rows(cache, cache.layer("words")) if row["text"] == "compró"]) == 1, "no empty nodes"
