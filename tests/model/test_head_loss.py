"""The loss without a table of all logits is the loss."""

from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from model import head_loss as module
from model.batches import NO_TARGET
from model.evaluate.perplexity import piece_loss
from model.head_loss import head_loss, in_parts


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("rows", "pieces"), [(1, 1), (3, 70), (2, 257)])
def test_value_and_gradient_are_those_of_all_logits(
    rows: int, pieces: int, own: bool, reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, pieces, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(97, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(97, (rows, pieces), generator=generator)
    targets[torch.rand(rows, pieces, generator=generator) < 0.2] = NO_TARGET
    targets[0, 0] = 5
    true = piece_loss(functional.linear(hidden, weight), targets, reduction)
    monkeypatch.setattr(module, "WHOLE", 97 * 16)  # parts of 16 places
    if own:
        ours = in_parts(hidden.flatten(0, 1), weight, targets.flatten(), reduction)
    else:
        ours = head_loss(hidden, weight, targets, reduction)
    torch.testing.assert_close(ours, true, rtol=1e-12, atol=1e-12)
    for one, two in zip(*(torch.autograd.grad(each, (hidden, weight)) for each in (ours, true)), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in pytree.tree_leaves(made):
            if isinstance(each, torch.Tensor):
                self.entries = max(self.entries, each.numel())
        return made


@pytest.mark.parametrize("own", [True, False])
def test_no_table_of_all_logits_is_made(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE", 4000 * 64)
    hidden, weight = torch.randn(1, 2048, 16, requires_grad=True), torch.randn(4000, 16, requires_grad=True)
    targets = torch.randint(4000, (1, 2048))
    with Largest() as largest:
        if own:
            in_parts(hidden.flatten(0, 1), weight, targets.flatten(), "mean").backward()
        else:
            head_loss(hidden, weight, targets).backward()
    assert 4000 * 16 <= largest.entries <= 2048 * 4000 // 4


def test_under_autocast_it_is_computed_in_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE", 97 * 16)
    hidden, weight = torch.randn(2, 64, 16), torch.randn(97, 16)
    targets = torch.randint(97, (2, 64))
    true = piece_loss(functional.linear(hidden, weight), targets)
    with torch.autocast("cpu", torch.bfloat16):
        ours = head_loss(hidden, weight, targets)
    torch.testing.assert_close(ours.float(), true, rtol=2e-2, atol=2e-2)
