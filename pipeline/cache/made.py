"""What made a layer of a cache, as settings again."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from pipeline.bonds.config import BondConfig
from pipeline.cache.layout import Cache


def config_of(cache: str | Path, layer: str | None = None) -> BondConfig:
    """The settings of a layer of bonds, by default the cache's current one; this program's own where it has other
    settings, or there are no bonds."""
    opened = Cache.open(cache)
    said = opened.layers().get(layer or opened.current().get("bonds", ""), {}).get("settings")
    if not isinstance(said, dict) or set(said) != {field.name for field in fields(BondConfig)}:
        return BondConfig()
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return BondConfig(**values)
