"""The 64-bit vocabulary of what a word is: one bit a feature, semantic bits first, agreement bits last.

The names are VerbNet 3.3's selectional restrictions (Kipper Schuler 2005) and, where VerbNet has no
word for them, WordNet's lexicographer classes (Fellbaum 1998). Nouns and verbs share the bits of a domain, so that
"to speak" and "speech" are both `communication`. What WordNet synsets stand behind each bit is written in
`lexicons/tables/anchors.tsv`.
"""

SEMANTIC: tuple[str, ...] = (
    # living things and what acts of itself
    *("animate", "human", "animal", "plant", "biotic", "int_control"),
    # the two halves of the world
    *("concrete", "abstract"),
    # where
    *("location", "region", "place"),
    # several as one
    *("organization", "group"),
    # stuff and things
    *("comestible", "solid", "fluid", "substance", "natural", "artifact", "machine", "vehicle", "tool", "instrument"),
    *("garment", "building", "body_part", "currency"),
    # what is said, heard, thought, felt, owned, measured
    *("communication", "sound", "idea", "feeling", "possession", "quantity", "relation", "shape", "attribute"),
    # what happens, and when
    *("force", "phenomenon", "time", "state", "event", "act", "process"),
    # domains of verbs and of the nouns made from them
    *("motion", "perception", "contact", "creation", "competition", "change", "consumption", "social"),
)
"""What a word means."""

AGREEMENT: tuple[str, ...] = ("first", "second", "third", "singular", "plural", "masculine", "feminine", "neuter")
"""What a word agrees in: person, number, gender."""

_SPARE = 64 - len(SEMANTIC) - len(AGREEMENT)
assert _SPARE >= 0, "a feature is one bit of 64"

FEATURES: tuple[str, ...] = SEMANTIC + AGREEMENT
"""Every feature; its position is its bit."""

FEATURE_BIT: dict[str, int] = {name: position for position, name in enumerate(FEATURES)}

_BODILY = ("animate", "biotic", "concrete", "int_control", "solid")
IMPLIED: dict[str, tuple[str, ...]] = {
    "human": _BODILY,
    "animal": _BODILY,
    "animate": ("concrete", "int_control"),
    "plant": ("biotic", "concrete", "solid"),
    "organization": ("abstract", "group", "int_control"),
    "building": ("artifact", "concrete", "location", "place", "solid"),
    "vehicle": ("artifact", "concrete", "solid"),
    "machine": ("artifact", "concrete", "solid"),
    "region": ("concrete", "location"),
    "time": ("abstract", "quantity"),
}
"""What WordNet's hierarchy says of all words with a feature, for hand-made tables that name the feature alone."""


def mask(*wanted: str) -> int:
    """The bits of the named features together, as a Python int; no name gives 0.

    Raises ValueError for a name that is no feature.
    """
    unknown = [name for name in wanted if name not in FEATURE_BIT]
    if unknown:
        raise ValueError(f"unknown feature {unknown[0]!r}; known features: {', '.join(FEATURES)}")
    return sum(1 << FEATURE_BIT[name] for name in set(wanted))


def names(bits: int) -> tuple[str, ...]:
    """The names of the bits that are set, in the order of FEATURES."""
    return tuple(name for position, name in enumerate(FEATURES) if int(bits) >> position & 1)


def implied(bits: int) -> int:
    """The bits with all that follows from them (IMPLIED): a human is animate, concrete …"""
    return bits | mask(*(name for feature in names(bits) for name in IMPLIED.get(feature, ())))


SEMANTIC_BITS: int = mask(*SEMANTIC)
PERSON_BITS: int = mask("first", "second", "third")
NUMBER_BITS: int = mask("singular", "plural")
GENDER_BITS: int = mask("masculine", "feminine", "neuter")

GROUPS: tuple[int, ...] = (SEMANTIC_BITS, PERSON_BITS, NUMBER_BITS, GENDER_BITS)
"""A word without any bit of a group has said nothing about that group: no evidence for it, and none against it."""


def group_of(name: str) -> int:
    """The bits of the group that a feature belongs to."""
    bit = mask(name)
    return next(group for group in GROUPS if group & bit)
