"""The plan of a study, as a TOML file says it: corpora, sizes, recipes, and what each stage runs.

plan = load_plan(Path("data/studies/first_study.toml"))
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.config import ModelConfig, Recipe, TrainConfig
from model.evaluate.certificate import CertificateConfig
from model.toml import build, read_toml

WARMUP = 0.05
"""Part of the steps in which the learning rate rises; evaluations of the curve are twice as far apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One size of model."""

    layers: int
    dim: int
    heads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A recipe of the study, without size, positions and settings."""

    family: str
    views: Mapping[str, tuple[str, ...]]
    """By size; a recipe without views for a size is not run at it."""
    settings: str = ""
    """The family whose best settings it takes; none: its own."""
    tags: bool = False
    tag_loss: float = 0.0
    control: str = "none"
    leaky: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What tuning chooses."""

    learning_rate: float
    weight_decay: float
    dropout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """How long the first family is trained best."""

    recipe: str
    steps: Mapping[str, Mapping[str, tuple[int, ...]]]
    """By corpus and size."""
    dropouts: tuple[float, ...]
    learning_rate: float
    weight_decay: float
    tolerance: float
    """The shortest length is taken whose bits per byte are within this part of the best."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """The same trials for each family."""

    trials: tuple[Settings, ...]
    recipes: Mapping[str, str]
    """The recipe that stands for each family."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Steps and settings that stand already, in place of horizon and tuning: those that another study chose."""

    chosen_by: str
    """The study that chose them."""
    steps: Mapping[str, Mapping[str, int]]
    """By corpus and size."""
    settings: Mapping[str, tuple[float, float, float]]
    """Learning rate, weight decay and dropout by family, the same for every corpus and size."""

    def of(self, family: str) -> Settings:
        rate, decay, dropout = self.settings[family]
        return Settings(learning_rate=float(rate), weight_decay=float(decay), dropout=float(dropout))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """As many other recipes of each family, with its best settings; `name@positions` has positions of its own."""

    corpora: tuple[str, ...]
    sizes: tuple[str, ...]
    recipes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The rows of the tables."""

    seeds: tuple[int, ...]
    recipes: Mapping[str, tuple[str, ...]]
    """By positions."""
    more_seeds: tuple[int, ...] = ()
    """Further seeds of the recipes of `more`, with the first positions."""
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """Annealed runs of parts of the full length."""

    corpora: tuple[str, ...]
    positions: tuple[str, ...]
    seeds: tuple[int, ...]
    fractions: tuple[float, ...]
    recipes: Mapping[str, tuple[str, ...]]
    """By size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole study."""

    name: str
    corpora: tuple[str, ...]
    families: tuple[str, ...]
    """The first is the baseline, whose horizon is everybody's."""
    sizes: Mapping[str, Size]
    arms: Mapping[str, Arm]
    grid: Grid
    horizon: Horizon | None = None
    tuning: Tuning | None = None
    fixed: Fixed | None = None
    """In place of these two."""
    mix: Mix | None = None
    short: Short | None = None
    train: TrainConfig = field(default_factory=TrainConfig)
    """What all runs share: rows, length, precision, clip."""
    certificate: CertificateConfig = field(default_factory=CertificateConfig)
    """How much of each run that is scored is replayed piece by piece in a process that receives only the past."""

    def __post_init__(self) -> None:
        self._check_choices()
        mixed = self.mix.recipes if self.mix else {}
        named = [
            *((self.horizon.recipe,) if self.horizon else ()),
            *(self.tuning.recipes.values() if self.tuning else ()),
            *(name for by in (self.grid.recipes, self.grid.more) for names in by.values() for name in names),
            *(name.partition("@")[0] for names in mixed.values() for name in names),
            *(name for names in (self.short.recipes if self.short else {}).values() for name in names),
        ]
        unknown = sorted({name for name in named if name not in self.arms})
        if unknown:
            raise ValueError(f"there is no recipe {unknown[0]!r}; write a table [recipes.{unknown[0]}]")
        for name, arm in self.arms.items():
            for family in (arm.family, arm.settings or arm.family):
                if self.tuning and family not in self.tuning.recipes:
                    raise ValueError(f"recipe {name!r}: {family!r} is no family with a recipe under [tuning.recipes]")
                if self.fixed and family not in self.fixed.settings:
                    raise ValueError(f"recipe {name!r}: {family!r} is no family with settings under [fixed.settings]")
            for size in arm.views:
                if size not in self.sizes:
                    raise ValueError(f"recipe {name!r} has views for a size {size!r} that [sizes] does not know")
        self._check_views()
        counts = {family: len(names) for family, names in mixed.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"[mix.recipes] tries {counts}; give each family as many, or the comparison is unfair")

    def _check_views(self) -> None:
        """Errors: ValueError if a stage runs a recipe at a size for which it has no views. The grid leaves it out."""
        for stage, size, name in self._asked():
            if size not in self.sizes:
                raise ValueError(f"[{stage}] runs at a size {size!r}; write a table [sizes.{size}], or take it out")
            if size not in self.arms[name].views:
                raise ValueError(
                    f"recipe {name!r} has no views for the size {size!r}, at which [{stage}] runs it; write "
                    f"views.{size} under [recipes.{name}], or name another recipe in [{stage}]"
                )

    def _asked(self) -> Iterator[tuple[str, str, str]]:
        """(stage, size, recipe) of what the stages before the grid, and [short], run."""
        for size in self.sizes:
            if self.horizon:
                yield "horizon", size, self.horizon.recipe
            for name in self.tuning.recipes.values() if self.tuning else ():
                yield "tuning", size, name
        mixed = self.mix.recipes if self.mix else {}
        for size in self.mix.sizes if self.mix else ():
            for names in mixed.values():
                yield from (("mix", size, name.partition("@")[0]) for name in names)
        for size, names in self.short.recipes.items() if self.short else ():
            yield from (("short", size, name) for name in names)

    def _check_choices(self) -> None:
        """Errors: ValueError unless steps and settings are either chosen here or given."""
        if self.fixed and (self.horizon or self.tuning or self.mix):
            raise ValueError("[fixed] gives steps and settings; leave out [horizon], [tuning] and [mix], or [fixed]")
        if not self.fixed and not (self.horizon and self.tuning):
            raise ValueError("steps and settings must come from somewhere; write [horizon] and [tuning], or [fixed]")
        if self.fixed:
            for corpus in self.corpora:
                if absent := sorted(set(self.sizes) - set(self.fixed.steps.get(corpus, {}))):
                    raise ValueError(f"[fixed.steps] has none for {corpus}.{absent[0]}; write {corpus}.{absent[0]} = …")
            for family, said in self.fixed.settings.items():
                if len(said) != 3:
                    raise ValueError(f"[fixed.settings] {family} is {list(said)}; give rate, weight decay, dropout")
        if self.certificate.pieces > self.train.length:
            raise ValueError(
                f"[certificate] replays {self.certificate.pieces} pieces of a document, and rows have "
                f"{self.train.length}; give at most so many"
            )

    def recipe(self, name: str, size: str, positions: str, steps: int, seed: int, settings: Settings) -> Recipe:
        """The training job of one run."""
        arm, dims = self.arms[name], self.sizes[size]
        model = ModelConfig(
            layers=dims.layers,
            dim=dims.dim,
            heads=dims.heads,
            views=arm.views[size],
            positions=positions,
            context=self.train.length,
            tags=arm.tags,
            tag_loss=arm.tag_loss,
            dropout=settings.dropout,
        )
        train = replace(
            self.train,
            steps=steps,
            seed=seed,
            warmup=max(1, round(WARMUP * steps)),
            evaluate_every=max(1, round(2 * WARMUP * steps)),
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        return Recipe(name=name, leaky=arm.leaky, control=arm.control, model=model, train=train)


def load_plan(file: Path) -> Plan:
    """Errors: ValueError if the file is missing, no TOML, or says something that does not fit, with where."""
    said, where = read_toml(file), str(file)
    return _built(Plan, said, where)


def _built(kind: type[Plan], said: Mapping[str, Any], where: str) -> Plan:
    tables: dict[str, Any] = {
        "sizes": {name: build(Size, each, f"{where}: sizes.{name}") for name, each in said.get("sizes", {}).items()},
        "arms": {name: _arm(each, f"{where}: recipes.{name}") for name, each in said.get("recipes", {}).items()},
        "train": build(TrainConfig, said.get("train", {}), f"{where}: train"),
    }
    length = {"pieces": min(CertificateConfig().pieces, tables["train"].length)}
    tables["certificate"] = build(CertificateConfig, length | said.get("certificate", {}), f"{where}: certificate")
    needed = {"name", "corpora", "families", "sizes", "recipes", "grid"}
    unknown = [key for key in said if key not in {*needed, "train", "certificate", *STAGES}]
    missing = [key for key in needed if key not in said]
    if unknown or missing:
        raise ValueError(
            f"{where}: unknown {', '.join(unknown) or 'nothing'}; missing {', '.join(missing) or 'nothing'}"
        )
    try:
        stages: dict[str, Any] = {name: make(**_frozen(said[name])) for name, make in STAGES.items() if name in said}
        if "tuning" in stages:
            trials = tuple(
                Settings(learning_rate=float(rate), weight_decay=float(decay), dropout=float(dropout))
                for rate, decay, dropout in said["tuning"]["trials"]
            )
            stages["tuning"] = replace(stages["tuning"], trials=trials)
        words: dict[str, Any] = {name: tuple(said[name]) for name in ("corpora", "families")}
        return kind(name=said["name"], **words, **tables, **stages)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{where}: {error}") from error


def _arm(said: Mapping[str, Any], where: str) -> Arm:
    try:
        return Arm(**_frozen(said))
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


STAGES: Mapping[str, Any] = {
    **{"horizon": Horizon, "tuning": Tuning, "fixed": Fixed},
    **{"mix": Mix, "grid": Grid, "short": Short},
}


def _frozen(said: Any) -> Any:
    """Lists as tuples, all the way down."""
    if isinstance(said, dict):
        return {key: _frozen(value) for key, value in said.items()}
    return tuple(_frozen(each) for each in said) if isinstance(said, list) else said
