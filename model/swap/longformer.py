"""Longformer does not use transformers' AttentionInterface: its self-attention becomes an object of this class instead.

Weights, names and place stay; only the class of the module is another, and restoring gives it back. Pieces with global
attention read all others through projections of their own, by the model's own code, in time linear in the length.
Letters: B rows, N pieces, H heads, D width of a head, M width of the model.
"""

import torch
from torch import Tensor
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from model.swap.masks import Known, check_whole, known_of, met, remember
from model.swap.mixer import Mixer
from model.swap.report import NO_WEIGHTS


class MixedSelfAttention(LongformerSelfAttention):  # type: ignore[misc, unused-ignore]
    """A LongformerSelfAttention whose submodule `valency` mixes."""

    valency: Mixer

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        is_index_masked: Tensor | None = None,
        is_index_global_attn: Tensor | None = None,
        is_global_attn: bool | None = None,
        output_attentions: bool = False,
        **_other: object,
    ) -> tuple[Tensor]:
        """(out [B,N,M],), as theirs; attention_mask is [B,N]: below 0 at padding, above 0 at global pieces."""
        if output_attentions:
            raise ValueError(NO_WEIGHTS)
        B, N, M = hidden_states.shape
        q, k, v = (
            project(hidden_states).view(B, N, self.num_heads, self.head_dim).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        known = _known(attention_mask, is_index_masked, hidden_states)
        out_BNM = self.valency(q, k, v, known, dropout=self.dropout if self.training else 0.0).reshape(B, N, M)
        if is_global_attn:
            assert is_index_global_attn is not None
            assert is_index_masked is not None
            self.valency.check_globals(is_index_global_attn, known)
            out_BNM = self._with_global_rows(out_BNM, hidden_states, is_index_global_attn, is_index_masked)
        return (out_BNM,)

    def _with_global_rows(self, out_BNM: Tensor, hidden_BNM: Tensor, global_BN: Tensor, masked_BN: Tensor) -> Tensor:
        """What global pieces read, in their rows."""
        most, whose, local, no_local = self._get_global_attn_indices(global_BN)
        read_BHGD, _ = self._compute_global_attn_output_from_hidden(
            hidden_states=hidden_BNM.transpose(0, 1),
            max_num_global_attn_indices=most,
            is_local_index_global_attn_nonzero=local,
            is_index_global_attn_nonzero=whose,
            is_local_index_no_global_attn_nonzero=no_local,
            is_index_masked=masked_BN,
        )
        rows: Tensor = read_BHGD[local[0], :, local[1]].reshape(len(local[0]), -1)
        return out_BNM.index_put(whose, rows.to(out_BNM.dtype))


def _known(mask: Tensor | None, masked_BN: Tensor | None, hidden_BNM: Tensor) -> Known:
    """Of the mask that all layers of a pass are given; the first one that asks finds out."""
    B, N, _ = hidden_BNM.shape
    if mask is None or masked_BN is None:
        return known_of(None, B, N, hidden_BNM.device)
    if (found := met(mask)) is not None:
        return found
    padded = check_whole(~masked_BN)
    known = Known(torch.where(masked_BN, -1, 0), padded)
    remember(mask, known)
    return known
