"""Where each phrase of a VerbNet frame stands in Universal Dependencies.

VerbNet gives a frame twice: as syntax (`Agent VERB Recipient Topic{+that_comp}`) and as a description
(`NP V NP that S`). The syntax rules; the description decides where the syntax is silent: a bare phrase may be an
adjective, or a prepositional phrase whose preposition was left out.
"""

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from lexicons.compile.verbnet_restrictions import prepositions_of, restriction_of

CLAUSES = frozenset(
    {
        *("that_comp", "wh_comp", "for_comp", "quotation", "sentential", "small_clause", "to_be", "np_ppart"),
        *("wh_inf", "wheth_inf", "what_inf", "wh_ing", "what_extract", "how_extract", "wh_extract"),
        *("sc_to_inf", "oc_to_inf", "ac_to_inf", "rs_to_inf", "np_to_inf", "oc_bare_inf"),
        *("sc_ing", "oc_ing", "ac_ing", "be_sc_ing", "poss_ing", "np_ing", "np_p_ing", "np_omit_ing"),
    }
)
"""Syntactic restrictions that make a phrase a clause or a predicate."""

PREPOSITIONS = frozenset({"as", "at", "like", "of"})
"""Words that VerbNet writes as LEX and that head the phrase behind them; its other LEX are particles and expletives."""

PREDICATES = frozenset({"Attribute", "Predicate", "Result"})
RECEIVERS = frozenset({"Beneficiary", "Destination", "Recipient"})
COPULAR = ("become-", "seem-")
"""Classes whose bare complement is a predicate: "became **a teacher**"."""
MISDESCRIBED = ("supervision-95.2.2", "suspect-81")
"""Classes with a description that calls an object ("supervises **Kevin**") a prepositional phrase."""

SKIPPED = frozenset(
    {
        *("together", "apart", "up", "down", "out", "to", "be", "for", "that"),
        *("how", "what", "when", "whether", "whether/if", "how/whether"),
    }
)
"""Words of a description that stand for no phrase."""


@dataclass
class Phrase:
    """A phrase of the frame; `kind` may still change while the rules are applied."""

    role: str
    """Empty for an adverb, adjective or subject without role."""
    kind: str
    """bare, prepositional, clause or adverb; in the end subject, object, second_object, oblique or clause."""
    prepositions: str
    """Joined by ", "."""
    restriction: str


def slots_of(frame: Element, verb_class: str) -> list[list[str]]:
    """One [role, position, prepositions, the frame's own restriction] for each role of the frame, in VerbNet's order.

    - The first phrase before the verb is the subject; further ones belong to the subject ("the price *of oil* rose")
      and are left out, and so is a possessor ("*the clown's* antics"), which is no argument of the verb.
    - After "there", and after a preposed place ("on the hill stood a house"), the first bare phrase is the subject.
    - A sentential phrase is a clause, a phrase behind a preposition oblique; so are `here` and `there`.
    - A bare phrase that the description calls an adjective, one with a predicate's role behind another bare phrase
      ("elected him governor") and the complement of a copular verb are clauses.
    - If two bare phrases are left and the first is a receiver or called a dative, it is the second object (UD's iobj)
      and the other the object; else the first is the object and the other oblique without a preposition. The one
      bare phrase is the object, but a Recipient before a clause ("told **him** that ...") is EWT's iobj again.
    """
    found = frame.find("DESCRIPTION")
    description = "" if found is None else found.get("primary", "")
    before, after = _phrases(frame)
    if before and before[0].kind == "bare":
        before[0].kind = "subject"
        del before[1:]
    elif not description.startswith("It "):
        _first_bare(after, "subject")
    if not verb_class.startswith(MISDESCRIBED):
        _follow_description(after, description)
    bare = [phrase for phrase in after if phrase.kind == "bare"]
    for place, phrase in enumerate(bare):
        follows = place > 0 and bare[place - 1].role not in RECEIVERS
        if phrase.role in PREDICATES and (follows or verb_class.startswith(COPULAR)):
            phrase.kind = "clause"
    bare = [phrase for phrase in bare if phrase.kind == "bare"]
    told = len(bare) == 1 and bare[0].role == "Recipient" and any(phrase.kind == "clause" for phrase in after)
    dative = len(bare) > 1 and (bare[0].role in RECEIVERS or "dative" in description.lower())
    if told or dative:
        bare[0].kind = "second_object"
    _first_bare(bare, "object")
    return [_slot(phrase) for phrase in before + after if phrase.role]


def _first_bare(phrases: list[Phrase], kind: str) -> None:
    first = next((phrase for phrase in phrases if phrase.kind == "bare"), None)
    if first is not None:
        first.kind = kind


def _slot(phrase: Phrase) -> list[str]:
    position = "oblique" if phrase.kind in ("bare", "prepositional") else phrase.kind
    return [phrase.role, position, phrase.prepositions, "" if position == "clause" else phrase.restriction]


def _follow_description(after: list[Phrase], description: str) -> None:
    """Let the description say what bare phrases are. Its words are read from the end: some name one phrase more."""
    words = description.split()
    words = words[words.index("V") + 1 :] if "V" in words else []
    if "be" in words:  # "NP to be ADJ", "NP to be NP"
        words[words.index("be") + 1 :] = ["S"]
    words = [word for word in words if word not in SKIPPED]
    if len(words) < len(after):
        return
    for phrase, word in zip(reversed(after), reversed(words), strict=False):
        if phrase.kind == "bare" and word.startswith(("PP", "P.", "ADV")):
            phrase.kind = "prepositional"
        elif phrase.kind == "bare" and word.startswith(("ADJ", "S")):
            phrase.kind = "clause"


def _phrases(frame: Element) -> tuple[list[Phrase], list[Phrase]]:
    """The phrases before and behind the verb."""
    before: list[Phrase] = []
    after: list[Phrase] = []
    phrases, waiting, predicate = before, None, False
    for element in frame.findall("SYNTAX/*"):
        word = element.get("value", "")
        if element.tag == "VERB":
            phrases, waiting = after, None
        elif element.tag == "PREP" or (element.tag == "LEX" and word in PREPOSITIONS):
            waiting = prepositions_of(element)
        elif element.tag == "LEX" and word == "'s":
            phrases.pop()
            if phrases is before:  # behind the verb, VerbNet names the thing possessed as well
                phrases.append(Phrase("", "bare", "", ""))
        elif element.tag == "LEX":
            predicate = predicate or word in ("be", "to be")
        else:
            phrases.append(_phrase(element, waiting, predicate))
            waiting, predicate = None, False
    return before, after


def _phrase(element: Element, waiting: str | None, predicate: bool) -> Phrase:
    """waiting: the prepositions read just before the phrase; None if there are none."""
    syntax = {said.get("type", "") for said in element.iter("SYNRESTR") if said.get("Value") == "+"}
    role = element.get("value", "").lstrip("?") if element.tag == "NP" else ""
    if element.tag == "ADV":
        kind = "adverb"
    elif predicate or element.tag == "ADJ" or syntax & CLAUSES:
        kind = "clause"
    else:
        kind = "bare" if waiting is None and "adv_loc" not in syntax else "prepositional"
    return Phrase(role, kind, waiting or "", restriction_of(element))
