"""Words are cut where UD English EWT cuts them, and WikiText's own tokens stay whole."""

import pytest
import spacy
from spacy.language import Language

from pipeline.fit.tokens import adapt_tokenizer

CUTS = {
    "Isn't it?!": "Is n't it ?!",
    "Well...? So!!!!": "Well ... ? So !!!!",
    "-----a >= b -> ++++++CONFIDENTIAL": "----- a >= b -> ++++++ CONFIDENTIAL",
    "account(s), USD[38,000?]": "account ( s ) , USD [ 38,000 ? ]",
    'Mc"Everything gda;for room!it': 'Mc " Everything gda ; for room ! it',
    "(example): job#12 Work:832": "( example ) : job # 12 Work : 832",
    "(713/853-5984). 1-800-991-9019 x3-9890": "( 713/853-5984 ) . 1-800-991-9019 x3-9890",
    "11-20-2000. 77042-2016 10-20 X-95": "11-20-2000 . 77042-2016 10 - 20 X - 95",
    "9/11 1/2 5'9 3x5x4": "9/11 1 / 2 5 ' 9 3 x 5 x 4",
    "(9am-12pm) 7:30PM": "( 9 am - 12 pm ) 7:30 PM",
    "$4-$6 @2.975 75-80k. 17H.": "$ 4 - $ 6 @ 2.975 75 - 80 k . 17H .",
    "2.8bn 60Hz 20minutes 16th": "2.8 bn 60 Hz 20 minutes 16th",
    "Ft. Worth, Lt. Kidd, No. 1 (Wed.)": "Ft. Worth , Lt. Kidd , No. 1 ( Wed. )",
    "(pigs, etc.), etc., etc.": "( pigs , etc. ) , etc. , etc .",
    "said I. An A+.": "said I . An A + .",
    "the '60s, the 1960's, the dog's": "the '60s , the 1960's , the dog 's",
    "I/C and/or w/out duties/": "I/C and / or w/out duties /",
    "http://im.yahoo.com/ Tana.Jones@ect.enron.com <<ld2d-#69366-1.DOC>>": (
        "http://im.yahoo.com/ Tana.Jones@ect.enron.com << ld2d-#69366-1.DOC >>"
    ),
    "e-mail mid-2004 neo-conservatives well-known": "e-mail mid-2004 neo-conservatives well - known",
    "Hizb-e-Islami U.S.-led": "Hizb - e - Islami U.S. - led",
    "wanna OUTTA DONT id Yahoo!": "wan na OUT TA DO NT id Yahoo!",
    "stop;--and now--‘and “don't--I” May._--I": "stop ; -- and now -- ‘ and “ do n't -- I ” May . _ -- I",
    "the <unk> of 1 @,@ 000 well @-@ known": "the <unk> of 1 @,@ 000 well @-@ known",
    "don 't = = I 'm 2 @.@ 5": "don 't = = I 'm 2 @.@ 5",
}
"""Each text and its words."""


@pytest.fixture(scope="module")
def nlp() -> Language:
    nlp = spacy.blank("en")
    adapt_tokenizer(nlp)
    return nlp


@pytest.mark.parametrize("text", CUTS)
def test_words_are_cut_as_the_treebank_does(nlp: Language, text: str) -> None:
    assert " ".join(token.text for token in nlp.make_doc(text)) == CUTS[text]


def test_a_loaded_tokenizer_cuts_alike(nlp: Language) -> None:
    loaded = spacy.blank("en")
    loaded.tokenizer.from_bytes(nlp.tokenizer.to_bytes())  # type: ignore[union-attr]
    for text, cut in CUTS.items():
        assert " ".join(token.text for token in loaded.make_doc(text)) == cut


def test_no_letter_is_lost(nlp: Language) -> None:
    text = "  (“Don't--I”),  \n\n she said;--and 3x5x9am...?!\t"
    assert nlp.make_doc(text).text == text
