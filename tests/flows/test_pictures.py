"""Pictures: well-formed SVG that names itself, and the same bytes for the same numbers."""

from xml.etree import ElementTree

import numpy as np

from flows.report.pictures import bonds_per_word, learning_curves, masks
from flows.report.views import readable

SEEN = np.tril(np.full((4, 4), 2, np.uint8))


def test_pictures_are_svg_with_a_name_and_repeat_byte_for_byte() -> None:
    makers = (
        lambda: bonds_per_word({"role": 0.2, "dependency": 1.5}),
        lambda: masks({"dense": SEEN, "sentence": SEEN // 2}, ["The", "·cat", "·sat", "."]),
        lambda: learning_curves({"dense": [(1, 3.0), (2, 2.5)]}, {"dense": "leak-free"}),
    )
    for make in makers:
        picture = make()
        root = ElementTree.fromstring(picture)
        assert root.tag.endswith("svg")
        assert root.attrib["aria-label"]
        assert picture == make()


def test_pieces_are_readable() -> None:
    assert readable(b" the") == "·the"
    assert readable(b"\n") == "↵"
    assert readable(b"") == "◇"
    assert readable("é".encode()[:1]) == "c3"
    assert readable(b"$x$") == r"\$x\$"
