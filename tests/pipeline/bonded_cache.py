"""A cache of the sample's stories and letters, parsed by `prefix`, whose pieces have bonds."""

from pathlib import Path

import pytest

from pipeline.bonds import BondConfig
from pipeline.bonds.modes import mode_config
from pipeline.cache import blocks
from pipeline.cache.layout import Cache
from pipeline.corpus import sample_corpus
from pipeline.ingest import ingest
from pipeline.plan import Tools, annotator_of, keep_tools, parser_of, plan_of, tokenizer_of
from pipeline.stages import bond_shard, parse_shard, piece_shard

PREFIX = Tools(parser="prefix")
CAUSAL = mode_config("causal")
ALL = BondConfig()


def make(folder: Path, mode: str, config: BondConfig, block: int, patch: pytest.MonkeyPatch) -> Cache:
    """mode: one of pipeline.plan.PIECE_BONDS. block: pieces of a block."""
    patch.setattr(blocks, "BLOCK", block)
    patch.setattr("pipeline.cache.whole.BLOCK", block)
    cache = Cache.create(folder, shards=2)
    ingest([sample_corpus() / "story", sample_corpus() / "letter"], cache)
    plan = plan_of(PREFIX, config, ("words", "bonds", "pieces"), mode)
    for shard in range(cache.shards):
        parse_shard(cache, shard, plan.layers, parser_of(PREFIX))
        bond_shard(cache, shard, plan.layers, config)
        piece_shard(cache, shard, plan.layers, tokenizer_of(PREFIX), annotator_of(PREFIX))
    keep_tools(cache, PREFIX)
    cache.register(plan.entries())
    return cache
