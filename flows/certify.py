"""`valency certify`: a trained run replayed piece by piece in a process that receives only the past."""

import json
from pathlib import Path

from model.checkpoint import write_whole
from model.columns import read_layer
from model.evaluate.certificate import Certificate, CertificateConfig, certify, drawn
from model.inputs import recipe_change, recipe_splits
from model.run import load_readers, load_result, load_run

CERTIFICATE = "certificate.json"
HELD_OUT = ("validation", "test")


def certify_run(run: Path, cache: Path | None = None, config: CertificateConfig | None = None) -> Certificate:
    """Replay held-out documents of the cache that a run was trained on, and write the certificate into the run.

    cache: none looks for one where `valency run` and `valency train` have it, at ../../cache from the run. Errors:
    ValueError if the run is not finished, or the cache is not there or not the run's; Failure if it is damaged, holds
    nothing held out, or the replay fails.
    """
    model, recipe = load_run(run)
    result = load_result(run)
    assert result is not None  # load_run has seen it
    beside = run.absolute().parents[1] / "cache"
    if cache is None and not (beside / "cache.json").is_file():
        raise ValueError(f"there is no cache beside {run}; name the one it was trained on with --cache FOLDER")
    reads = recipe.model
    layer = read_layer(cache or beside, bonds=reads.reads_bonds(), facts=reads.reads_facts())
    if layer.digest() != result.made_from["pieces"]:
        raise ValueError(f"{run} was trained on other pieces than those of {cache or beside}; name its cache, --cache")
    config = config or CertificateConfig()
    splits = recipe_splits(layer, recipe)
    split = next((splits[name] for name in HELD_OUT if splits[name].documents), splits["validation"])
    found = certify(
        model,
        recipe,
        *load_readers(run),
        drawn(split, config),
        bonds=layer.bonds,
        pieces=config.pieces,
        change=recipe_change(layer, recipe),
        seed=config.seed,
    )
    write_whole(run / CERTIFICATE, json.dumps(found.to_json(), indent=1) + "\n")
    return found
