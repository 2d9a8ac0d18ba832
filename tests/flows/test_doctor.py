"""The doctor hears every check, says what to do, and does not call the sick well."""

import json
from pathlib import Path

import pytest
import torch

import flows.doctor as doctor
import model.attention.check as check
from flows.doctor import CHECKS, Skip, examine
from pipeline.errors import Failure
from tests.flows.test_cli import valency


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in ("server", "data", "stanza")])
def test_this_installation_is_well(name: str) -> None:
    assert CHECKS[name]()


def test_each_check_is_heard_whatever_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise Failure("broken: mend it")

    def absent() -> str:
        raise Skip("not here")

    monkeypatch.setattr(doctor, "CHECKS", {"a": broken, "b": absent, "c": lambda: "fine"})
    heard: list[object] = []
    findings = examine(heard.append)
    assert heard == findings
    assert [(each.check, each.state, each.said) for each in findings] == [
        ("a", "failed", "Failure: broken: mend it"),
        ("b", "skipped", "not here"),
        ("c", "ok", "fine"),
    ]


def test_a_package_that_is_missing_or_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda name: ["torch>=99", "no-such-package>=1", "x>=1; extra == 'dev'"])
    with pytest.raises(RuntimeError, match=r"torch is .*, wanted >=99; no-such-package is missing: run `pip install"):
        doctor.packages()


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias * 0)  # sees everything

    assert check.largest_difference(torch.device("cpu")) < 1e-5
    monkeypatch.setattr(check, "attend", attend)
    with pytest.raises(RuntimeError, match="fast and slow attention differ"):
        doctor.kernels()


def test_folders_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VALENCY_DATA", raising=False)
    with pytest.raises(Skip, match="only tests and benchmarks"):
        doctor.data()
    monkeypatch.setenv("VALENCY_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="which is no folder"):
        doctor.data()
    (tmp_path / "brown").mkdir()
    monkeypatch.setenv("VALENCY_DATA", str(tmp_path))
    assert doctor.data() == "1 corpora"


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    done = valency("doctor", "--json", "found.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {each["check"]: each["state"] for each in json.loads((tmp_path / "found.json").read_text())}
    assert list(found) == list(CHECKS)
    assert found["server"] == "ok"
    assert "failed" not in found.values()
