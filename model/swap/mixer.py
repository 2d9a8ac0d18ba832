"""A mechanism at a place of somebody else's model: given queries, keys and values, mixed as one of our layers would.

Letters: B rows, H heads, G heads of keys and values, N queries, K keys (as many, or more where a cache holds what came
before), D width of a head.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention import MECHANISMS
from model.attention.heads import Heads, computed_in
from model.attention.views import ViewsAttention, Way, view_bias
from model.config import ModelConfig
from model.context import Context
from model.swap.layers import Place
from model.swap.masks import Known, context_of
from model.views import FIRST_ANCHORS, Named

if TYPE_CHECKING:
    from model.swap.report import Report

DROPOUTS = ("keys", "off", "refuse")
GLOBALS = ("refuse", "rows")
SEE_ALL = ("dense", "linear", "performer", "linformer")
"""Mechanisms in which every piece reads every other, whatever views say."""


class Absent(nn.Module):
    """In the place of a projection that the model has already: where it lies and in what precision, and no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(0), persistent=False)


class Mixer(nn.Module):
    """One layer's mechanism, without projections."""

    def __init__(self, name: str, config: ModelConfig, layer: int, place: Place, report: "Report") -> None:
        """layer: number of the place. Errors: ValueError for a mechanism that does not know the place's time order."""
        super().__init__()
        self.name, self.place, self.causal, self.report = name, place.name, place.shape.causal, report
        entry = MECHANISMS[name]
        if self.causal not in entry.orders:
            raise ValueError(
                f"{place.name} {'reads back only' if self.causal else 'reads both ways'} and the mechanism {name!r} "
                "does not; choose another one, or other layers"
            )
        mechanism: Any = entry.make(config, layer)
        if not isinstance(mechanism, Heads) or type(mechanism).mix is Heads.mix:
            raise ValueError(f"the mechanism {name!r} mixes no given queries and keys; choose one that has heads")
        mechanism.qkv, mechanism.out = Absent(), nn.Identity()  # type: ignore[assignment]
        self.mechanism = mechanism.to(device=place.weight.device, dtype=place.weight.dtype)

    def forward(
        self,
        q_BHND: Tensor,
        k_BGKD: Tensor,
        v_BGKD: Tensor,
        known: Known,
        scaling: float | None = None,
        dropout: float = 0.0,
        position_bias: Tensor | None = None,
    ) -> Tensor:
        """[B,N,H,D]. scaling: of scores; None: D**-0.5. dropout: of weights. position_bias: [1 or B,H,N,K], added to
        scores. Errors: ValueError for what the mechanism cannot keep."""
        self.report.calls[self.place] += 1
        N, D = q_BHND.shape[2], q_BHND.shape[3]
        earlier = k_BGKD.shape[2] - N
        if earlier:
            # What came before is asked nothing again: its queries are zeros, and what they give is thrown away.
            q_BHND = functional.pad(q_BHND, (0, 0, earlier, 0))
        if scaling is not None and scaling != D**-0.5:
            q_BHND = q_BHND * (scaling * D**0.5)  # our scores are divided by the root of D
        context = self.context(known)
        if known.padded or context.document is not known.document_BK:
            # Zeros, not a mask alone: a mechanism may add up all that it is given.
            padding_B1K1 = ~context.valid()[:, None, :, None]
            q_BHND, k_BGKD, v_BGKD = (each.masked_fill(padding_B1K1, 0.0) for each in (q_BHND, k_BGKD, v_BGKD))
        if dropout:
            v_BGKD = self.dropped(v_BGKD, dropout)
        if position_bias is not None and self.report.keeps_bias:
            context = self.biased(context, functional.pad(position_bias, (0, 0, earlier, 0)))
        mixed_BHKD = self.mechanism.mix(q_BHND, k_BGKD, v_BGKD, context)
        return mixed_BHKD[:, :, earlier:].transpose(1, 2)

    def context(self, known: Known) -> Context:
        """The context of a forward pass, prepared; made by the first layer for all."""
        mine = id(self.report)
        if mine not in known.contexts:
            told = self.report.told.get(self.causal)
            if told is None and self.report.reads_words:
                raise ValueError(
                    "these views read words, and the model was told of none; give swap_attention reader=…, or call "
                    "the model in `with told(model, context):` (model.swap.context_for makes one)"
                )
            if told is not None and told.document.shape[1] < known.document_BK.shape[1] and not self.causal:
                told = _padded(told, known.document_BK.shape[1])
            known.contexts[mine] = context_of(known.document_BK, self.causal, told)
        known.contexts[mine] = self.mechanism.prepare(known.contexts[mine])
        return known.contexts[mine]

    def dropped(self, v_BGKD: Tensor, rate: float) -> Tensor:
        """Values, some of them zero: the weights of a key are dropped for all who look at it, by head and row.

        That is dropout of weights with one coin a key, not one a pair: a mechanism need not have weights of pairs.
        """
        if self.report.dropout == "off":
            return v_BGKD
        if self.report.dropout == "refuse":
            raise ValueError(
                f"the model drops attention weights at {rate} and this swap refuses to; set the model's attention "
                "dropout to 0, or swap with dropout='keys' (one coin a key) or 'off'"
            )
        return v_BGKD * functional.dropout(torch.ones_like(v_BGKD[..., :1]), rate)

    def biased(self, context: Context, bias_BHKK: Tensor) -> Context:
        """The context in which scores get a bias more. O(K*K) memory. Only for views, which have scores of pairs."""
        assert isinstance(self.mechanism, ViewsAttention)
        views, look, dtype = self.mechanism.views, self.mechanism.look, computed_in(self.mechanism.qkv.weight)
        everything = (Way("twin", tuple(range(len(views)))),)
        bias = view_bias(views, (), context, dtype) + bias_BHKK.to(dtype)
        return context._replace(
            plans={**context.plans, look: everything}, biases={**context.biases, look: bias.contiguous()}
        )

    def check_globals(self, global_BK: Tensor, known: Known) -> None:
        """Errors: ValueError if some piece is to be seen by all (bool [B,K]) and the mechanism does not let all see it.

        One that all see is an anchor of every view, or there is a dense view, or no view at all but everything.
        """
        if known.checked or self.report.global_tokens == "rows" or self.name in SEE_ALL:
            return
        if isinstance(self.mechanism, ViewsAttention):
            if all(view == Named("dense") for view in self.mechanism.views):
                return
            context = self.context(known)
            place = torch.arange(global_BK.shape[1], device=global_BK.device) - context.sequence_start()
            if not bool((global_BK & (place >= FIRST_ANCHORS)).any()):
                known.checked = True
                return
        raise ValueError(
            f"some pieces have global attention, and not all others see them through {self.name!r}; views see the "
            f"first {FIRST_ANCHORS} pieces, `dense` sees all, and global_tokens='rows' lets global pieces see all "
            "others without being seen by them"
        )


def _padded(told: Context, pieces: int) -> Context:
    """The context with padding after its rows: Longformer pads to whole windows by itself."""
    from model.context import PER_PIECE
    from model.reading import EMPTY

    more = pieces - told.document.shape[1]
    wide: dict[str, Any] = {
        name: functional.pad(getattr(told, name), (0, more), value=EMPTY[name]) for name in PER_PIECE
    }
    bonds = told.bonds and told.bonds._replace(
        begin=functional.pad(told.bonds.begin, (0, more)), end=functional.pad(told.bonds.end, (0, more))
    )
    made = told._replace(**wide, bonds=bonds)
    place = torch.arange(pieces, device=made.document.device)
    return made._replace(sentence_start=torch.where(made.valid(), made.sentence_start, place))
