"""How far bonds reach and how many a word may have."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BondConfig:
    """Settings of every kind of bond. A cap counts per query and kind, so that N words have O(N) bonds."""

    kinds: tuple[str, ...] = ("role", "binding", "dependency", "cohesion")
    """Which kinds to make: names in pipeline.bonds.BOND_KINDS."""
    hops: int = 2
    """Longest path from a word up to an ancestor that becomes a dependency bond, in arcs."""
    role_cap: int = 8
    """Most fillers of one verb, the nearest first."""
    binding_reach: int = 2
    """How far a pronoun looks back for an antecedent, in sentences before its own."""
    binding_cap: int = 8
    """Most antecedents of one pronoun, the nearest first."""
    cohesion_reach: int = 3
    """How far a noun looks back for an earlier mention, in sentences before its own."""
    cohesion_cap: int = 4
    """Most earlier nouns of one noun: mentions of itself first, then its relatives, the nearest first."""
    cohesion_similarity: float = 0.7
    """Least similarity (Lin 1998; 0 to 1) that makes relatives of two nouns; above 1, there are none."""
    control: str = ""
    """One of pipeline.controls.CONTROLS to put in place of the true bonds; empty for none."""
    control_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hops", "role_cap", "binding_cap", "cohesion_cap", "cohesion_reach"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1, or leave the kind out of `kinds`")
        if self.cohesion_similarity <= 0:
            raise ValueError(f"cohesion_similarity is {self.cohesion_similarity}; give more than 0, 2 for no relatives")
        if self.binding_reach < 0:
            raise ValueError(f"binding_reach is {self.binding_reach}; give 0 (its own sentence) or more")
        if len(set(self.kinds)) != len(self.kinds):
            raise ValueError(f"kinds names a kind twice: {', '.join(self.kinds)}")
