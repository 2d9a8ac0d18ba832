"""Another layer of bonds over words that are cached: other kinds, or a control. Nothing is parsed again.

valency preprocess --reuse cache --bonds "kind != 'cohesion'"
valency control cache --by random-keys --like dependency
"""

from collections.abc import Callable
from pathlib import Path

from pipeline.accounts import Account, account_of
from pipeline.bonds import BOND_KINDS, BondConfig
from pipeline.cache.layout import DOCUMENTS, Cache
from pipeline.cache.lock import writing
from pipeline.plan import Plan, bond_layers
from pipeline.sql import RefusedError, run_select
from pipeline.stages import Done, bond_shard


def rebond(
    cache: str | Path, config: BondConfig, on_shard: Callable[[Done], None] = lambda done: None
) -> tuple[Account, str]:
    """Make the bonds and statistics that the settings ask for and let them be the cache's current ones.

    Returns what the cache then holds, and the path of the layer. Earlier layers stay; a layer that is there costs
    nothing. One process: bonds are made many times as fast as words.
    Errors: ValueError if there are no words or a setting cannot be, Failure if another process writes the cache.
    """
    opened = Cache.open(cache)
    words = opened.layer("words")
    layers, made = bond_layers(words.rpartition("=")[2], config)
    layers |= {"documents": DOCUMENTS, "words": words}
    with writing(opened):
        for shard in range(opened.shards):
            on_shard(bond_shard(opened, shard, layers, config))
        account = account_of(opened, layers)
        known = opened.layers()
        told = {name: made if name in ("bonds", "stats") else known.get(path, {}) for name, path in layers.items()}
        opened.register(Plan(layers=layers, made=told).entries())
    return account, layers["bonds"]


def kinds_where(cache: str | Path, condition: str) -> tuple[str, ...]:
    """The kinds of bond for which a condition of SQL on `kind` holds, asked as any user's SQL is: locked down.

    Errors: ValueError for what is no condition on `kind`, or holds for none.
    """
    # kinds that do not ship are meant only where they are named: "kind != 'cohesion'" is no wish for blocked pairs
    offered = [kind for kind in BOND_KINDS if kind in BondConfig().kinds or kind in condition]
    kinds = ", ".join(f"('{kind}')" for kind in offered)
    try:
        # whatever the condition is, it runs locked down
        found = run_select(cache, f"SELECT kind FROM (VALUES {kinds}) AS kinds(kind) WHERE {condition}")  # noqa: S608
    except RefusedError as error:
        said = f"{condition!r} is no condition on kind ({error}); write for example: kind != 'cohesion'"
        raise ValueError(said) from error
    chosen = set(found.column(0).to_pylist()) if found.column_names == ["kind"] else set()
    if not chosen or not chosen <= set(BOND_KINDS):
        raise ValueError(f"no kind of bond is left by {condition!r}; the kinds are {', '.join(BOND_KINDS)}")
    return tuple(kind for kind in BOND_KINDS if kind in chosen)
