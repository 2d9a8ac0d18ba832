"""What each word is: semantic features, agreement, and the VerbNet classes of verbs, looked up once per distinct value.

· Nouns, verbs, adjectives: WordNet's typical features of lemma and tag (lexicons.wordnet). A noun that WordNet does not
  have says what its make and shape say (lexicons.morphology): "-ness" is abstract, "-ist" is a human.
· Proper nouns: what WordNet knows of the name, but for its gender. Countries and cities act, too, as the place stands
  for its institutions (Lakoff & Johnson 1980, chapter 8). A title before it makes a name human, and may tell its gender
  ("Mrs. Dalloway"). A capital letter alone says nothing.
· Pronouns: the table of pronouns alone, whatever the parser says, so that `they` and `you` stay without number. UD's
  features speak only for a pronoun that the table has neither by its form nor by its lemma: another language's.
· Agreement of all other words: Number, Person and Gender of their UD features; nouns are third person.
"""

import numpy as np
from numpy.typing import NDArray

from lexicons import verbnet, wordnet
from lexicons.features import GENDER_BITS, implied, mask, names
from lexicons.morphology import unknown_noun
from lexicons.pronouns import Pronoun, pronoun, pronoun_of
from lexicons.upos import UPOS_INDEX
from pipeline.records import Strings, Words, distinct

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
    entries, known = pronoun_entries(words)
    said = np.array([entry.features if entry else 0 for entry in known], dtype=np.uint64)[entries.code]
    in_table = np.array([entry is not None for entry in known], dtype=bool)[entries.code]
    return words.with_columns(features=np.where(in_table, said, features), verb_class=_verb_classes(words))


def pronoun_entries(words: Words) -> tuple[Strings, list[Pronoun | None]]:
    """The name [W] of each pronoun's entry, "" for what is no pronoun; and the entry, or None, of each of its values.

    A name is the form in small letters; that of a mistyped pronoun's lemma; or, for a pronoun that English does not
    have, the form with what its UD features say. `each` of "each other" and `one` of "one another", which the second
    word hangs on as `fixed`, stand for both words.
    """
    code = np.zeros(len(words), dtype=np.int32)
    rows = np.flatnonzero(words.upos == UPOS_INDEX["PRON"])
    columns = (words.text, words.lemma, words.feats)
    packed = np.zeros(len(rows), dtype=np.int64)
    for column in columns:
        packed = packed * len(column.values) + column.code[rows]
    _, first, which = np.unique(packed, return_index=True, return_inverse=True)
    named = {name: pronoun(name) for name in ("", "each other", "one another")}
    place = {name: position for position, name in enumerate(named)}
    codes = np.zeros(len(first), dtype=np.int32)
    said = [column.take(rows[first]).to_list() for column in columns]
    for position, (form, lemma, feats) in enumerate(zip(*said, strict=True)):
        name, entry = _named_entry(form.lower(), lemma, feats)
        named.setdefault(name, entry)
        codes[position] = place.setdefault(name, len(place))
    code[rows] = codes[which]
    second = np.flatnonzero(words.relation.isin(["fixed"]) & (words.head >= 0))
    head = words.head[second].astype(np.int64)
    for first_form, second_form, both in (("each", "other", 1), ("one", "another", 2)):
        pair = words.lemma.take(second).isin([second_form]) & words.lemma.take(head).isin([first_form])
        code[head[pair]] = both
    return Strings(code, tuple(named)), list(named.values())


def _named_entry(form: str, lemma: str, feats: str) -> tuple[str, Pronoun | None]:
    entry = pronoun(form)
    if entry is not None:
        return form, entry
    entry = pronoun_of(form, lemma, feats)
    if entry is None or entry.form != form:
        return (entry.form if entry else form), entry
    return f"{form} ({' '.join((*entry.kinds, *names(entry.features)))})", entry


def _semantic(words: Words) -> Bits:
    """WordNet's features of lemma and tag; what the make of a noun says where WordNet is silent."""
    pair, which = distinct(words.lemma.code.astype(np.int64) * 32 + words.upos, len(words.lemma.values) * 32)
    lemmas = [words.lemma.values[code] for code in (pair // 32).tolist()]
    tags = (pair % 32).astype(np.uint8)
    features = wordnet.semantic(lemmas, tags)
    proper = tags == UPOS_INDEX["PROPN"]
    named = wordnet.named(lemmas) & ~np.uint64(GENDER_BITS)  # one famous Martin says nothing of the others
    named = np.where((named & np.uint64(REGION)) != 0, named | np.uint64(INSTITUTION), named)
    features = np.where(proper, named, features)
    made = np.isin(tags, [UPOS_INDEX["NOUN"], UPOS_INDEX["SYM"]])
    for place in np.flatnonzero((features == 0) & made).tolist():
        features[place] = unknown_noun(lemmas[place])
    return features[which]


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
