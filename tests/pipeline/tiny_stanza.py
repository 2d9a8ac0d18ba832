"""A Stanza model that a test trains itself, on the German sample alone: it knows those sentences and little else."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.fit.stanza import StanzaConfig, fit_stanza

SAMPLE = Path(__file__).with_name("treebanks") / "de_sample-ud-test.conllu"
CONFIG = StanzaConfig(tokenizer_steps=80, mwt_epochs=4, pos_steps=10, depparse_steps=10, hidden=16)


def train_tiny(folder: Path) -> Path:
    """The folder of its models; about a minute. Skips the test where Stanza is not installed."""
    if find_spec("stanza") is None:
        pytest.skip("Stanza is not installed; pip install 'valency[stanza]'")
    for split in ("train", "dev"):
        shutil.copy(SAMPLE, folder / f"de_sample-ud-{split}.conllu")
    fit_stanza(folder, folder / "models", CONFIG)
    return folder / "models"
