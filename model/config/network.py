"""The transformer as settings."""

from dataclasses import dataclass, field
from math import inf

from model.config.bigbird import BigBirdConfig
from model.config.checks import at_least_one, nearest
from model.config.compressed import CompressedConfig
from model.config.depth import DepthConfig
from model.config.hash import HashConfig
from model.config.latent import LatentConfig
from model.config.linear import LinearConfig
from model.config.linformer import LinformerConfig
from model.config.memory import MemoryConfig
from model.config.patterns import PatternsConfig
from model.config.performer import PerformerConfig
from model.config.state_space import StateSpaceConfig
from model.config.window import WindowConfig
from model.masks import MASKS
from model.parse import parse
from model.views import View, mask_names

POSITIONS = ("rotary", "learned", "alibi")
"""How a model knows places: turned queries and keys (Su et al. 2021), an embedding a place, or scores that fall with
distance (Press et al. 2022)."""

OBJECTIVES = ("causal", "masked", "classify")
"""What a model learns to say: the next piece, from those before it; hidden pieces, from all others (model.masked); the
class of a document, from all of it (model.classify)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The transformer, all but its vocabulary, which comes with the cache's tokenizer."""

    layers: int = 4
    dim: int = 128
    """Width of the residual stream."""
    heads: int = 8
    views: tuple[str, ...] = ("dense",)
    """Views (model.views), shared out among the heads in order: two views and eight heads make four heads each."""
    layer_views: tuple[tuple[str, ...], ...] = ()
    """Views of their own for the layers, a list a layer, over and over from the first up; none: all have `views`."""
    pattern: tuple[str, ...] = ("views",)
    """Names in model.attention.MECHANISMS, one a layer, over and over from the first layer up."""
    base_dim: int = 0
    """Width at which the learning rate was found; first weights and rates are then fitted to this one, so that the rate
    holds (model.optimizer). 0: both are as they are at every width."""
    kv_heads: int = 0
    """Heads of keys and values, each shared by as many heads of queries (Ainslie et al. 2023); 0: as many as heads."""
    positions: str = "rotary"
    """One of POSITIONS."""
    context: int = 256
    """Learned positions are so many: rows may be no longer. The other kinds of positions do not read it."""
    tags: bool = False
    """Whether the tag of a piece's word, by the string so far, is embedded and added to the piece's embedding."""
    tag_loss: float = 0.0
    """Weight of a second loss: at each piece the model must say the full tag of the piece's word. 0: there is none."""
    scores: bool = False
    """Whether pairs are scored by the features of their words (pipeline.compatibility), by a learned weight a head."""
    kind_bias: bool = False
    """Whether each head learns, for each kind of bond, what to add to the scores of pairs that such a bond joins."""
    kind_gates: bool = False
    """Whether each head learns a gate for each kind, between 0 and 1, that says what the kind is worth to it."""
    features: bool = False
    """Whether what is known of the last closed word, as 64 features, is embedded and added to the piece's embedding."""
    objective: str = "causal"
    """One of OBJECTIVES."""
    mask_rate: float = 0.15
    """Of `masked`: part of the pieces that the model must say without seeing them."""
    classes: int = 2
    """Of `classify`: how many there are."""
    dropout: float = 0.0
    """Probability of dropping an entry of what a layer adds to the residual stream, while training."""
    patterns: PatternsConfig = field(default_factory=PatternsConfig)
    """Of the mechanisms `local`, `strided`, `random`, `clustered`, `hierarchical` and `adaptive`."""
    linear: LinearConfig = field(default_factory=LinearConfig)
    performer: PerformerConfig = field(default_factory=PerformerConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    bigbird: BigBirdConfig = field(default_factory=BigBirdConfig)
    linformer: LinformerConfig = field(default_factory=LinformerConfig)
    compressed: CompressedConfig = field(default_factory=CompressedConfig)
    """Of layers whose mechanism is `compressed`."""
    hash: HashConfig = field(default_factory=HashConfig)
    """Of layers whose mechanism is `hash`."""
    latent: LatentConfig = field(default_factory=LatentConfig)
    """Of layers whose mechanism is `latent`."""
    state_space: StateSpaceConfig = field(default_factory=StateSpaceConfig)
    """Of layers whose mechanism is `state_space`."""
    depth: DepthConfig = field(default_factory=DepthConfig)
    """Layers that share weights or are reversible, and pondering."""
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    """Of layers whose mechanism is `memory`."""

    def __post_init__(self) -> None:
        from model.attention import MECHANISMS  # late: the mechanisms read this very class

        for name in ("layers", "dim", "heads", "context"):
            at_least_one(name, getattr(self, name))
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            raise ValueError(f"dim is {self.dim}; with {self.heads} heads give a multiple of {2 * self.heads}")
        if self.base_dim < 0:
            raise ValueError(f"base_dim is {self.base_dim}; give the width that the learning rate was found at, or 0")
        if self.kv_heads < 0 or self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"kv_heads is {self.kv_heads}; {self.heads} heads must share them out evenly")
        for views in (self.views, *self.layer_views):
            if not views or self.heads % len(views):
                raise ValueError(f"views has {len(views)} entries; {self.heads} heads must share out evenly")
        if not self.pattern:
            raise ValueError('pattern is empty; name a mechanism for the layers, as in ["views"]')
        for mechanism in self.pattern:
            if mechanism not in MECHANISMS:
                raise ValueError(f"pattern holds {mechanism!r}; {nearest(mechanism, MECHANISMS)}")
        if self.positions not in POSITIONS:
            raise ValueError(f"positions is {self.positions!r}; {nearest(self.positions, POSITIONS)}")
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective is {self.objective!r}; {nearest(self.objective, OBJECTIVES)}")
        if not 0 < self.mask_rate < 1:
            raise ValueError(f"mask_rate is {self.mask_rate}; give a part between 0 and 1, such as 0.15")
        if self.classes < 2:
            raise ValueError(f"classes is {self.classes}; give at least 2")
        if not 0 <= self.tag_loss < inf:
            raise ValueError(f"tag_loss is {self.tag_loss}; give a weight of at least 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; give a probability from 0 to below 1")
        for text in (text for views in (self.views, *self.layer_views) for text in views):
            parse(text)
        if self.depth.reversible and self.hash.balance and "hash" in map(self.mechanism, range(self.layers)):
            raise ValueError("reversible layers record nothing for the loss by which hash keeps its buckets even; set "
                             "hash.balance to 0, or depth.reversible to false")  # fmt: skip
        alike = {layer: (self.mechanism(layer), self.head_views(layer)) for layer in range(self.layers)}
        self.depth.check(self.layers, alike, self.objective)

    def head_views(self, layer: int = 0) -> tuple[View, ...]:
        """The view of each head of a layer."""
        views = self.layer_views[layer % len(self.layer_views)] if self.layer_views else self.views
        each = self.heads // len(views)
        return tuple(view for text in views for view in [parse(text)] * each)

    def distinct_views(self) -> dict[str, View]:
        """All views of all layers by their text, in the order of layers and heads."""
        layers = range(len(self.layer_views) or 1)
        return {str(view): view for layer in layers for view in self.head_views(layer)}

    def reads_bonds(self) -> bool:
        """Whether the model must be given lists of bonds."""
        bonded = any(MASKS[name].bonded for view in self.distinct_views().values() for name in mask_names(view))
        return bonded or self.kind_bias or self.kind_gates

    def reads_facts(self) -> bool:
        """Whether the model must be given facts of words."""
        return self.scores or self.features

    def reads_words(self) -> bool:
        """Whether the model must be given anything of words beside the attributes of pieces."""
        return self.reads_bonds() or self.reads_facts()

    def mechanism(self, layer: int) -> str:
        """The name of a layer's mechanism."""
        return self.pattern[layer % len(self.pattern)]

    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.kv_heads or self.heads

    def hidden(self) -> int:
        """Width of the feed-forward layer: SwiGLU has three matrices, so 8/3 dim costs what two of 4 dim would."""
        return -(-8 * self.dim // 3 // 32) * 32
