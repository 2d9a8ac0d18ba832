"""English first names and the gender that they tell: Mark Kantrowitz's Names Corpus, additions by Bill Ross (1994).

Some 5,000 female and 2,900 male names; the 365 that are both tell nothing. A first name may be a surname, too: what it
tells is evidence, not proof.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lexicons.tables import table

UNKNOWN, MASCULINE, FEMININE = 0, 1, 2
_GENDER = {"m": MASCULINE, "f": FEMININE}


def first_name_gender(forms: Sequence[str]) -> NDArray[np.uint8]:
    """uint8 [W]: what each form tells as a first name; case does not matter."""
    known = _table()
    return np.fromiter((known.get(form.lower(), UNKNOWN) for form in forms), np.uint8, len(forms))


def is_first_name(forms: Sequence[str]) -> NDArray[np.bool_]:
    """bool [W]: is the form in the list, whatever it tells?"""
    known = _table()
    return np.fromiter((form.lower() in known for form in forms), bool, len(forms))


@cache
def _table() -> dict[str, int]:
    lines = table("first_names.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {form: _GENDER.get(gender, UNKNOWN) for form, gender in rows}
