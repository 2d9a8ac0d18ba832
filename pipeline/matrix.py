"""The bonds of a text as a matrix: a row a query, a column a key, a coloured cell where one may look at the other.

Cells of several kinds are cut into stripes; each names its bonds when touched. Self-contained SVG, in the inks of
`pipeline.draw`; kinds also differ by the letter in their cells, so the picture reads without colour.
"""

from collections import defaultdict
from html import escape

from pipeline.draw import FONT, INK, text_width
from pipeline.records import KINDS, Bonds, Words

CELL, SIZE, GAP = 20, 12, 6
LARGEST = 80
"""Most words that are drawn: beyond it nobody can read the picture."""


def matrix_svg(words: Words, bonds: Bonds) -> str:
    """The picture of all pairs. Errors: ValueError for more than LARGEST words."""
    if len(words) > LARGEST:
        raise ValueError(f"a matrix of {len(words)} words cannot be read; draw {LARGEST} at most, a few sentences")
    texts = words.text.to_list()
    side = max((text_width(text, SIZE) for text in texts), default=0) + 2 * GAP + 20
    used = [kind for kind in KINDS if (bonds.kind == KINDS.index(kind)).any()]
    legend = [text_width(f"{kind[0].upper()}  {kind}", SIZE) + 34 for kind in used]
    width, height = max(side + CELL * len(texts), sum(legend)) + GAP, side + CELL * len(texts) + 2 * CELL
    rules: dict[tuple[int, int], dict[str, str]] = defaultdict(dict)
    for query, key, kind, rule in zip(
        bonds.query.tolist(), bonds.key.tolist(), bonds.kind.tolist(), bonds.rule.to_list(), strict=True
    ):
        rules[query, key][KINDS[kind]] = rule
    body = [*_labels(texts, side), *_grid(words, side)]
    body += [_cell(place, kinds, texts, side) for place, kinds in sorted(rules.items())]
    x = GAP
    for kind, step in zip(used, legend, strict=True):
        y = side + CELL * len(texts) + CELL
        body.append(f'<rect x="{x:.0f}" y="{y - 12:.0f}" width="14" height="14" fill="{INK[kind]}"/>')
        body.append(f'<text x="{x + 18:.0f}" y="{y:.0f}" fill="{INK[kind]}">{kind[0].upper()} {kind}</text>')
        x += round(step)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="{FONT}" font-size="{SIZE}">'
    )
    said = f"rows may look at columns: {len(rules)} of {len(texts) ** 2} pairs"
    title = f"<title>Bonds of: {escape(' '.join(texts))}</title><desc>{escape(said)}</desc>"
    return "\n".join([head, title, '<rect width="100%" height="100%" fill="#fff"/>', *body, "</svg>"])


def _labels(texts: list[str], side: float) -> list[str]:
    lines = []
    for place, text in enumerate(texts):
        middle = side + CELL * (place + 0.5)
        said = f"{escape(text)} {place + 1}"
        lines.append(f'<text x="{side - GAP:.0f}" y="{middle + 4:.1f}" text-anchor="end" fill="#111">{said}</text>')
        turn = f"rotate(-90 {middle + 4:.1f} {side - GAP:.0f})"
        lines.append(f'<text x="{middle + 4:.1f}" y="{side - GAP:.0f}" transform="{turn}" fill="#111">{said}</text>')
    return lines


def _grid(words: Words, side: float) -> list[str]:
    """A line between any two words, a strong one between sentences; the diagonal, which everybody sees, in grey."""
    number, lines = len(words), []
    end = side + CELL * number
    for place in range(number + 1):
        border = place in (0, number) or words.sentence[place] != words.sentence[place - 1]
        stroke = 'stroke="#777"' if border else 'stroke="#ddd"'
        at = side + CELL * place
        lines.append(f'<path d="M{at:.1f} {side:.1f}V{end:.1f}M{side:.1f} {at:.1f}H{end:.1f}" {stroke} fill="none"/>')
        if place < number:
            lines.append(f'<rect x="{at:.1f}" y="{at:.1f}" width="{CELL}" height="{CELL}" fill="#eee"/>')
    return lines


def _cell(place: tuple[int, int], kinds: dict[str, str], texts: list[str], side: float) -> str:
    query, key = place
    title = "; ".join(f"{kind}: {texts[query]} → {texts[key]} · {rule}" for kind, rule in kinds.items())
    stripe = (CELL - 2) / len(kinds)
    drawn = []
    for number, kind in enumerate(kinds):
        x, y = side + CELL * key + 1 + number * stripe, side + CELL * query + 1
        drawn.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{stripe:.1f}" height="{CELL - 2}" fill="{INK[kind]}"/>')
        size = SIZE - 2 if len(kinds) == 1 else SIZE - 5
        drawn.append(
            f'<text x="{x + stripe / 2:.1f}" y="{y + CELL / 2 + 3:.1f}" text-anchor="middle" font-size="{size}" '
            f'fill="#fff" font-weight="bold">{kind[0].upper()}</text>'
        )
    return f"<g><title>{escape(title)}</title>{''.join(drawn)}</g>"
