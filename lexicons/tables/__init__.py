"""The compiled tables; `lexicons.compile` makes them, and nothing here is edited by hand but the `.tsv` sources."""

from pathlib import Path


def table(name: str) -> Path:
    """Where a table lies."""
    return Path(__file__).resolve().parent / name
