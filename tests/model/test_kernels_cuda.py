"""FlexAttention on a GPU: value and gradient against dense masks."""

import pytest
import torch

from model.attention.views import ViewsAttention
from model.config import ModelConfig
from model.kernels import choose
from tests.model.toy import toy_context, with_toy_bonds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

VIEWS = ("dense", "sentence", "(pos & sentences(2)) | open", "window(40)")


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("positions", ["rotary", "alibi"])
@pytest.mark.parametrize("key_heads", [8, 4, 1])
@pytest.mark.parametrize("rows", [[[600], [300, 200]], [[1024, 1024]]])
def test_a_layer_by_flex_attention_equals_dense_masks(
    rows: list[list[int]], key_heads: int, positions: str, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, context = toy_context(rows, seed=1)
    context = with_toy_bonds(context._replace(causal=causal)).to("cuda")
    torch.manual_seed(0)
    config = ModelConfig(dim=256, heads=8, kv_heads=key_heads, views=VIEWS, positions=positions)
    layer = ViewsAttention(config).cuda()
    x = torch.randn(*context.document.shape, 256, device="cuda", requires_grad=True)
    up = torch.randn_like(x).masked_fill(~context.valid()[:, :, None], 0.0)
    found = []
    for shortest in (1, 1 << 30):
        measured = choose.MEASURED["cuda"]._replace(shortest=shortest, pair=0.0)
        monkeypatch.setitem(choose.MEASURED, "cuda", measured)
        prepared = layer.prepare(context)
        paths = {way.path for way in prepared.plans[layer.look]}
        assert ("flex" in paths) == (shortest == 1)
        out = layer(x, prepared).masked_fill(~context.valid()[:, :, None], 0.0)
        found.append((out, *torch.autograd.grad(out, (x, layer.qkv.weight), up)))
    for ours, true in zip(*found, strict=True):
        torch.testing.assert_close(ours, true, rtol=1e-4, atol=1e-4 * float(true.abs().max()))
