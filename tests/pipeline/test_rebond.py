"""Other bonds over cached words: no parser is asked, the old layer stays, and conditions are locked down."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli_bonds import reuse_words
from pipeline.bonds import BondConfig
from pipeline.bonds.modes import mode_config
from pipeline.cache.layout import Cache
from pipeline.cache.made import config_of
from pipeline.cache.read import read_bonds
from pipeline.cache.verify import verify
from pipeline.errors import Failure
from pipeline.rebond import kinds_where, rebond
from pipeline.records import KINDS, Bonds
from pipeline.stages import Done
from tests.flows.test_cli import valency
from tests.pipeline.fakes import cache_of, digests


def kinds_in(folder: Path) -> set[str]:
    return {KINDS[kind] for bonds in all_bonds(folder) for kind in bonds.kind.tolist()}


def all_bonds(folder: Path) -> list[Bonds]:
    cache = Cache.open(folder)
    return [bonds for shard in range(cache.shards) for bonds in read_bonds(cache, shard)]


def test_other_kinds_beside_the_old_ones(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    before, old = digests(cache.folder), cache.current()
    assert kinds_in(cache.folder) > {"dependency"}
    account, layer = rebond(cache.folder, BondConfig(kinds=("dependency",)))
    assert kinds_in(cache.folder) == {"dependency"}
    assert account.bonds == account.bonds_by_kind["dependency"] > 0
    assert cache.current() == old | {"bonds": layer, "stats": layer.replace("bonds/", "stats/")}
    assert before.items() <= digests(cache.folder).items()
    assert config_of(cache.folder) == BondConfig(kinds=("dependency",))
    assert verify(cache) == []


def test_a_layer_that_is_there_costs_nothing(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    config, done = BondConfig(control="random-keys"), list[Done]()
    first = rebond(cache.folder, config)
    rebond(cache.folder, BondConfig())
    assert rebond(cache.folder, config, done.append) == first
    assert [each.reused for each in done] == [True] * cache.shards
    assert kinds_in(cache.folder) > {"dependency"}
    assert all(rule.startswith("random-keys: ") for bonds in all_bonds(cache.folder) for rule in bonds.rule.values)


@pytest.mark.parametrize(
    ("condition", "kinds"),
    [
        ("kind != 'cohesion'", set(BondConfig().kinds) - {"cohesion"}),
        ("kind = 'blocked' OR kind = 'open'", {"blocked", "open"}),
        ("kind IN ('role', 'binding')", {"role", "binding"}),
        (
            "kind LIKE 'd%' OR length(kind) = 4",
            {"dependency", *(kind for kind in BondConfig().kinds if len(kind) == 4)},
        ),
    ],
)
def test_a_condition_chooses_kinds(condition: str, kinds: set[str], tmp_path: Path) -> None:
    assert set(kinds_where(cache_of(tmp_path).folder, condition)) == kinds


@pytest.mark.parametrize(
    "condition",
    [
        *("rule = 'nsubj'", "kind = ", "kind = 'x'", "1 = 0", "true) UNION SELECT 'role' --"),
        *("kind IN (SELECT text FROM read_text('/etc/passwd'))", "true; DROP TABLE bonds", "kind = getenv('HOME')"),
    ],
)
def test_what_is_no_condition_on_kinds_is_refused(condition: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no condition on kind|no kind of bond is left"):
        kinds_where(cache_of(tmp_path).folder, condition)


def test_settings_of_another_program_are_not_taken_for_ours(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)  # its layer says nothing of settings
    assert config_of(cache.folder) == BondConfig()
    with pytest.raises(ValueError, match="is no cache"):
        rebond(tmp_path, BondConfig())


def test_words_that_are_not_there_cannot_be_bonded(tmp_path: Path) -> None:
    empty = Cache.create(tmp_path / "empty")
    with pytest.raises(ValueError, match="has no layer 'words'"):
        rebond(empty.folder, BondConfig())
    cache = cache_of(tmp_path)
    cache.file(cache.layer("words"), 0).unlink()
    with pytest.raises((ValueError, Failure), match="missing or damaged"):
        rebond(cache.folder, replace(BondConfig(), hops=1))


@pytest.mark.slow
def test_the_commands(tmp_path: Path) -> None:
    cache_of(tmp_path)
    done = valency(
        "control", "cache", "--by", "same-distances", "--like", "dependency", "--json", "c.json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "c.json").read_text())
    assert {kind for kind, number in said["bonds_by_kind"].items() if number} == {"dependency"}
    assert said["settings"]["control"] == "same-distances"
    done = valency("preprocess", "--reuse", "cache", "--bonds", "kind != 'dependency'", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "dependency" not in kinds_in(tmp_path / "cache")
    rebond(tmp_path / "cache", BondConfig(cohesion_reach=1, control="random-keys"))
    done = valency("preprocess", "--reuse", "cache", "--bonds", "kind = 'role'", cwd=tmp_path)
    assert config_of(tmp_path / "cache") == BondConfig(kinds=("role",), cohesion_reach=1), "its settings, no control"
    for words, said in (
        (["control", "cache", "--by", "chance"], "choose one of"),
        (["control", "cache", "--by", "random-keys", "--like", "near"], "unknown bond kind"),
        (["preprocess", "--bonds", "true"], "--reuse"),
        (["preprocess", "text", "--reuse", "cache"], "leave the corpora out"),
        (["preprocess", "--reuse", "cache", "--bonds", "rule = 'x'"], "is no condition on kind"),
    ):
        done = valency(*words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr


def test_a_mode_over_cached_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = cache_of(tmp_path).folder
    rebond(cache, BondConfig(kinds=("role",), cohesion_reach=1))
    reuse_words(cache, [], None, "causal", tmp_path / "m.json")
    assert "causal models on these bonds are leaky" in capsys.readouterr().out, "its words are not the prefix parser's"
    assert json.loads((tmp_path / "m.json").read_text())["settings"]["mode"] == "causal"
    assert config_of(cache) == mode_config("causal", BondConfig(cohesion_reach=1))
    assert {"open", "dependency"} <= kinds_in(cache)
    reuse_words(cache, [], None, None, None)
    assert "leaky" not in capsys.readouterr().out
    assert config_of(cache) == BondConfig(), "a mode's settings go with it"
    reuse_words(cache, [], None, "pos_only", None)
    assert not kinds_in(cache), "tags are never stored pair by pair"
    with pytest.raises(ValueError, match="did you mean 'causal'"):
        reuse_words(cache, [], None, "casual", None)
    with pytest.raises(ValueError, match="leave --bonds out"):
        reuse_words(cache, [], "true", "near", None)
