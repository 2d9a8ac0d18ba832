"""There and back: a model whose attention is ours, and the same model as it was."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from torch import nn

from model.attention import MECHANISMS
from model.attention.views import ViewsAttention
from model.config import ModelConfig
from model.config.checks import nearest
from model.swap.layers import Place, Shape, chosen, kind_of, places_of
from model.swap.mixer import DROPOUTS, GLOBALS, Mixer
from model.swap.report import HOOKS, MINE, Checked, Made, Reads, Report
from model.swap.route import FALLBACKS, PREFIX, register
from model.views import mask_names

if TYPE_CHECKING:
    from model.reading import Reader

GIVEN = {"layers", "dim", "heads", "kv_heads", "positions", "pattern"}
"""Settings that the model decides."""
LONGEST = 4096
"""Places that a mechanism has to know of beforehand, if it does, where the model does not say."""
FROM_PLACES = ("dense", "window")
"""Masks that places alone decide."""


def swap_attention(
    model: nn.Module,
    mechanism: str,
    layers: Sequence[int] | str | None = None,
    *,
    reader: "Reader | None" = None,
    dropout: str = "keys",
    position_bias: str = "keep",
    global_tokens: str = "refuse",
    **settings: Any,
) -> Report:
    """Mix with one of our mechanisms in a transformers model, in place; its weights stay, and `restore` undoes it.

    layers: numbers of self-attention modules (an encoder's come before its decoder's), a pattern of names such as
    "decoder.*", or None for all. reader: what reads words off the model's ids (`model.swap.reader_for`), for views that
    need words; else tell the model by `told`. dropout: of attention weights in training, `keys` (one coin a key), `off`
    or `refuse`. position_bias: T5's, `keep` (views only) or `drop`. global_tokens: Longformer's, `refuse` where others
    would not see them, or `rows`. settings: of the mechanism, or of ModelConfig, such as views=….

    Errors: ValueError for a model, mechanism or setting that does not fit, with what would; the model is then as it
    was.
    """
    _check(model, mechanism, dropout, position_bias, global_tokens)
    places = places_of(model)
    numbers = chosen(places, layers)
    picked = [places[number] for number in numbers]
    report = Report(
        model,
        mechanism,
        tuple(place.name for place in picked),
        tuple(place.name for number, place in enumerate(places) if number not in numbers),
    )
    report.dropout, report.global_tokens, report.reader = dropout, global_tokens, reader
    configs = _configs(model, picked)
    mixers = [
        Mixer(mechanism, _settings(mechanism, place.shape, {**settings}, _longest(model)), number, place, report)
        for number, place in zip(numbers, picked, strict=True)
    ]
    biased = any((kind := kind_of(place.module)) and kind.biased for place in picked)
    report.keeps_bias = biased and position_bias == "keep"
    if report.keeps_bias and not isinstance(mixers[0].mechanism, ViewsAttention):
        raise ValueError(
            f"the mechanism {mechanism!r} has no scores of pairs to add the model's position bias to; give "
            "position_bias='drop' to go without it (and train again), or swap to views"
        )
    report.reads_words = any(_reads_words(mixer) for mixer in mixers)
    for place, mixer in zip(picked, mixers, strict=True):
        place.module.add_module("valency", mixer.train(place.module.training))
    _put(model, report, places, picked, configs)
    return report


def restore(model: nn.Module) -> None:
    """Give a swapped model back as it was. Errors: ValueError for one that is not swapped."""
    report: Report | None = model.__dict__.get(MINE)
    if report is None:
        raise ValueError(
            f"this {type(model).__name__} is not swapped; give the very model that swap_attention was given"
        )
    for config, before in report.before:
        config._attn_implementation_internal = before
    modules = dict(model.named_modules())
    for name in report.layers:
        del modules[name].valency
    for name, its in report.classes.items():
        modules[name].__class__ = its
    for module in modules.values():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for number in [number for number, hook in hooks.items() if isinstance(hook, HOOKS)]:
                del hooks[number]
                module._forward_pre_hooks_with_kwargs.pop(number, None)
    del model.__dict__[MINE]


def _check(model: nn.Module, mechanism: str, dropout: str, position_bias: str, global_tokens: str) -> None:
    if MINE in model.__dict__ or any(isinstance(module, Mixer) for module in model.modules()):
        raise ValueError("this model is swapped already; restore it first (model.swap.restore)")
    if mechanism not in MECHANISMS:
        raise ValueError(f"mechanism is {mechanism!r}; {nearest(mechanism, MECHANISMS)}")
    for name, value, known in (
        ("dropout", dropout, DROPOUTS),
        ("position_bias", position_bias, ("keep", "drop")),
        ("global_tokens", global_tokens, GLOBALS),
    ):
        if value not in known:
            raise ValueError(f"{name} is {value!r}; {nearest(value, known)}")


def _settings(mechanism: str, shape: Shape, settings: dict[str, Any], longest: int) -> ModelConfig:
    """The settings of a mechanism that fits. Places are the model's own, so queries and keys are not turned again."""
    entry = MECHANISMS[mechanism]
    # Mechanisms of a family may share settings, and name some that go well together.
    field = getattr(entry, "settings", "") or mechanism
    presets: Mapping[str, Mapping[str, Any]] = getattr(entry, "presets", {})
    if (preset := settings.pop("preset", None)) is not None:
        if preset not in presets:
            raise ValueError(f"{mechanism} has no preset {preset!r}; {nearest(preset, presets) if presets else 'none'}")
        settings = {**presets[preset], **settings}
    known = {each.name for each in fields(ModelConfig)} - GIVEN
    own: Any = getattr(ModelConfig(), field, None)
    inner = {each.name for each in fields(own)} if is_dataclass(own) else set[str]()
    for name in settings:
        if name not in known | inner:
            raise ValueError(f"{mechanism} has no setting {name!r}; {nearest(name, sorted(known | inner))}")
    outer: dict[str, Any] = {"context": longest} | {name: each for name, each in settings.items() if name not in inner}
    if "views" in outer:
        outer["views"] = (outer["views"],) if isinstance(outer["views"], str) else tuple(outer["views"])
    if inner & settings.keys():
        outer[field] = replace(own, **{name: each for name, each in settings.items() if name in inner})
    return ModelConfig(
        layers=1,
        dim=shape.heads * shape.width,
        heads=shape.heads,
        kv_heads=shape.key_heads,
        positions="learned",
        pattern=(mechanism,),
        **outer,
    )


def _longest(model: nn.Module) -> int:
    """Places that the model has, as far as its configuration says."""
    config = getattr(model, "config", None)
    return int(getattr(config, "max_position_embeddings", None) or LONGEST)


def _reads_words(mixer: Mixer) -> bool:
    if not isinstance(mixer.mechanism, ViewsAttention):
        return False
    return any(name not in FROM_PLACES for view in mixer.mechanism.views for name in mask_names(view))


def _configs(model: nn.Module, picked: Sequence[Place]) -> list[Any]:
    """Configurations that say which attention the swapped layers call, and those of the models around them, which make
    the masks. Errors: ValueError for one that we cannot stand in for."""
    if not any((kind := kind_of(place.module)) and kind.interface for place in picked):
        return []
    around = [module for name, module in model.named_modules() if _holds(name, picked)]
    found = {id(config): config for module in around if (config := getattr(module, "config", None)) is not None}
    for config in found.values():
        now = getattr(config, "_attn_implementation", None)
        if now not in FALLBACKS:
            raise ValueError(f"this model's attention is {now!r}; load it with attn_implementation='sdpa' or 'eager'")
        if not getattr(config, "is_causal", True):
            raise ValueError(
                "this model was told to read both ways by its configuration's is_causal=False; leave it out"
            )
        if getattr(config, "reorder_and_upcast_attn", False):
            raise ValueError("this model reorders and upcasts its attention; set reorder_and_upcast_attn=False")
    return list(found.values())


def _holds(name: str, picked: Sequence[Place]) -> bool:
    return any(not name or place.name == name or place.name.startswith(f"{name}.") for place in picked)


def _put(
    model: nn.Module, report: Report, places: Sequence[Place], picked: Sequence[Place], configs: Sequence[Any]
) -> None:
    """What leads calls to the mixers, counts them, and can be undone."""
    if configs:
        register()
    report.before = [(config, config._attn_implementation_internal) for config in configs]
    for config, before in report.before:
        config._attn_implementation_internal = PREFIX + before
    for place in picked:
        if (kind := kind_of(place.module)) and not kind.interface:
            from model.swap.longformer import MixedSelfAttention

            report.classes[place.name] = type(place.module)
            place.module.__class__ = MixedSelfAttention
    for place in places:
        place.module.register_forward_pre_hook(Made(report, place.name))
    if report.reader is not None:
        for stack, causal in _stacks(model, picked):
            stack.register_forward_pre_hook(Reads(report, causal), with_kwargs=True)
    model.register_forward_hook(Checked(report))
    model.__dict__[MINE] = report


def _stacks(model: nn.Module, picked: Sequence[Place]) -> list[tuple[nn.Module, bool]]:
    """The innermost transformers models around the swapped layers, which are given ids, and their time orders."""
    from transformers import PreTrainedModel

    found: dict[int, tuple[nn.Module, bool]] = {}
    modules = dict(model.named_modules())
    for place in picked:
        parts = place.name.split(".")
        above = (modules[".".join(parts[:end])] for end in range(len(parts) - 1, -1, -1))
        stack = next(module for module in chain(above, [model]) if isinstance(module, PreTrainedModel))
        found[id(stack)] = stack, place.shape.causal
    return list(found.values())
