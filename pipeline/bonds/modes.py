"""The modes: what a whole model may see by its bonds, in one frozen table.

The seed paper's four: `full` (tags cut, features score, and a pair that a restriction or binding rule forbids is cut
even if its tags fit), `pos_only` (tags cut), `features_only` (features score, nothing is cut), `none`. And ours, which
cut by stored bonds: `syntax`, `near`, `causal`. A mode is a layer of bonds with settings of its own; `view` and
`scores` say what the training side does with it. Compatible tags follow from two tags and scores from two words'
features (pipeline.compatibility): neither is ever stored pair by pair.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pipeline.bonds.config import BondConfig

SHIPPED = BondConfig().kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One mode; what it stores, and what a model makes of it."""

    kinds: tuple[str, ...]
    """Bonds that are stored."""
    view: str
    """What every head may see, in the words of model.views; `bonds` are the stored pairs, `blocked` those of that kind,
    in either direction. The anchors come on top."""
    scores: bool = False
    """Is the compatibility score of a pair added before the softmax?"""
    sentences: int | None = None
    """A bond joins words of so many neighbouring sentences at most; None: as far as its kind reaches."""
    causal: bool = False
    """Are bonds made by the rules of pipeline.bonds.causal, from later words to closed ones?"""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Settings of BondConfig that are not its defaults."""
    says: str
    """In one sentence."""


MODES: Mapping[str, Mode] = MappingProxyType({
    "full": Mode(
        kinds=("blocked",), view="pos & ~blocked", scores=True,
        says="compatible tags, scored by features; pairs that a restriction or binding rule forbids are cut",
    ),
    "pos_only": Mode(kinds=(), view="pos", says="compatible tags, nothing else"),
    "features_only": Mode(kinds=(), view="dense", scores=True, says="every pair, scored by features; nothing is cut"),
    "none": Mode(kinds=(), view="dense", says="every pair"),
    "syntax": Mode(
        kinds=("role", "dependency", "escape"), view="bonds",
        says="the tree, the arcs that it may lack, and the roles of verbs",
    ),
    "near": Mode(
        kinds=(*SHIPPED, "open"), view="bonds", sentences=2, settings={"binding_reach": 1, "cohesion_reach": 1},
        says="bonds of every kind inside two sentences",
    ),
    "causal": Mode(
        kinds=(*SHIPPED, "open", "blocked"), view="bonds", causal=True, settings={"open_doubt": True, "open_cap": 12},
        says="what a causal model may use: later words look back, along arcs that are closed, and at open words",
    ),
})  # fmt: skip
"""Every mode by name."""


def mode_of(name: str) -> Mode:
    """Raises ValueError, with the nearest name, for what is no mode."""
    if name not in MODES:
        near = difflib.get_close_matches(name, MODES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the modes are {', '.join(MODES)}"
        raise ValueError(f"there is no mode {name!r}; {hint}")
    return MODES[name]


def mode_config(name: str, base: BondConfig | None = None) -> BondConfig:
    """The settings of a mode; what it says nothing of is as in `base` (None: the shipped settings).

    Raises ValueError for what is no mode.
    """
    mode = mode_of(name)
    plain = base if base is not None and not base.mode else BondConfig()  # another mode's settings are its own
    settings = {**mode.settings, "kinds": mode.kinds, "mode": name, "control": "", "control_seed": 0}
    return replace(plain, **settings)  # type: ignore[arg-type]
