"""`valency certify`: a trained run replayed piece by piece in a process that receives only the past."""

import json
from pathlib import Path

from flows.runs import cache_of, layer_of
from model.checkpoint import write_whole
from model.evaluate.certificate import Certificate, CertificateConfig, certify, drawn
from model.inputs import recipe_change, recipe_splits
from model.run import load_readers, load_run

CERTIFICATE = "certificate.json"
HELD_OUT = ("validation", "test")


def certify_run(run: Path, cache: Path | None = None, config: CertificateConfig | None = None) -> Certificate:
    """Replay held-out documents of the cache that a run was trained on, and write the certificate into the run.

    cache: none looks for one where `valency run` and `valency train` have it, at ../../cache from the run. Errors:
    ValueError if the run is not finished, or the cache is not there or not the run's; Failure if it is damaged, holds
    nothing held out, or the replay fails.
    """
    model, recipe = load_run(run)
    layer = layer_of(run, cache_of(run, cache))
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
