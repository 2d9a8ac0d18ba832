"""Fixed knowledge of words: features, tags, WordNet, VerbNet, pronouns. Reads no text and imports no other floor."""

from lexicons.tables_digest import digest

__all__ = ["digest"]
