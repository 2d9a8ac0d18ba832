"""The closed class of English pronouns and what each says of its antecedent.

`lexicons/tables/pronouns.tsv` is the whole knowledge, written by hand after Quirk et al. 1985, chapter 6, and is
meant to be read. Chomsky 1981: under principle A a reflexive or reciprocal is bound in its local domain, under
principle B a personal or possessive pronoun is free in it. The domain is the clause; that of a possessive is its noun
phrase, so that "John saw **his** mother" may be John's.

A pronoun of another language is what its UD features say it is (`pronoun_of_feats`), by the same principles.
"""

import csv
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from lexicons.features import implied, mask
from lexicons.tables import table

Principle = Literal["A", "B"]

PRONOUN_KINDS: tuple[str, ...] = (
    *("personal", "reflexive", "reciprocal", "possessive", "demonstrative"),
    *("relative", "interrogative", "indefinite", "expletive"),
)

KIND_OF_TYPE: dict[str, str] = {
    "Prs": "personal",
    "Rcp": "reciprocal",
    "Dem": "demonstrative",
    "Rel": "relative",
    "Int": "interrogative",
    "Exc": "interrogative",
    **dict.fromkeys(("Ind", "Tot", "Neg", "Emp"), "indefinite"),
}
"""UD's PronType; `Art` is no pronoun."""
PRINCIPLE_OF_KIND: dict[str, Principle] = {"personal": "B", "possessive": "B", "reflexive": "A", "reciprocal": "A"}
BIT_OF_FEAT: dict[str, str] = {
    **{"Person=1": "first", "Person=2": "second", "Person=3": "third"},
    **{"Number=Sing": "singular", "Number=Plur": "plural"},
    **{"Gender=Masc": "masculine", "Gender=Fem": "feminine", "Gender=Neut": "neuter"},
    **{"Animacy=Hum": "human", "Animacy=Anim": "animate"},
}
"""The feature that a UD feature names. UD's `Animacy` is rare; where it is silent, so are we."""


@dataclass(frozen=True, slots=True)
class Pronoun:
    """One pronoun form."""

    form: str
    """Lower-cased."""
    kinds: tuple[str, ...]
    """Of PRONOUN_KINDS, the most usual first: `who` is interrogative and relative, `it` personal and expletive."""
    principle: Principle | None
    """A: bound in its domain. B: free in its domain. None: the binding theory is silent (`who`, `this`, `mine`)."""
    features: int
    """Bits of lexicons.features, implied ones too; `they` has third person and no number."""

    @property
    def kind(self) -> str:
        """The most usual kind."""
        return self.kinds[0]


@cache
def pronouns() -> dict[str, Pronoun]:
    """Every pronoun by its lower-cased form."""
    lines = table("pronouns.tsv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
    return {row["form"]: _pronoun(row) for row in rows}


def pronoun(form: str) -> Pronoun | None:
    """The pronoun of this form, in any case; None for what is no pronoun."""
    return pronouns().get(form.lower().replace("’", "'"))


def pronoun_of(form: str, lemma: str, feats: str) -> Pronoun | None:
    """The entry of a word that is tagged PRON: of its form, of its lemma ("thier", lemma `their`), of its features."""
    return pronoun(form) or pronoun(lemma) or pronoun_of_feats(form, feats)


def pronoun_of_feats(form: str, feats: str) -> Pronoun | None:
    """What UD features (`Key=Value|Key=Value`) say of a pronoun of any language; None without PronType or Reflex.

    Values joined by a comma ("PronType=Int,Rel", "Gender=Masc,Neut") are alternatives: kinds in that order, and
    no agreement. Person says what Person[psor] does not: the owner of a possessive is not told from its noun, whose
    number and gender a possessive of many languages agrees in, so that it keeps its person alone.
    """
    said = dict(pair.split("=", 1) for pair in feats.split("|") if "=" in pair)
    types = [kind for value in said.get("PronType", "").split(",") if (kind := KIND_OF_TYPE.get(value))]
    kinds = ["possessive" if kind == "personal" and said.get("Poss") == "Yes" else kind for kind in types]
    if said.get("Reflex") == "Yes":
        kinds = ["reflexive"]
    if not kinds:
        return None
    owned = "possessive" in kinds or said.get("Poss") == "Yes"
    keys = ("Person",) if owned else ("Person", "Number", "Gender", "Animacy")
    bits = mask(*(BIT_OF_FEAT[pair] for key in keys if (pair := f"{key}={said.get(key)}") in BIT_OF_FEAT))
    principle = PRINCIPLE_OF_KIND.get(kinds[0])
    return Pronoun(form.lower(), tuple(dict.fromkeys(kinds)), principle, implied(bits))


def _pronoun(row: dict[str, str]) -> Pronoun:
    principle = cast(Principle, row["principle"]) if row["principle"] != "-" else None
    said = mask(*row["features"].replace("-", "").split())
    return Pronoun(row["form"], tuple(row["kinds"].split()), principle, implied(said))
