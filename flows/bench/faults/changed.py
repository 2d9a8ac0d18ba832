"""Documents added, removed and rewritten between runs: does the cache end in the bytes of a fresh one?

A case changes a copy of the corpus at random twice, preprocessing after each change into one cache, and compares it
with a cache made of the last state alone. Shards whose documents did not change must not be touched.
"""

import shutil
from pathlib import Path
from random import Random

from flows.bench.faults.commands import Bench, Row, digests, finish, same
from pipeline.cache.digest import shard_of
from pipeline.corpus import find_files


def changed_case(bench: Bench, number: int) -> Row:
    draw, folder = bench.draw("changed", number), bench.case_folder("changed", number)
    shutil.rmtree(folder, ignore_errors=True)
    texts = [file.read_text("utf-8") for _, file in find_files(bench.corpora) if isinstance(file, Path)]
    corpus, grown, fresh = folder / "corpus", folder / "grown", folder / "fresh"
    corpus.mkdir(parents=True)
    for place, text in enumerate(texts[: len(texts) // 2]):
        (corpus / f"{place:03d}.txt").write_text(text, "utf-8")
    finish(bench.preprocess(grown, corpora=[str(corpus)], workers=draw.randint(1, 2)))
    changes, alone = [], True
    for _ in range(2):
        before = {file: file.stat().st_mtime_ns for file in grown.rglob("shard-*.parquet")}
        changed = _change(corpus, texts, draw)
        finish(bench.preprocess(grown, corpora=[str(corpus)], workers=draw.randint(1, 2)))
        shards = {f"shard-{shard_of(f'corpus/{name}', bench.shards):05d}.parquet" for name in changed}
        alone &= all(file.name in shards for file, time in before.items() if file.stat().st_mtime_ns != time)
        changes.append(len(changed))
    finish(bench.preprocess(fresh, corpora=[str(corpus)]))
    is_same = digests(grown) == digests(fresh)
    passed = is_same and alone
    if passed:
        shutil.rmtree(folder)
    return {"passed": passed, "outcome": same(is_same), "changed_documents": changes, "their_shards_alone": alone}


def _change(corpus: Path, texts: list[str], draw: Random) -> list[str]:
    """Add one document, remove one, rewrite one; returns their names."""
    there = sorted(file.name for file in corpus.iterdir())
    removed, rewritten = draw.sample(there, 2)
    added = f"{draw.randrange(500, 1000):03d}.txt"
    (corpus / removed).unlink()
    (corpus / rewritten).write_text(draw.choice(texts) + "\nHe said so himself.\n", "utf-8")
    (corpus / added).write_text(draw.choice(texts), "utf-8")
    return [removed, rewritten, added]
