"""The cache on disk: Parquet layers in shards, each shard with a sidecar, keyed by content."""

from pipeline.cache.layout import Cache as Cache
