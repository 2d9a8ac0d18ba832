"""How far bonds reach and how many a word may have."""

from dataclasses import dataclass

AT_LEAST_ONE = (
    *("hops", "role_cap", "binding_cap", "dependency_cap", "cohesion_cap", "cohesion_reach"),
    *("escape_cap", "escape_sentences", "escape_every", "open_cap", "blocked_cap"),
)

BINDING_RULES = ("agreement", "local domain", "command", "later nouns", "names", "salience")


@dataclass(frozen=True, slots=True, kw_only=True)
class BondConfig:
    """Settings of every kind of bond. A cap counts per query and kind, so that N words have O(N) bonds."""

    kinds: tuple[str, ...] = ("role", "binding", "dependency", "cohesion", "escape")
    """Which kinds to make: names in pipeline.bonds.BOND_KINDS."""
    hops: int = 5
    """Longest way through the tree between the words of a dependency bond, in arcs; 1: only the parse's own."""
    dependency_cap: int = 16
    """Most dependency bonds of one word, its head first, then the likeliest."""
    dependency_stake: float = 0.5
    """Sets the least chance of an arc that makes a bond where the parse has none: see `least_chance`."""
    escape_cap: int = 4
    """Most escape bonds of one word."""
    escape_sentences: int = 4
    """Every so many sentences of a document the head has an edge to the first word."""
    escape_every: int = 64
    """Every so many words of a document there is a long edge."""
    role_cap: int = 8
    """Most fillers of one verb, the nearest first."""
    binding_reach: int = 3
    """How far a pronoun looks back for an antecedent, in sentences before its own."""
    binding_cap: int = 8
    """Most antecedents of one pronoun, the most salient first."""
    binding_chance: float = 0.0095
    """Least chance of an antecedent of `he`, `she` and their forms."""
    binding_without: tuple[str, ...] = ()
    """Rules of antecedents that are left out, to see what each is worth: names in BINDING_RULES."""
    cohesion_reach: int = 3
    """How far a noun looks back for an earlier mention, in sentences before its own."""
    cohesion_cap: int = 4
    """Most earlier nouns of one noun: mentions of itself first, then its relatives, the nearest first."""
    cohesion_similarity: float = 0.7
    """Least similarity (Lin 1998; 0 to 1) that makes relatives of two nouns; above 1, there are none."""
    open_cap: int = 8
    """Most open words of one position, the likeliest first."""
    open_doubt: bool = False
    """Does a word stay open for one word more behind a nominal head? For parsers that read left to right."""
    open_reach: int = 2
    """How many sentences after its own a bracket or quotation may stay open."""
    blocked_cap: int = 8
    """Most forbidden pairs of one word, the nearest first."""
    mode: str = ""
    """The mode whose settings these are: a name in pipeline.bonds.modes.MODES; empty for none."""
    control: str = ""
    """One of pipeline.controls.CONTROLS to put in place of the true bonds; empty for none."""
    control_seed: int = 0

    @property
    def least_chance(self) -> float:
        """Least chance of an arc that makes a bond where the parse has none: who may have more takes less likely ones.

        `dependency_stake` over `dependency_cap` to the power of 1.5: at 16, one in 128.
        """
        return float(self.dependency_stake / self.dependency_cap**1.5)

    def __post_init__(self) -> None:
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1, or leave the kind out of `kinds`")
        if not 0 < self.dependency_stake < 1:
            raise ValueError(f"dependency_stake is {self.dependency_stake}; give a chance between 0 and 1, such as 0.2")
        if self.cohesion_similarity <= 0:
            raise ValueError(f"cohesion_similarity is {self.cohesion_similarity}; give more than 0, 2 for no relatives")
        if unknown := set(self.binding_without) - set(BINDING_RULES):
            raise ValueError(f"binding_without names {min(unknown)!r}; known rules: {', '.join(BINDING_RULES)}")
        if not 0 < self.binding_chance < 1:
            raise ValueError(f"binding_chance is {self.binding_chance}; give a chance between 0 and 1, such as 0.01")
        for name in ("binding_reach", "open_reach"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 (its own sentence) or more")
        if len(set(self.kinds)) != len(self.kinds):
            raise ValueError(f"kinds names a kind twice: {', '.join(self.kinds)}")
