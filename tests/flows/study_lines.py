"""A synthetic study with effects that are known: lines and articles as `valency study` leaves them."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.study_report.load import read_line
from flows.study_report.records import Run

EFFECT = {
    "dense": 0.0,
    "dense+tag": -0.001,
    "dense+permuted": 0.0,
    "dense+tagloss": 0.004,
    "windows": -0.006,
    "cut": -0.005,
    "random-sentence": 0.003,
    "sentence": -0.010,
    "dense-windows": -0.008,
    "dense-cut": -0.009,
    "dense-sentence": -0.011,
    "windows+sentence": -0.007,
    "sentence+tag": -0.010,
    "sentence+pos-permuted": -0.009,
    "sentence+pos-other": -0.008,
    "sentence+pos": -0.0105,
    "random-pos": 0.02,
    "pos": 0.006,
    "dense+tag-leaky": -0.05,
    "pos-leaky": -0.04,
    "sentence+pos-leaky": -0.06,
}
"""What each recipe adds to dense's bits per byte, as a fraction of it."""
FAMILY = {name: "grammar" if "tag" in name or "pos" in name or "permuted" in name else "near" for name in EFFECT}
FAMILY["dense"] = "dense"
RECIPE = "0123456789ab"
"""Digest of every line's recipe."""
TAGGED = [name for name in EFFECT if FAMILY[name] == "grammar" and name != "random-pos"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a synthetic study holds."""

    corpora: Mapping[str, int] = field(default_factory=lambda: {"wikitext2": 30, "brown": 20})
    """Test articles of each."""
    sizes: tuple[str, ...] = ("six", "seed")
    positions: tuple[str, ...] = ("rotary", "learned")
    effect: Mapping[str, float] = field(default_factory=lambda: dict(EFFECT))
    seeds: Mapping[str, int] = field(default_factory=lambda: {"dense": 5, "sentence": 5})
    """By recipe; others have three."""
    steps: int = 1000
    short: tuple[int, ...] = (400, 600, 800)
    trials: Mapping[str, int] = field(default_factory=lambda: {"dense": 4, "near": 4, "grammar": 4})
    seed_noise: float = 0.001
    article_noise: float = 0.01
    leaks: Mapping[str, float] = field(default_factory=dict)
    """Leak in nats of recipes that leak though they promise not to."""


def write_study(folder: Path, plan: Plan | None = None, name: str = "first_study") -> Path:
    """The file of lines; its articles lie beside it."""
    lines, rows = make_study(plan or Plan())
    return write(folder, lines, rows, name)


def write(folder: Path, lines: Iterable[object], rows: list[dict[str, Any]], name: str = "first_study") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    schema = pa.schema(
        [
            ("run", pa.dictionary(pa.int32(), pa.string())),
            ("split", pa.dictionary(pa.int32(), pa.string())),
            ("document", pa.dictionary(pa.int32(), pa.string())),
            ("nats", pa.float32()),
            ("pieces", pa.int32()),
            ("bytes", pa.int32()),
        ]
    )
    pq.write_table(
        pa.Table.from_pylist(rows, schema=schema), file.with_name(f"{name}.articles.parquet"), compression="zstd"
    )
    return file


def make_study(plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines and article rows."""
    lines: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for corpus, articles in plan.corpora.items():
        for size in plan.sizes:
            lines += _search(plan, corpus, size)
            for positions in plan.positions:
                for recipe in plan.effect:
                    for steps in (*plan.short, plan.steps):
                        for seed in range(plan.seeds.get(recipe, 3)):
                            some = _articles(plan, corpus, size, positions, recipe, steps, seed, articles)
                            lines.append(_scored(plan, some))
                            rows += some["test"] + some["validation"]
    return lines, rows


def line(**changes: Any) -> dict[str, Any]:
    """One line of a study, with some of its values changed."""
    settings = {
        **{"views": ["dense"] * 8, "control": "none", "tags": False, "tag_loss": 0.0, "layers": 6, "dim": 256},
        **{"heads": 8, "learning_rate": 0.002, "weight_decay": 0.1, "dropout": 0.1, "rows": 32, "length": 256},
        **{"warmup": 200, "precision": "bf16-mixed"},
    }
    whole = {
        **{"study": "first_study", "stage": "grid", "corpus": "wikitext2", "size": "six", "recipe": "dense"},
        **{"family": "dense", "positions": "rotary", "seed": 0, "trial": None, "leak_free": True},
        **{"max_change": 1.2e-15, "leaky": False, "steps": 1000, "bits_per_byte": 1.2, "perplexity": 55.6},
        **{"test_bits_per_byte": 1.2, "test_perplexity": 54.9, "leak_nats": None, "gain_nats": None},
        **{"attributes": {}, "curve": [[500, 1.4], [1000, 1.2]], "settings": settings, "parameters": 7_000_000},
        **{"pieces": 8_192_000, "seconds": 12.3, "packed": 8, "command": "valency study data/studies/first_study.toml"},
        **{"made_from": {"recipe": RECIPE, "pieces": "ba9876543210"}},
        **{"format": 3, "certificate": certificate()},
        **{"commit": "0123456789abcdef", "versions": {"python": "3.12.3", "torch": "2.12.0"}, "device": "NVIDIA H200"},
        **changes,
    }
    trial = "" if whole["trial"] is None else f"-{whole['trial']}"
    parts = [whole[key] for key in ("corpus", "size", "positions", "recipe")]
    name = "/".join([*parts, f"{whole['stage']}{trial}", str(whole["steps"]), str(whole["seed"])])
    return {"run": name, **whole}


def certificate(**changes: Any) -> dict[str, Any]:
    """What a replay leaves in a line; `attributes="other"` makes it fail."""
    held = {"certified": not changes, "first_break": None, "documents": 4, "pieces": 1024, "max_difference": 3e-15}
    digests = {"attributes": "aa", "attributes_streamed": "aa", "keys": "bb", "keys_streamed": "bb"}
    return {**held, **digests, "recipe": RECIPE, **changes}


def _search(plan: Plan, corpus: str, size: str) -> list[dict[str, Any]]:
    unseen = {"test_bits_per_byte": None, "test_perplexity": None, "corpus": corpus, "size": size}
    unseen |= {"certificate": None, "leak_free": None, "max_change": None}
    found = []
    for steps in (plan.steps, 2 * plan.steps):
        bits = 1.2 + 0.01 * (steps > plan.steps)
        found.append(line(stage="horizon", steps=steps, bits_per_byte=bits, **unseen))
    recipes = {"dense": "dense", "near": "sentence", "grammar": "sentence+pos"}
    for family, trials in plan.trials.items():
        for trial in range(trials):
            settings = line()["settings"] | {"learning_rate": 0.001 * 2**trial, "dropout": 0.1 * (trial % 2)}
            place = {"recipe": recipes[family], "family": family, "trial": trial, "settings": settings}
            found.append(line(stage="tuning", bits_per_byte=1.2 + 0.01 * trial, **place, **unseen))
    return found


def _articles(
    plan: Plan, corpus: str, size: str, positions: str, recipe: str, steps: int, seed: int, articles: int
) -> dict[str, Any]:
    level = 1.2 + 0.2 * (size == "seed") + 0.03 * (positions == "learned") + 0.05 * (corpus == "brown")
    level *= 1 + plan.effect[recipe] + 0.02 * (plan.steps / steps - 1)
    common = np.random.default_rng([len(corpus), len(size)])  # the same articles for every run
    bytes_a = common.integers(2_000, 20_000, articles)
    hard = 1 + 0.1 * common.standard_normal(articles)
    own = np.random.default_rng([len(corpus), len(size), len(positions), sorted(EFFECT).index(recipe), seed, steps])
    shared = np.random.default_rng([len(corpus), len(size), len(positions), sorted(EFFECT).index(recipe)])
    noise = plan.article_noise * shared.standard_normal(articles) + plan.seed_noise * own.standard_normal()
    nats = level * (hard + noise) * bytes_a * math.log(2)
    rows = {}
    for split in ("test", "validation"):
        name = f"{corpus}/{size}/{positions}/{recipe}/{'grid' if steps == plan.steps else 'short'}/{steps}/{seed}"
        documents = [{"run": name, "split": split, "document": f"{corpus}/{split}#{n}"} for n in range(articles)]
        sizes = [{"pieces": int(size_b) // 4, "bytes": int(size_b)} for size_b in bytes_a]
        rows[split] = [
            {**one, "nats": float(value), **two} for one, value, two in zip(documents, nats, sizes, strict=True)
        ]
    place = {"corpus": corpus, "size": size, "positions": positions, "recipe": recipe, "steps": steps, "seed": seed}
    return {**rows, "place": place}


def _scored(plan: Plan, some: dict[str, Any]) -> dict[str, Any]:
    nats, pieces, bytes_ = (sum(row[name] for row in some["test"]) for name in ("nats", "pieces", "bytes"))
    bits, place = nats / math.log(2) / bytes_, some["place"]
    recipe, steps = place["recipe"], place["steps"]
    leaky = recipe.endswith("-leaky")
    leak = plan.leaks.get(recipe, 0.09 if leaky else 0.0)
    curve = [[steps * part // 10, bits * (1 + 0.3 / part - 0.03)] for part in range(1, 11)]
    told = {"leak_nats": leak, "gain_nats": 0.1, "attributes": {"input_tag": {"gain": 0.1, "leak": leak}}}
    return line(
        **place,
        stage="grid" if steps == plan.steps else "short",
        family=FAMILY[recipe],
        leaky=leaky,
        leak_free=leak == 0.0,
        max_change=0.02 if leak else 1.2e-15,
        bits_per_byte=bits,
        perplexity=math.exp(nats / pieces),
        test_bits_per_byte=bits,
        test_perplexity=math.exp(nats / pieces),
        curve=curve,
        **(told if recipe in TAGGED else {}),
    )


def json_line(**changes: Any) -> str:
    """As `line`, in JSON."""
    return json.dumps(line(**changes))


def line_run(**changes: Any) -> Run:
    """As `line`, read."""
    return read_line(json_line(**changes), "here")
