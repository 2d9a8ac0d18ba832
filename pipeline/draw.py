"""A sentence and its bonds as a picture: words in a row, tags below, an arc above for every bond.

Self-contained SVG, readable without colour: every arc carries its label, kinds differ in dashes as well as in colour
(Okabe & Ito's palette, which colour-blind readers can tell apart; the labels' inks are darkened to a contrast of at
least 4.5 on white). An arc points from the query to the key, and names its rule when touched.
"""

from collections.abc import Collection
from html import escape

from lexicons.upos import UPOS
from pipeline.layout import Arc, Layout, lay_out
from pipeline.records import KINDS, Bonds, Words

LINE: dict[str, str] = {
    "role": "#D55E00",
    "binding": "#0072B2",
    "dependency": "#7A7A7A",
    "cohesion": "#009E73",
    "open": "#CC79A7",
    "escape": "#E69F00",
    "blocked": "#000000",
}
"""Colour of a kind's arcs."""
INK: dict[str, str] = {
    "role": "#A84300",
    "binding": "#005A8F",
    "dependency": "#555555",
    "cohesion": "#00694D",
    "open": "#92406D",
    "escape": "#7A5400",
    "blocked": "#000000",
}
"""Colour of a kind's labels."""
DASH: dict[str, str] = {"binding": "7 3", "cohesion": "2 3", "open": "9 3 2 3", "escape": "1 4", "blocked": "3 6"}

FONT = "'DejaVu Sans', Verdana, 'Noto Sans', sans-serif"
WORD_SIZE, LABEL_SIZE, TAG_SIZE = 16, 11, 10
LEVEL = 19
"""Height of one level of arcs, in pixels: a label and some air."""
ARROW = "arrows point to the word that may be looked at"
TOP, BELOW = 34, 48
CORNER = 7


Shown = tuple[int, int, str, str]
"""Query, key, kind and rule of a bond that is drawn."""


def arcs_svg(words: Words, bonds: Bonds, kinds: Collection[str] | None = None, paths: bool = False) -> str:
    """The picture of these words, in one row, with their bonds of these kinds (None: all).

    Meant for a sentence or two; a bond with an end outside `words` is not drawn. Dependency paths of two arcs and more
    are drawn only if `paths`, thin and without label. No words give an empty picture.
    """
    shown = _shown(words, bonds, kinds, paths)
    arcs = [
        Arc(query=query, key=key, label_width=text_width(short_rule(kind, rule), LABEL_SIZE))
        for query, key, kind, rule in shown
    ]
    texts = words.text.to_list()
    tags = [UPOS[tag] for tag in words.upos.tolist()]
    widths = [max(text_width(t, WORD_SIZE), text_width(tag, TAG_SIZE)) for t, tag in zip(texts, tags, strict=True)]
    layout = lay_out(widths, arcs)
    used = [kind for kind in KINDS if any(kind == one for _, _, one, _ in shown)]
    base = TOP + (layout.levels + 1) * LEVEL
    width = max(layout.width, _legend_width(used))
    body = [*_legend(used), *_words(texts, tags, layout, base)]
    pieces = [_arc(number, shown[number][2:], arcs[number], texts, layout, base) for number in range(len(arcs))]
    body += [line for line, _ in pieces] + [label for _, label in pieces]  # labels last: no line runs over them
    return _picture(width, base + BELOW, " ".join(texts), _said(shown, texts), body)


def _shown(words: Words, bonds: Bonds, kinds: Collection[str] | None, paths: bool) -> list[Shown]:
    rules = bonds.rule.to_list()
    every = zip(bonds.query.tolist(), bonds.key.tolist(), (KINDS[kind] for kind in bonds.kind), rules, strict=True)
    return [
        (query, key, kind, rule)
        for query, key, kind, rule in every
        if (kinds is None or kind in kinds)
        and 0 <= min(query, key) <= max(query, key) < len(words)
        and (paths or kind != "dependency" or " " not in rule)
    ]


def text_width(text: str, size: float) -> float:
    """An upper estimate of a text's width in pixels, in DejaVu Sans, the widest of the fonts asked for."""
    wide = {**dict.fromkeys("iljtfI.,:;'!|()[] ", 0.37), **dict.fromkeys("mwMW@%—…", 0.98)}
    return size * sum(wide.get(sign, 0.76 if sign.isupper() else 0.64) for sign in text)


def short_rule(kind: str, rule: str) -> str:
    """What stands on the arc: the relation, the role, the principle, "same"; nothing for a path of several arcs."""
    parts = rule.split()
    match kind:
        case "dependency":
            return "" if " " in rule else rule
        case "role":
            return parts[1] if len(parts) > 1 else rule
        case "binding":
            return " ".join(parts[:2]).rstrip(":")
        case "cohesion":
            return parts[0].rstrip(":")
    return rule


def _picture(width: float, height: float, sentence: str, said: str, body: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="{FONT}">'
    )
    title = f"<title>{escape(sentence)}</title><desc>{escape(said)}</desc>"
    return "\n".join([head, title, '<rect width="100%" height="100%" fill="#fff"/>', *body, "</svg>"])


def _said(shown: list[Shown], texts: list[str]) -> str:
    """The picture in words, for those who hear it."""
    return (
        "; ".join(f"{kind}: {texts[query]} to {texts[key]}, {rule}" for query, key, kind, rule in shown) or "no bonds"
    )


def _legend_width(kinds: list[str]) -> float:
    return 20 + sum(62 + text_width(kind, 12) for kind in kinds) + text_width(ARROW, 12)


def _legend(kinds: list[str]) -> list[str]:
    lines, x = [], 14.0
    for kind in kinds:
        lines.append(f'<path d="M{x:.0f} 16h30" {_stroke(kind, 2)}/>')
        lines.append(f'<text x="{x + 38:.0f}" y="20" font-size="12" fill="{INK[kind]}">{kind}</text>')
        x += 62 + text_width(kind, 12)
    if kinds:
        lines.append(f'<text x="{x:.0f}" y="20" font-size="12" fill="#555">{ARROW}</text>')
    return lines


def _words(texts: list[str], tags: list[str], layout: Layout, base: float) -> list[str]:
    lines = []
    for x, text, tag in zip(layout.words, texts, tags, strict=True):
        place = f'x="{x:.1f}" text-anchor="middle"'
        lines.append(f'<text {place} y="{base + 20:.0f}" font-size="{WORD_SIZE}" fill="#111">{escape(text)}</text>')
        lines.append(f'<text {place} y="{base + 36:.0f}" font-size="{TAG_SIZE}" fill="#555">{tag}</text>')
    return lines


def _arc(
    number: int, meant: tuple[str, str], arc: Arc, texts: list[str], layout: Layout, base: float
) -> tuple[str, str]:
    """The line with its arrow head at the key, and the label."""
    kind, rule = meant
    left, right, top = layout.left[number], layout.right[number], base - layout.level[number] * LEVEL
    label = short_rule(kind, rule)
    line = (
        f"M{left:.1f} {base:.1f}V{top + CORNER:.1f}q0 {-CORNER} {CORNER} {-CORNER}"
        f"H{right - CORNER:.1f}q{CORNER} 0 {CORNER} {CORNER}V{base:.1f}"
    )
    foot = right if arc.key == arc.right else left
    title = f"<title>{escape(f'{kind}: {texts[arc.query]} → {texts[arc.key]} · {rule}')}</title>"
    head = f'<path d="M{foot - 3.5:.1f} {base - 6:.1f}h7l-3.5 7z" fill="{LINE[kind]}"/>'
    drawn = f'<g>{title}<path d="{line}" {_stroke(kind, 1.6 if label else 0.8)}/>{head}</g>'
    if not label:
        return drawn, ""
    x, half = layout.label[number], arc.label_width / 2 + 1
    ground = f'<rect x="{x - half:.1f}" y="{top - 8:.1f}" width="{2 * half:.1f}" height="16" fill="#fff"/>'
    place = f'x="{x:.1f}" y="{top + 4:.1f}" text-anchor="middle" font-size="{LABEL_SIZE}"'
    return drawn, f'<g>{title}{ground}<text {place} fill="{INK[kind]}">{escape(label)}</text></g>'


def _stroke(kind: str, width: float) -> str:
    dash = f' stroke-dasharray="{DASH[kind]}"' if kind in DASH else ""
    return f'fill="none" stroke="{LINE[kind]}" stroke-width="{width}"{dash}'
