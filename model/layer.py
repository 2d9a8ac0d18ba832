"""One layer of attention for other people's code: heads with views, or any other mechanism of the table, as a module.

    layer = attention(64, heads=4, views=("dense", "window(16)"))
    out = layer(x_BNM)                                        # from places alone
    layer = attention(64, heads=4, mechanism="local", window=32)
    read = context_of_text(["Anna mended the bench. She sat down."])
    out = attention(64, heads=4, preset="sentence")(embed(read.ids), read.context)

No cache, no recipe and no training loop is needed. Letters: B rows, N pieces of a row, M width of the model, H heads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple, get_type_hints

import torch
from torch import Tensor, nn

from model.attention import MECHANISMS
from model.attention.heads import Heads, computed_in
from model.attention.info import Info
from model.attention.views import ViewsAttention, view_bias
from model.config import ModelConfig
from model.config.checks import nearest
from model.context import NO_TAG, PER_PIECE, Context
from model.masks import MASKS
from model.reading import Reader, rows_of
from model.toml import build
from model.transformer import Layer
from model.views import mask_names
from pipeline.pieces import Tokenizer

PRESETS = MappingProxyType(
    {
        "dense": ("dense",),
        # A ladder of reaches and one head in four that sees all: linear cost but for that head, nothing but places.
        "windows": ("dense", "window(8)", "window(32)", "window(128)"),
        # What did best of the recipes measured on WikiText-2 (DESIGN of the first study): reach by sentences.
        "sentence": ("dense", "sentence", "sentence", "sentence"),
        "near": ("sentence", "sentences(2)", "window(16)", "window(64)"),
        "pos": ("dense", "sentence", "pos & sentence", "pos & sentences(2)"),
    }
)
"""Views by the name of a preset, shared out among the heads in order. `near` has no head of quadratic cost."""

FROM_PLACES = ("dense", "window", "sentence", "sentences")
"""Masks that mean something where nothing is known but places: all pieces are then one sentence."""


def attention(
    dim: int,
    heads: int,
    mechanism: str = "views",
    views: Sequence[str] | None = None,
    *,
    kv_heads: int = 0,
    causal: bool = True,
    preset: str | None = None,
    positions: str = "rotary",
    context: int = 4096,
    **settings: Any,
) -> "Attention":
    """A layer of attention. dim: M. views: of the mechanism `views`: expressions (model.views), shared out among the
    heads in order; None: those of the preset, or `dense`. kv_heads: heads of keys and values; 0: as many as heads.
    causal: whether a piece sees earlier ones only. preset: a name in PRESETS, or in those of the mechanism's line of
    MECHANISMS. positions: rotary or alibi. context: places that a mechanism may have to know of beforehand.
    settings: the mechanism's own, by the names of its dataclass (model.config), over those of the preset.

    Errors: ValueError for a setting that does not fit, with what would.
    """
    if mechanism not in MECHANISMS:
        raise ValueError(f"mechanism is {mechanism!r}; {nearest(mechanism, MECHANISMS)}")
    entry, presets = MECHANISMS[mechanism], presets_of(mechanism)
    if preset is not None and preset not in presets:
        raise ValueError(
            f"preset is {preset!r}; {nearest(preset, presets)}"
            if presets
            else f"preset is {preset!r}, and the mechanism {mechanism!r} has none; give its settings by name"
        )
    if preset is not None and views is not None:
        raise ValueError(f"both views and the preset {preset!r} are given; give one of them")
    if isinstance(views, str):
        raise ValueError(f"views is the text {views!r}; give a list of views, as in [{views!r}]")
    if views is not None and mechanism != "views":
        raise ValueError(f"the mechanism {mechanism!r} has no views; leave them out, or give mechanism='views'")
    if positions == "learned":
        raise ValueError("learned positions belong to a model's embedding; give positions='rotary' or 'alibi'")
    if causal not in entry.orders:
        raise ValueError(f"the mechanism {mechanism!r} knows causal={not causal} only")
    chosen = presets[preset] if preset else {"views": ("dense",)} if mechanism == "views" else {}
    own = settings_of(mechanism, {**({} if mechanism == "views" else chosen), **settings})
    config = ModelConfig(
        layers=1,
        dim=dim,
        heads=heads,
        views=tuple(views) if views is not None else chosen.get("views", ("dense",)),
        pattern=(mechanism,),
        kv_heads=kv_heads,
        positions=positions,
        context=context,
        **own,
    )
    return Attention(config, causal)


def presets_of(mechanism: str) -> Mapping[str, Mapping[str, Any]]:
    """Settings by the name of a preset."""
    if mechanism == "views":
        return {name: {"views": views} for name, views in PRESETS.items()}
    return MECHANISMS[mechanism].presets


def settings_of(mechanism: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """The field of ModelConfig that holds a mechanism's settings, with what is said of them; {} if it has none.

    Errors: ValueError for a setting that it does not have, or one of another type.
    """
    field, kinds = MECHANISMS[mechanism].settings or mechanism, get_type_hints(ModelConfig)
    if not is_dataclass(kinds.get(field)):
        if said:
            raise ValueError(f"unknown setting {next(iter(said))!r}; the mechanism {mechanism!r} has none of its own")
        return {}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
    return {field: build(kinds[field], plain, f"mechanism {mechanism!r}")}


class Attention(nn.Module):
    """A mechanism with a door that needs nothing but x. Made by `attention`."""

    def __init__(self, config: ModelConfig, causal: bool) -> None:
        super().__init__()
        self.config, self.causal, self.views = config, causal, config.head_views()
        self.name = config.mechanism(0)
        self.mechanism: Any = Layer(config, 0).attention

    def forward(
        self,
        x_BNM: Tensor,
        context: Context | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        return_info: bool = False,
    ) -> Any:
        """[B,N,M]; at padding it means nothing.

        context: what is known of the pieces, as `context_of_text` gives it; None: their places, every piece a word and
        all of a row one sentence. key_padding_mask: bool [B,N], true at padding, as torch's own layer takes it.
        need_weights: return (out, weights [B,H,N,N]). return_info: return (out, Info), the weights in it if asked for.
        Errors: ValueError for shapes that do not fit, for views that read what is not known, and for weights of a
        mechanism that has none.
        """
        if need_weights and not has_weights(self.mechanism):
            raise ValueError(f"the mechanism {self.name!r} has no weights of pairs; leave need_weights out")
        context = self._context(x_BNM, context, key_padding_mask)
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        prepared = self.mechanism.prepare(context)
        out_BNM: Tensor = self.mechanism(x_BNM, prepared)
        weights_BHNN = attention_weights(self.mechanism, x_BNM, context) if need_weights else None
        if return_info:
            return out_BNM, replace(self._info(x_BNM, prepared), weights=weights_BHNN)
        return (out_BNM, weights_BHNN) if need_weights else out_BNM

    def extra_repr(self) -> str:
        """What print shows."""
        said = f"mechanism={self.name!r}"
        if self.name == "views":
            said = f"views=[{', '.join(dict.fromkeys(map(str, self.views)))}]"
        return f"{self.config.dim}, heads={self.config.heads}, {said}, causal={self.causal}"

    def _context(self, x_BNM: Tensor, context: Context | None, padding_BN: Tensor | None) -> Context:
        if x_BNM.ndim != 3 or x_BNM.shape[-1] != self.config.dim:
            raise ValueError(f"x has shape {list(x_BNM.shape)}; give [rows, pieces, {self.config.dim}]")
        B, N, _ = x_BNM.shape
        if padding_BN is not None and (padding_BN.shape != (B, N) or padding_BN.dtype != torch.bool):
            raise ValueError(
                f"key_padding_mask is {padding_BN.dtype} {list(padding_BN.shape)}; "
                f"give bool [{B}, {N}], true at padding"
            )
        if context is None:
            unknown = [name for view in self.views for name in mask_names(view) if name not in FROM_PLACES]
            if unknown:
                raise ValueError(
                    f"the view {unknown[0]!r} reads what places alone do not say; give context=… of "
                    "model.layer.context_of_text or context_of_ids, or choose views of windows and sentences"
                )
            valid_BN = None if padding_BN is None else ~padding_BN
            return context_of_places(B, N, valid_BN, causal=self.causal, device=x_BNM.device)
        if context.document.shape != (B, N):
            told = list(context.document.shape)
            raise ValueError(f"the context is of {told} pieces and x of {[B, N]}; they must agree")
        if padding_BN is not None:
            context = context._replace(document=context.document.masked_fill(padding_BN, -1))
        if context.causal != self.causal:
            raise ValueError(
                f"the layer is made with causal={self.causal} and the context with causal={context.causal}; give both "
                "the same: what is known of a word differs"
            )
        return bare(context).to(x_BNM.device)

    def _info(self, x_BNM: Tensor, context: Context) -> Info:
        if hasattr(self.mechanism, "info"):
            info: Info = self.mechanism.info(x_BNM, context)
            return info
        return Info(views=(self.name,) * self.config.heads)


def has_weights(mechanism: nn.Module) -> bool:
    """Whether `attention_weights` knows what to say."""
    return isinstance(mechanism, Heads) and type(mechanism).mix is not Heads.mix


def attention_weights(mechanism: nn.Module, x_BNM: Tensor, context: Context) -> Tensor:
    """[B,H,N,N]: how much each piece (row) takes from each (column): of views by the formula, softmax of scores; of
    others by what they make of values that name their pieces (Heads.weights).

    O(N*N) memory. Errors: ValueError for a mechanism that has no weights of pairs.
    """
    if not isinstance(mechanism, Heads) or not has_weights(mechanism):
        raise ValueError(f"{type(mechanism).__name__} has no weights of pairs; leave them out, or look at views")
    context = bare(context)
    if not isinstance(mechanism, ViewsAttention):
        return mechanism.weights(x_BNM, context)
    dtype = computed_in(mechanism.qkv.weight)
    q_BHND, k_BGND, _ = mechanism.inputs(x_BNM, context)
    k_BHND = k_BGND.repeat_interleave(q_BHND.shape[1] // k_BGND.shape[1], dim=1)
    bias_BHNN = view_bias(mechanism.views, mechanism.slopes, context, dtype)
    if mechanism.terms:
        bias_BHNN = bias_BHNN + mechanism.terms(mechanism.terms.prepare(context, dtype))
    score_BHNN: Tensor = q_BHND @ k_BHND.transpose(-1, -2) * q_BHND.shape[-1] ** -0.5
    return (score_BHNN + bias_BHNN).softmax(-1)


def bare(context: Context) -> Context:
    """The context without what a mechanism has added for its layers."""
    return Context(**{name: getattr(context, name) for name in (*PER_PIECE, "causal", "bonds", "facts", "opened")})


def context_of_places(
    rows: int,
    pieces: int,
    valid_BN: Tensor | None = None,
    *,
    causal: bool = True,
    device: torch.device | str = "cpu",
) -> Context:
    """What is known where nothing is but places: every piece is a word, and all are one sentence.

    valid_BN: bool, which places hold a piece; None: all.
    """
    place_BN = torch.arange(pieces, device=device).expand(rows, pieces)
    valid_BN = torch.ones_like(place_BN, dtype=torch.bool) if valid_BN is None else valid_BN.to(device)
    made = Context(
        document=torch.where(valid_BN, 0, -1),
        sentence_start=place_BN,
        first_word=place_BN,
        last_word=place_BN,
        closed_word=place_BN if causal else torch.full_like(place_BN, pieces),
        input_tag=torch.full_like(place_BN, NO_TAG),
        key_tag=torch.full_like(place_BN, NO_TAG),
        causal=causal,
    )
    return made._replace(sentence_start=made.sequence_start())


class Read(NamedTuple):
    """Texts as a model takes them."""

    ids: Tensor
    """int64 [B,N]; 0 at padding."""
    context: Context


def context_of_text(
    texts: Sequence[str], tokenizer: Tokenizer | None = None, *, causal: bool = True, reader: Reader | None = None
) -> Read:
    """Pieces of texts and what is known of them: begin, the text's pieces, end, padded on the right to one width.

    tokenizer: with the shipped annotator; None: the shipped one. causal: as the layer's. reader: both at once, as a
    run's folder has them.
    """
    if isinstance(texts, str):
        raise ValueError("texts is one text; give a list of them")
    reader = _reader(tokenizer, reader)
    ids_BN, valid_BN = rows_of([reader.tokenizer.document(text) for text in texts])
    return Read(ids_BN, reader.read(ids_BN, valid_BN, causal=causal))


def context_of_ids(
    ids_BN: Tensor,
    valid_BN: Tensor | None = None,
    tokenizer: Tokenizer | None = None,
    *,
    causal: bool = True,
    reader: Reader | None = None,
) -> Context:
    """What is known of pieces, from their ids. valid_BN: bool, or 1 and 0 as an attention mask; None: all are."""
    return _reader(tokenizer, reader).read(ids_BN, valid_BN, causal=causal)


def _reader(tokenizer: Tokenizer | None, reader: Reader | None) -> Reader:
    if reader is not None and tokenizer is not None:
        raise ValueError("both a tokenizer and a reader are given; the reader has a tokenizer of its own")
    return reader or (Reader.of(tokenizer) if tokenizer else Reader.shipped())


assert set(FROM_PLACES) <= set(MASKS)
