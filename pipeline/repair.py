"""Make damaged shards of a cache again, and only these: every byte is checked, and what is whole is left alone.

Words come from the documents, bonds and statistics from the words, pieces from the documents, so all but the documents
can be made again without the corpus. A layer is remade only by what made it: if the parser or the code of today would
give other bytes than its name promises, the shard is named and the command that makes the layer anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.accounts import account_of
from pipeline.cache.layout import DOCUMENTS, STATS_TABLES, Cache
from pipeline.cache.lock import writing
from pipeline.cache.made import config_of
from pipeline.cache.verify import Damage, verify
from pipeline.errors import Failure
from pipeline.parsers import load_parser
from pipeline.pieces import Tokenizer
from pipeline.plan import bond_layers, words_made_by
from pipeline.prefix import PrefixAnnotator
from pipeline.stages import STAGES, bond_shard, parse_shard, piece_shard

AGAIN = "run `valency preprocess` on the same inputs and cache: it makes this shard again"


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a damaged shard."""

    damage: Damage
    mended: bool
    advice: str = ""
    """What to do where it could not be mended."""

    def __str__(self) -> str:
        return f"{self.damage}: {'made again' if self.mended else self.advice}"


def repair(cache: str | Path, on_repair: Callable[[Repair], None] = lambda repair: None) -> list[Repair]:
    """Find damaged shards, make again what can be made here, and say what to do about the rest.

    Errors: ValueError without a cache, Failure if another process writes it, or if rows do not add up afterwards.
    """
    opened, repairs = Cache.open(cache), list[Repair]()
    with writing(opened):
        current = opened.current()
        damaged = verify(opened, discard=True)
        for stage in (DOCUMENTS, *STAGES):
            mine = [each for each in damaged if stage in current and _stage_of(each, current) == stage]
            for shard in sorted({each.shard for each in mine}):
                advice = _remake(opened, stage, shard, current)
                for damage in (each for each in mine if each.shard == shard):
                    repairs.append(Repair(damage, mended=not advice, advice=advice))
                    on_repair(repairs[-1])
        for damage in damaged:
            if _stage_of(damage, current) is None:
                advice = "an older layer, which nothing reads; its folder may be deleted"
                repairs.append(Repair(damage, mended=False, advice=advice))
                on_repair(repairs[-1])
        if damaged and all(each.mended for each in repairs if _stage_of(each.damage, current)):
            account_of(opened, current)
    return repairs


def _stage_of(damage: Damage, current: Mapping[str, str]) -> str | None:
    """Which stage makes the layer, if it is a current one; statistics come with the bonds."""
    layers = {path: name for name, path in current.items() if name != "stats"}
    layers |= {f"{current['stats']}/{table}": "bonds" for table in STATS_TABLES if "stats" in current}
    return layers.get(damage.layer)


def _remake(cache: Cache, stage: str, shard: int, current: Mapping[str, str]) -> str:
    """Make one shard of a stage; returns what to do where that cannot be done here, else nothing."""
    if stage == DOCUMENTS:
        return f"documents come from the corpus alone; {AGAIN}"
    try:
        REMAKE[stage](cache, shard, current)
    except (ValueError, Failure) as error:
        return f"{error}; {AGAIN}"
    return ""


def _words(cache: Cache, shard: int, current: Mapping[str, str]) -> None:
    said = cache.layers().get(current["words"], {})
    parser = load_parser(str(said.get("parser", "spacy")), None)
    if words_made_by(parser)[0] != current["words"]:
        raise Failure("another model or other code than today's made these words")
    parse_shard(cache, shard, current, parser)


def _bonds(cache: Cache, shard: int, current: Mapping[str, str]) -> None:
    config = config_of(cache.folder)
    layers, _ = bond_layers(current["words"].rpartition("=")[2], config)
    if layers["bonds"] != current["bonds"]:
        raise Failure("other rules than today's made these bonds")
    bond_shard(cache, shard, current, config)


def _pieces(cache: Cache, shard: int, current: Mapping[str, str]) -> None:
    said = cache.layers().get(current["pieces"], {})
    kept = cache.folder / "tokenizers" / f"{said.get('tokenizer')}.json"
    # Pieces of the whole text know no annotator; any will do.
    tables = cache.folder / "annotators" / f"{said['annotator']}.safetensors" if "annotator" in said else None
    for file in (kept, tables):
        if file and not file.is_file():
            raise Failure(f"{file.relative_to(cache.folder)} is missing")
    tokenizer = Tokenizer.load(str(kept))
    annotator = PrefixAnnotator.load(tables, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    if (tokenizer.digest, annotator.digest) != (said.get("tokenizer"), said.get("annotator", annotator.digest)):
        raise Failure("other code than today's made these pieces, or tokenizer and annotator in the cache have changed")
    piece_shard(cache, shard, current, tokenizer, annotator)


REMAKE: dict[str, Callable[[Cache, int, Mapping[str, str]], None]] = {
    "words": _words,
    "bonds": _bonds,
    "pieces": _pieces,
}
