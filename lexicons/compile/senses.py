"""Every sense of a lemma, with its share in the lemma's features; asks WordNet itself, for the tables hold sums."""

from pathlib import Path
from typing import Any

from lexicons.compile.corpora import TaggedSenses, wordnet_3_0
from lexicons.compile.wordnet import PARTS, SMOOTHING, SynsetFeatures
from lexicons.features import names


def senses(lemma: str, nltk_data: Path) -> list[dict[str, Any]]:
    """One object a sense, the weightiest of each part of speech first: sense, part, weight, name, features, gloss.

    name: is the sense written with a capital, so that it counts for the proper name? nltk_data: the folder that holds
    `corpora/wordnet.zip`. Some 5 s. Raises LookupError (NLTK's) if it is missing.
    """
    wordnet = wordnet_3_0(nltk_data)
    tagged, features = TaggedSenses(wordnet), SynsetFeatures(wordnet)
    found = []
    for synset in wordnet.synsets(lemma):
        own = next((one for one in synset.lemmas() if one.name().lower() == lemma.lower()), None)
        if own is None or synset.pos() not in PARTS:  # NLTK finds inflected forms too
            continue
        said = {
            "sense": synset.name(),
            "part": PARTS[synset.pos()],
            "weight": tagged.of(synset, own).times + SMOOTHING,
            "name": own.name() != own.name().lower(),
            "features": list(names(features.of(synset))),
            "gloss": synset.definition(),
        }
        found.append(said)
    return sorted(found, key=lambda said: (said["part"], -said["weight"]))
