"""Batches made ahead are the batches, and a checkpoint knows nothing of those that nobody was given."""

from typing import Any

import pytest
import torch
from torch import Tensor

from model.ahead import Ahead


class Counting:
    """Rows that count; at 5 they fail."""

    def __init__(self) -> None:
        self.count = 0

    def state(self) -> dict[str, int]:
        return {"count": self.count}

    def resume(self, state: dict[str, Any]) -> None:
        self.count = state["count"]

    def next(self) -> Tensor:
        self.count += 1
        if self.count == 5:
            raise OSError("the fifth is damaged")
        return torch.tensor(self.count)


def ahead(kind: str) -> Ahead:
    made = Ahead(Counting(), torch.device("cpu"))
    # A batch is moved to where it is already: the thread is what is tried, and a CPU has none otherwise.
    made.device = _Elsewhere() if kind == "ahead" else made.device  # type: ignore[assignment]
    return made


class _Elsewhere:
    """No CPU by name, and yet one to tensors."""

    type = "elsewhere"


@pytest.fixture(autouse=True)
def stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor)


@pytest.mark.parametrize("kind", ["ahead", "as asked"])
def test_batches_and_states_are_those_of_the_rows(kind: str) -> None:
    rows = ahead(kind)
    assert rows.state() == {"count": 0}
    assert int(rows.next()) == 1
    assert int(rows.next()) == 2
    assert rows.state() == {"count": 2}
    rows.resume({"count": 1})
    assert rows.state() == {"count": 1}
    assert int(rows.next()) == 2
    assert rows.state() == {"count": 2}
    rows.close()


@pytest.mark.parametrize("kind", ["ahead", "as asked"])
def test_an_error_comes_when_its_batch_is_asked_for(kind: str) -> None:
    rows = ahead(kind)
    rows.resume({"count": 2})
    assert [int(rows.next()) for _ in range(2)] == [3, 4]
    with pytest.raises(OSError, match="fifth"):
        rows.next()
    rows.resume({"count": 6})
    assert int(rows.next()) == 7
    rows.close()


@pytest.mark.parametrize("kind", ["ahead", "as asked"])
def test_what_is_done_to_a_batch_is_done_before_it_is_asked_for(kind: str) -> None:
    rows, heard = ahead(kind), list[int]()

    def ready(batch: Tensor) -> Tensor:
        heard.append(int(batch))
        return 10 * batch

    rows.ready = ready
    assert int(rows.next()) == 10
    rows.close()  # waits for the thread
    assert heard == ([1, 2] if kind == "ahead" else [1])
