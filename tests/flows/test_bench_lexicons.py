"""The lexicons' bench: the keys that stand at the top, for one file and for several."""

from pathlib import Path

from flows.bench.lexicons import bench_lexicons

SENTENCE = "1\tcats\tcat\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\teat\teat\tVERB\t_\t_\t0\troot\t_\t_\n\n"


def test_the_first_treebank_stands_at_the_top(tmp_path: Path) -> None:
    one, other = tmp_path / "one.conllu", tmp_path / "other.conllu"
    one.write_text(SENTENCE)
    other.write_text(SENTENCE.replace("eat", "blorp"))
    measured = bench_lexicons([one, other])
    assert (measured["verbs_with_class"], measured["nouns_with_feature"]) == (1.0, 1.0)
    assert list(measured["treebanks"]) == ["one", "other"]
    assert measured["treebanks"]["other"]["coverage"]["verbs_with_class"] == 0.0
    assert 0 < measured["load_seconds"] < 3  # some 0.05; the margin is for a busy machine
    assert 6_000_000 < measured["bytes"] < 12 * 2**20
