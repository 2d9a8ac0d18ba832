"""One layer of attention for other people's code: heads with views, as a module, with or without knowledge of words.

    layer = attention(64, heads=4, views=("dense", "window(16)"))
    out = layer(x_BNM)                                        # from places alone
    read = context_of_text(["Anna mended the bench. She sat down."])
    out = attention(64, heads=4, preset="sentence")(embed(read.ids), read.context)

No cache, no recipe and no training loop is needed. Letters: B rows, N pieces of a row, M width of the model, H heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model.attention import MECHANISMS
from model.attention.heads import computed_in
from model.attention.views import ViewsAttention, view_bias
from model.config import ModelConfig
from model.config.checks import nearest
from model.config.linear import LINEAR_PRESETS
from model.context import NO_TAG, PER_PIECE, Context
from model.masks import MASKS
from model.reading import Reader, rows_of
from model.transformer import Layer
from model.views import allowed, cost, mask_names, view_masks
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
) -> "Attention":
    """A layer of attention. dim: M. views: expressions (model.views), shared out among the heads in order; None: those
    of the preset, or `dense`. preset: one of PRESETS, or for `linear` of LINEAR_PRESETS. kv_heads: heads of keys and
    values; 0: as many as heads. causal: whether a piece sees earlier ones only. positions: rotary or alibi. context:
    places that a mechanism may have to know of beforehand.

    Errors: ValueError for a setting that does not fit, with what would.
    """
    if mechanism not in MECHANISMS:
        raise ValueError(f"mechanism is {mechanism!r}; {nearest(mechanism, MECHANISMS)}")
    changes: dict[str, Any] = {}
    if mechanism == "linear" and preset is not None and preset in LINEAR_PRESETS:
        changes, preset = {"linear": LINEAR_PRESETS[preset]}, None
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}; {nearest(preset, PRESETS)}")
    if preset is not None and views is not None:
        raise ValueError(f"both views and the preset {preset!r} are given; give one of them")
    if isinstance(views, str):
        raise ValueError(f"views is the text {views!r}; give a list of views, as in [{views!r}]")
    if positions == "learned":
        raise ValueError("learned positions belong to a model's embedding; give positions='rotary' or 'alibi'")
    chosen = tuple(views) if views is not None else PRESETS[preset or "dense"]
    config = ModelConfig(
        layers=1,
        dim=dim,
        heads=heads,
        views=chosen,
        pattern=(mechanism,),
        kv_heads=kv_heads,
        positions=positions,
        context=context,
        **changes,
    )
    return Attention(config, causal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a call of the layer has to say of itself."""

    views: tuple[str, ...]
    """Of each head."""
    density: tuple[float, ...]
    """Of each head: of the pairs that order and documents allow, the part that its view lets see."""
    cost: tuple[str, ...]
    """Of each head: `linear` or `quadratic`, how its pairs may grow with the number of pieces."""
    path: tuple[str, ...]
    """Of each head: how it was computed; `twin` is a dense mask through torch's own attention."""
    weights: Tensor | None = None
    """[B,H,N,N], where asked for."""


class Attention(nn.Module):
    """A mechanism with a door that needs nothing but x. Made by `attention`."""

    def __init__(self, config: ModelConfig, causal: bool) -> None:
        super().__init__()
        self.config, self.causal, self.views = config, causal, config.head_views()
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
        Errors: ValueError for shapes that do not fit, and for views that read what is not known.
        """
        context = self._context(x_BNM, context, key_padding_mask)
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        prepared = self.mechanism.prepare(context)
        out_BNM: Tensor = self.mechanism(x_BNM, prepared)
        weights_BHNN = attention_weights(self.mechanism, x_BNM, context) if need_weights else None
        if return_info:
            return out_BNM, self._info(prepared, weights_BHNN)
        return (out_BNM, weights_BHNN) if need_weights else out_BNM

    def extra_repr(self) -> str:
        """What print shows."""
        views = ", ".join(dict.fromkeys(map(str, self.views)))
        return f"{self.config.dim}, heads={self.config.heads}, views=[{views}], causal={self.causal}"

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

    def _info(self, context: Context, weights_BHNN: Tensor | None) -> Info:
        ways = context.plans.get(getattr(self.mechanism, "look", ""), ())
        paths = {head: str(way.path) for way in ways for head in way.heads}
        valid_BN11 = context.valid()[:, None, :, None]
        pairs = (allowed(context)[:, None] & valid_BN11).sum()
        seen_H = (view_masks(self.views, context) & valid_BN11).sum((0, 2, 3)) / pairs.clamp(min=1)
        return Info(
            views=tuple(map(str, self.views)),
            density=tuple(seen_H.tolist()),
            cost=tuple(cost(view) for view in self.views),
            path=tuple(paths.get(head, "twin") for head in range(len(self.views))),
            weights=weights_BHNN,
        )


def attention_weights(mechanism: nn.Module, x_BNM: Tensor, context: Context) -> Tensor:
    """[B,H,N,N]: how much each piece (row) takes from each (column), by the formula: softmax of scores under the views.

    O(N*N) memory. Errors: ValueError for a mechanism that has no weights of pairs.
    """
    if not isinstance(mechanism, ViewsAttention):
        raise ValueError(f"{type(mechanism).__name__} has no weights of pairs; only the mechanism 'views' has")
    dtype = computed_in(mechanism.qkv.weight)
    context = bare(context)
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
