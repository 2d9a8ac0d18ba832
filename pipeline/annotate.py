"""What each word is: semantic features, agreement, and the VerbNet classes of verbs, looked up once per distinct value.

· Nouns, verbs, adjectives: WordNet's typical features of lemma and tag (lexicons.wordnet). A noun that WordNet does not
  have says what its suffix says (Quirk et al. 1985, appendix I): "-ness" is abstract, "-ist" is a human.
· Proper nouns: what WordNet knows of the name, but for its gender. Countries and cities act, too, as the place stands
  for its institutions (Lakoff & Johnson 1980, chapter 8). A title before it makes a name human, and may tell its gender
  ("Mrs. Dalloway"). A capital letter alone says nothing.
· Pronouns: the table of pronouns alone, whatever the parser says, so that `they` and `you` stay without number.
· Agreement of all other words: Number, Person and Gender of their UD features; nouns are third person.
"""

import numpy as np
from numpy.typing import NDArray

from lexicons import verbnet, wordnet
from lexicons.features import GENDER_BITS, implied, mask
from lexicons.pronouns import pronoun
from lexicons.upos import UPOS_INDEX
from pipeline.records import Strings, Words

Bits = NDArray[np.uint64]

AGREEMENT_OF: dict[str, int] = {
    "Number=Sing": mask("singular"),
    "Number=Plur": mask("plural"),
    "Number=Ptan": mask("plural"),  # "trousers": plural without a singular
    "Person=1": mask("first"),
    "Person=2": mask("second"),
    "Person=3": mask("third"),
    "Gender=Masc": mask("masculine"),
    "Gender=Fem": mask("feminine"),
    "Gender=Neut": mask("neuter"),
}
"""The bits of a UD feature."""

REGION, INSTITUTION = mask("region"), implied(mask("organization"))
PERSON, MAN, WOMAN = (implied(mask("human", *gender)) for gender in ((), ("masculine",), ("feminine",)))
SUFFIXES: dict[str, int] = {
    "woman": WOMAN,
    "man": MAN,
    "ist": PERSON,
    "ness": mask("abstract", "attribute"),
    "hood": mask("abstract", "state"),
    "ship": mask("abstract", "state"),
    "ism": mask("abstract", "idea"),
}
"""Of a common noun that WordNet does not have; the first suffix that fits, if three letters stand before it."""

TITLES: dict[str, int] = {
    **dict.fromkeys(("mr", "mr.", "mister", "sir", "lord", "king", "prince", "uncle", "father", "brother"), MAN),
    **dict.fromkeys(("mrs", "mrs.", "ms", "ms.", "miss", "lady", "madam", "madame"), WOMAN),
    **dict.fromkeys(("queen", "princess", "aunt", "mother", "sister", "mme", "mme."), WOMAN),
    **dict.fromkeys(("dr", "dr.", "doctor", "prof.", "professor", "president", "senator", "judge"), PERSON),
    **dict.fromkeys(("captain", "colonel", "general", "major", "sergeant", "officer"), PERSON),
}
"""What a title, in small letters, says of the name that follows."""
TITLE_RELATIONS = ("nmod:desc", "flat", "compound", "appos")
"""How a title and its name hang together; EWT has `nmod:desc` under the name."""


def annotate(words: Words) -> Words:
    """The same words with `features` and `verb_class` filled. O(W) array work, look-ups per distinct lemma or form."""
    if not len(words):
        return words
    features = _semantic(words) | _agreement(words)
    features |= _titles(words)
    forms = pronoun_forms(words)
    known = [pronoun(form) for form in forms.values]
    said = np.array([entry.features if entry else 0 for entry in known], dtype=np.uint64)[forms.code]
    in_table = np.array([entry is not None for entry in known], dtype=bool)[forms.code]
    return words.with_columns(features=np.where(in_table, said, features), verb_class=_verb_classes(words))


def pronoun_forms(words: Words) -> Strings:
    """The form [W] to look a pronoun up under, in small letters; "" for what is no pronoun.

    `each` of "each other" and `one` of "one another", which the second word hangs on as `fixed`, stand for both words.
    """
    code = np.zeros(len(words), dtype=np.int32)
    pronouns = np.flatnonzero(words.upos == UPOS_INDEX["PRON"])
    text, which = np.unique(words.text.code[pronouns], return_inverse=True)
    small = Strings.of(["", "each other", "one another", *(words.text.values[one].lower() for one in text.tolist())])
    code[pronouns] = small.code[3:][which]
    second = np.flatnonzero(words.relation.isin(["fixed"]) & (words.head >= 0))
    head = words.head[second].astype(np.int64)
    for first_form, second_form, both in (("each", "other", 1), ("one", "another", 2)):
        pair = words.lemma.take(second).isin([second_form]) & words.lemma.take(head).isin([first_form])
        code[head[pair]] = both
    return Strings(code, small.values)


def _semantic(words: Words) -> Bits:
    """WordNet's features of lemma and tag, a suffix's where WordNet is silent."""
    pair, which = np.unique(words.lemma.code.astype(np.int64) * 32 + words.upos, return_inverse=True)
    lemmas = [words.lemma.values[code] for code in (pair // 32).tolist()]
    tags = (pair % 32).astype(np.uint8)
    features = wordnet.semantic(lemmas, tags)
    proper = tags == UPOS_INDEX["PROPN"]
    named = wordnet.named(lemmas) & ~np.uint64(GENDER_BITS)  # one famous Martin says nothing of the others
    named = np.where((named & np.uint64(REGION)) != 0, named | np.uint64(INSTITUTION), named)
    features = np.where(proper, named, features)
    for place in np.flatnonzero((features == 0) & (tags == UPOS_INDEX["NOUN"])).tolist():
        features[place] = suffix_features(lemmas[place].lower())
    return features[which]


def suffix_features(lemma: str) -> int:
    """The bits of the lemma's suffix, 0 if it has none of SUFFIXES."""
    return next((bits for end, bits in SUFFIXES.items() if lemma.endswith(end) and len(lemma) > len(end) + 2), 0)


def _agreement(words: Words) -> Bits:
    bits = [sum(AGREEMENT_OF.get(said, 0) for said in set(value.split("|"))) for value in words.feats.values]
    third = np.isin(words.upos, [UPOS_INDEX["NOUN"], UPOS_INDEX["PROPN"]]) * np.uint64(mask("third"))
    agreement: Bits = np.array(bits, dtype=np.uint64)[words.feats.code] | third
    return agreement


def _titles(words: Words) -> Bits:
    """What a title right before a name says, on the name's head and on the word beside the title."""
    bits = np.array([TITLES.get(value.lower(), 0) for value in words.text.values], dtype=np.uint64)[words.text.code]
    title = np.flatnonzero(bits[:-1] != 0)
    beside = title + 1
    name = (words.upos[beside] == UPOS_INDEX["PROPN"]) & (words.upos[title] != UPOS_INDEX["VERB"])
    hangs = words.relation.isin(TITLE_RELATIONS)
    joined = (hangs[title] & (words.head[title] == beside)) | (hangs[beside] & (words.head[beside] == title))
    joined |= hangs[title] & hangs[beside] & (words.head[title] == words.head[beside])
    title, beside = title[name & joined], beside[name & joined]
    said = np.zeros(len(words), dtype=np.uint64)
    said[beside] |= bits[title]
    inside = hangs[beside] & (words.head[beside] >= 0)  # "Mr. John Smith", where the surname is the head
    said[words.head[beside[inside]]] |= bits[title[inside]]
    return said


def _verb_classes(words: Words) -> Strings:
    """Classes of each verb's lemma, or of verb and particle where VerbNet has the two together ("give up")."""
    particle = np.full(len(words), -1, dtype=np.int64)
    particles = np.flatnonzero(words.relation.isin(["compound:prt"]) & (words.head >= 0))[::-1]
    particle[words.head[particles]] = particles  # backwards, so that the first of several stays
    verb = np.flatnonzero(words.upos == UPOS_INDEX["VERB"])
    width = len(words.lemma.values) + 1
    after = np.where(particle[verb] >= 0, words.lemma.code[particle[verb]].astype(np.int64) + 1, 0)
    pair, which = np.unique(words.lemma.code[verb].astype(np.int64) * width + after, return_inverse=True)
    spelt = ("", *words.lemma.values)
    found = Strings.of(["", *(_classes(spelt[p // width + 1], spelt[p % width]) for p in pair.tolist())])
    code = np.zeros(len(words), dtype=np.int32)
    code[verb] = found.code[1:][which]
    return Strings(code, found.values)


def _classes(verb: str, particle: str) -> str:
    together = verbnet.classes(f"{verb} {particle}") if particle else ()
    return " ".join(together or verbnet.classes(verb))
