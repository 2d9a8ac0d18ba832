"""Other bonds over words that are cached: `valency preprocess --reuse`, `valency control`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.results import write_json

if TYPE_CHECKING:
    from pipeline.bonds import BondConfig


def reuse_words(
    cache: Path | None, corpora: Sequence[str], condition: str | None, mode: str | None, json_file: Path | None
) -> None:
    """A layer of a mode, or of the kinds for which the condition holds; other settings as the cache's, or a mode's.

    Without mode and condition: the kinds that ship.
    """
    from pipeline.bonds import BondConfig
    from pipeline.bonds.modes import mode_config
    from pipeline.cache.made import config_of
    from pipeline.rebond import kinds_where

    if cache is None:
        raise ValueError("--bonds chooses kinds for words that are cached; name their cache with --reuse")
    if corpora:
        raise ValueError("--reuse takes the words of the cache; leave the corpora out, or --reuse")
    if mode and condition:
        raise ValueError("--mode has kinds of its own; leave --bonds out, or --mode")
    known = config_of(cache)
    if mode:
        config = mode_config(mode, known)
    else:
        kinds = kinds_where(cache, condition) if condition else BondConfig().kinds
        plain = BondConfig() if known.mode else known  # a mode's settings are its own
        config = replace(plain, kinds=kinds, control="", control_seed=0)
    _rebond(cache, config, json_file)


def control(
    cache: Annotated[Path, typer.Argument(help="Folder of a cache with bonds.")],
    by: Annotated[str, typer.Option(help="random-keys, same-distances, other-sentence, permuted-tags, random-tree.")],
    like: Annotated[list[str] | None, typer.Option(help="A kind to match; may be said again. None: all.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.", min=0)] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result to this file, for machines.")
    ] = None,
) -> None:
    """Bonds with the grammar taken out, matched to the cache's own, as its new current layer; the old one stays."""
    from pipeline.cache.made import config_of
    from pipeline.controls import CONTROLS

    if by not in CONTROLS:
        raise ValueError(f"there is no control {by!r}; choose one of {', '.join(CONTROLS)}")
    config = config_of(cache)
    _rebond(cache, replace(config, kinds=tuple(like or config.kinds), control=by, control_seed=seed), json_file)


def _rebond(cache: Path, config: "BondConfig", json_file: Path | None) -> None:
    from pipeline.rebond import rebond

    account, layer = rebond(cache, config)
    said = {"layer": layer, "words": account.words, "bonds": account.bonds, "bonds_by_kind": account.bonds_by_kind}
    write_json({**said, "settings": asdict(config)}, json_file)
    typer.echo(f"{account.bonds:,} bonds over {account.words:,} words in {cache / layer}")
    if note := leak_note(cache, config.mode):
        typer.echo(note)


def leak_note(cache: Path, mode: str | None) -> str:
    """What a mode does not keep over the words of this cache; empty if nothing, or without a mode."""
    from pipeline.bonds.modes import MODES
    from pipeline.cache.layout import Cache

    if not mode or not MODES[mode].causal:
        return ""
    opened = Cache.open(cache)
    parser = opened.layers().get(opened.layer("words"), {}).get("parser")
    if parser == "prefix":
        return ""
    return (
        f"these words are the parser {parser}'s, which has read whole sentences: causal models on these bonds are "
        "leaky; preprocess with --parser prefix for bonds that are not"
    )
