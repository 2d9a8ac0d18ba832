"""Where words are cut: spaCy's English tokenizer brought nearer to UD English EWT by rules counted on its train part.

A rule stays if it mends clearly more words of train than it spoils (word F1 there: 98.3 with spaCy's own rules, 99.6
with these). spaCy takes prefixes and suffixes off a stretch without spaces until none matches; a
`WHOLE` pattern or a special case, tried after each, keeps what is left; then an infix cuts it, and what lies between
infixes is cut no further. Special cases with a mark at the end (`Ft.`) also join what the affixes took apart.
"""

import re
from collections.abc import Iterable
from typing import Any

from spacy.lang.char_classes import ALPHA, HYPHENS
from spacy.language import Language

from pipeline.fit.treebank import BOUND_PREFIXES

RUNS = (
    r"(?<![-=])[-=]>", r"<[-=](?![-=])", r"[<>]=(?!=)",
    r"(?<!\.)\.?[!?]+\.?(?!\.)", r"\.\.+", r"\*+", r"-+", r"=+", r"~+", r"_+", r"<+", r">+", r"\+\++", "##+", r"\$\$+",
)  # fmt: skip
"""A run of one mark is one token, at either end: `...`, `?!`, `-----`; so are arrows and `>=`."""
PREFIXES = (r"@(?=\d)", r"['’‘]\d\ds?(?!\w)")
"""`@2.975`; `'60s`, whatever mark follows."""
CONTRACTED = r"(?<=[A-Za-z])(?:[Nn]['’][Tt]|['’](?:[Mm]|[Rr][Ee]|[Vv][Ee]|[Ll][Ll]|[Dd]))"
SUFFIXES = (
    CONTRACTED, "`s", r"(?<=^I)\.", r"(?<=[0-9][A-Z])\.", r"(?<=^[A-Da-d])\+",
    r"(?<=[0-9])(?:[ap]m|[AP]M)", r"(?<=[0-9])(?:k|b|bn|MM|hh|Hz|p|f|mins?|minutes|hours|days|weeks|percent|watts?)",
)  # fmt: skip
"""`said I.`, `17H.`, a grade `A+`, units that spaCy does not know."""
NOT_A_DECADE = r"(?<![0-9]0)"
"""The treebank keeps `1960's` whole."""
INFIXES = (
    r"[()\[\]{}]",  # account(s)
    r'["“”]', r'(?<=")-(?=[A-Za-z"])',  # Change"-"Alex
    r"""(?<=[\w"”'’.,;:!?)])(?:--+|—)(?=[\w"“'‘(])""", r"(?<=--)[‘_](?=\w)",  # books: stop;--and, now--‘and
    r"""(?<=[a-z.,;:!?'’"”])[.,;:!?'’”_](?=[.,;:!?'’"”_]*(?:--|—))""", rf"(?:{CONTRACTED}|['’]s)(?=--|—)",
    rf"(?<=[{ALPHA}]);(?=[{ALPHA}])", r"(?<=[a-z0-9])[?!](?=[A-Za-z]{2})", r"(?<=[A-Za-z]):(?=\d)",
    r"(?<=[A-Za-z])#(?=\d)",  # job#12
    r"(?<=\d)(?=(?:[ap]m|[AP]M)\b)", r"(?<=\d)(?=x\d)", r"(?<=\dx)(?=\d)",  # 9am-12pm, 3x5: cuts of no width
    r"(?<=\d)-(?=\$)", r"(?<=-)\$(?=\d)",  # $4-$6
    r"(?<=^\d)/(?=\ds?$)", r"(?<=\d)'(?=\d)",  # 1/2 and 5'9, though 9/11 is whole
    rf"(?<=[{ALPHA}])/(?=[{ALPHA}])", r"(?<=[A-Za-z]{3})/$",  # parts/materials; an address keeps its last slash
    rf"(?<=[{ALPHA}]\.)(?:{HYPHENS})(?=[{ALPHA}])",  # U.S.-led
)  # fmt: skip
GUARD = r"(?:(?![A-Za-z])|(?<=[0-9])|(?=[Nn]['’]))"
"""Where a suffix or an infix may begin: never at a letter, but after a digit (`20mm`) and in `n't`."""
WHOLE = (
    r"(?:\d-)?\d{3}-\d{3}-\d{4}", r"\d{3}-\d{4}", r"\d{3}/\d{3}-\d{4}", r"x?\d-\d{4}",  # telephones
    r"\d{5}-\d{4}", r"\d\d?-\d\d?-\d\d(?:\d\d)?",  # a ZIP code, a date
    r"[A-Za-z]/[A-Za-z]", "w/out",  # l/c
    r"[\w.%+-]+@[\w.-]*\w",
    r"[\w#~%!.-]+\.(?i:docx?|xlsx?|pdf|ppt|txt|zip|jpg|gif|exe|html?)",
)  # fmt: skip
ABBREVIATIONS = tuple(
    """Arrv. Attn. Blvd. Capt. Col. Conf. Ext. Fri. Ft. Lt. Maj. Mon. No. Ph. Reps. Sat. Sec. Sgt. Sr. Sun. Thur. Thurs.
    Tue. Tues. Vol. Wed. arrv. eg. esp. Esp. ext. lb. oz.""".split()  # noqa: SIM905
)
"""Written with their period more often than before one, beside those that spaCy knows."""
WIKITEXT = ("<unk>", "@-@", "@,@", "@.@", "'t", "'m", "'ve", "'re", "'ll", "'d")
"""WikiText's own tokens; it sets contractions apart."""
CUT = (
    "wan na", "Wan na", "out ta", "OUT TA", "du n no", "Let s", "CA NT", "DO NT", "WO NT", "ar nt",
    "etc. ,", "etc. )", "etc. ;", "etc. :",  # at the end of a sentence the treebank cuts `etc.`
)  # fmt: skip
"""Special cases in several tokens, written with a space between them."""
NOT_SPECIAL = ("and/or", "wed", "id", "):", "b.", "k.", "m.")
"""spaCy's special cases (in small letters) that are not the treebank's: `Wed` as We'd, `id` as I'd, `):` as a face, and
`80k.` with the letter and the period in one."""


def adapt_tokenizer(nlp: Language) -> None:
    """Put the rules of this file into the pipeline's tokenizer, in place."""
    tokenizer: Any = nlp.tokenizer
    defaults: Any = nlp.Defaults
    suffixes = [*RUNS, *SUFFIXES, *(defaults.suffixes or ())]
    for mark in ("'s", "’s"):
        suffixes[suffixes.index(mark)] = NOT_A_DECADE + mark
    prefixes, infixes = [*RUNS, *PREFIXES, *(defaults.prefixes or ())], hyphened(list(defaults.infixes or ()))
    # one anchor or guard before the alternatives: spaCy repeats it in each, and tries them all at every letter. A
    # loaded tokenizer searches these patterns, and matches the last, from the text alone: so the anchors stand in it
    tokenizer.prefix_search = re.compile(rf"\A(?:{either(prefixes)})").search
    tokenizer.suffix_search = re.compile(rf"{GUARD}(?:{either(suffixes)})$").search
    tokenizer.infix_finditer = re.compile(rf"{GUARD}(?:{either([*INFIXES, *infixes])})").finditer
    tokenizer.token_match = re.compile(rf"(?:{either(WHOLE)})$").match
    tokenizer.rules = {word: cut for word, cut in tokenizer.rules.items() if word.lower() not in NOT_SPECIAL}
    for words in (*WIKITEXT, *ABBREVIATIONS, "Yahoo!", *CUT):
        parts = words.split()
        tokenizer.add_special_case("".join(parts), [{"ORTH": part} for part in parts])


def either(patterns: Iterable[str]) -> str:
    """One pattern of several; spaCy's lists hold blanks, which would match anywhere."""
    return "|".join(pattern for pattern in patterns if pattern.strip())


def hyphened(infixes: list[str]) -> list[str]:
    """spaCy's infixes with its rule for hyphens between letters replaced: no cut after a bound prefix, one at digits.

    A prefix is bound at the front only: `e-mail`, though `Hizb-e-Islami` is cut.
    """
    old = rf"(?<=[{ALPHA}0-9])(?:{HYPHENS})(?=[{ALPHA}])"
    assert old in infixes, "spaCy's rule for hyphens has changed; bring it up to date here"
    names = [name for prefix in BOUND_PREFIXES for name in (prefix, prefix.capitalize())]
    not_bound = "".join(rf"(?<!(?<!-)\b{name})" for name in names)
    infixes[infixes.index(old)] = rf"(?<=[{ALPHA}0-9]){not_bound}(?:{HYPHENS})(?=[{ALPHA}])"
    return [*infixes, rf"(?<=[{ALPHA}]){not_bound}(?:{HYPHENS})(?=[0-9])"]
