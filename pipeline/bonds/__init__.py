"""Bonds: typed pairs of words, each with the rule that made it. One file a kind; BOND_KINDS names them all."""

import difflib
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from lexicons import tables_digest
from pipeline.bonds.binding import binding_bonds
from pipeline.bonds.blocked import blocked_bonds
from pipeline.bonds.causal import CAUSAL_KINDS
from pipeline.bonds.cohesion import cohesion_bonds
from pipeline.bonds.config import BondConfig
from pipeline.bonds.dependency import dependency_bonds
from pipeline.bonds.escape import escape_bonds
from pipeline.bonds.modes import mode_of
from pipeline.bonds.open import open_bonds
from pipeline.bonds.pairs import canonical, merge
from pipeline.bonds.role import role_bonds
from pipeline.records import Bonds, Words

__all__ = ["BOND_KINDS", "BondConfig", "bonds_of", "rules_digest"]

BOND_KINDS: dict[str, Callable[[Words, BondConfig], Bonds]] = {
    "role": role_bonds,
    "binding": binding_bonds,
    "dependency": dependency_bonds,
    "cohesion": cohesion_bonds,
    "escape": escape_bonds,
    "open": open_bonds,
    "blocked": blocked_bonds,
}
"""Every kind; those that ship are named in BondConfig, the others are there to be asked for."""


def bonds_of(words: Words, config: BondConfig) -> Bonds:
    """The bonds of annotated words, of every kind that the settings name, sorted by query, key, kind.

    No bond leaves its document, and a document's bonds do not depend on its neighbours. O(W · caps).
    Raises ValueError for an unknown kind or mode.
    """
    mode = mode_of(config.mode) if config.mode else None
    makers = CAUSAL_KINDS if mode and mode.causal else BOND_KINDS
    for kind in config.kinds:
        if kind not in makers:
            near = difflib.get_close_matches(kind, makers, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known kinds: {', '.join(makers)}"
            raise ValueError(f"unknown bond kind {kind!r}; {hint}")
    bonds = merge([makers[kind](words, config) for kind in config.kinds])
    if mode and mode.sentences is not None:
        apart = np.abs(words.sentence[bonds.query] - words.sentence[bonds.key])
        inside = np.flatnonzero(apart < mode.sentences)
        bonds = Bonds(
            query=bonds.query[inside],
            key=bonds.key[inside],
            kind=bonds.kind[inside],
            rule=canonical(bonds.rule.take(inside)),
        )
    return bonds


def rules_digest(config: BondConfig) -> str:
    """Twelve hex digits that change whenever a bond could: of settings, lexicons, and the code here and in annotate."""
    said = json.dumps({"config": asdict(config), "knowledge": _knowledge()}, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


@cache
def _knowledge() -> str:
    """Digest of the lexicons, of the code of this folder, and of what it stands on in pipeline/."""
    bonds = Path(__file__).resolve().parent
    files = [bonds.parent / "annotate.py", bonds.parent / "records.py", *bonds.glob("*.py")]
    said = hashlib.sha256(tables_digest.digest().encode())
    for file in sorted(files, key=lambda file: (file.parent != bonds, file.name)):
        said.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return said.hexdigest()
