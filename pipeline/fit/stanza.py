"""Models for the stanza parser, trained on one UD treebank by Stanza's own programs (Qi et al. 2020), each a process.

    valency fit stanza --treebank VALENCY_DATA/ud_english_ewt --out stanza_en

writes `tokenize.pt`, `mwt.pt` (if the treebank has multiword tokens), `pos.pt`, `lemma.pt` and `depparse.pt`, which
`--parser stanza --model stanza_en` reads. No word vectors and no character language model: nothing is downloaded, and
the models are small and somewhat worse than Stanza's. Nothing else in the package imports Stanza's trainers.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Failure

SPLITS = ("train", "dev", "test")
TOLD = 600
"""Characters of a trainer's last words that a failure repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StanzaConfig:
    """How long each part is trained; what is best on dev is kept."""

    tokenizer_steps: int = 2000
    """Batches of 32 paragraphs."""
    mwt_epochs: int = 8
    pos_steps: int = 1500
    """Batches of 60 sentences."""
    depparse_steps: int = 1500
    """Batches of 2,000 words."""
    hidden: int = 200
    """Width of the tagger's and the parser's LSTMs and scorers; Stanza's own have 200 and 400."""
    seed: int = 1234
    device: str = "cpu"
    """Where the trainers run: `cpu` or `cuda`."""

    def __post_init__(self) -> None:
        for name in ("tokenizer_steps", "mwt_epochs", "pos_steps", "depparse_steps", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device is {self.device!r}; give cpu or cuda")


def fit_stanza(
    treebank: Path, out: Path, config: StanzaConfig | None = None, on_step: Callable[[str], None] | None = None
) -> None:
    """Train all parts on a treebank's folder into the folder `out`; a part that lies there already is kept.

    treebank: holds `<language>_<name>-ud-{train,dev}.conllu`, and perhaps test (else dev stands for it).
    Errors: ValueError for another folder or without Stanza; Failure with the trainer's last words if one fails.
    """
    try:
        from stanza.models.common.constant import langcode_to_lang  # late: an extra
    except ImportError as error:
        raise ValueError("training Stanza's models needs Stanza; `pip install 'valency[stanza]'`") from error
    files, short = treebank_files(treebank)
    language, _, corpus = short.partition("_")
    name = f"UD_{langcode_to_lang(language)}-{corpus.upper()}"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="valency-stanza-") as folder:
        work = Path(folder)
        (work / "ud" / name).mkdir(parents=True)
        for split, file in files.items():
            shutil.copy(file, work / "ud" / name / f"{short}-ud-{split}.conllu")
        for part, commands in steps(name, work / "models", config or StanzaConfig()).items():
            if (out / f"{part}.pt").exists():
                continue
            if on_step:
                on_step(part)
            for words in commands:
                _run(words, work)
            made = work / "models" / f"{part}.pt"
            if made.exists():
                shutil.copy(made, out / f"{part}.pt.new")
                (out / f"{part}.pt.new").replace(out / f"{part}.pt")
            elif part != "mwt":
                raise Failure(f"Stanza's trainer of {part} ended well but left no model; look at the treebank")


def treebank_files(treebank: Path) -> tuple[dict[str, Path], str]:
    """The file of each of SPLITS, and what UD calls the treebank in short: `en_ewt`."""
    found = {split: next(iter(sorted(treebank.glob(f"*-ud-{split}.conllu"))), None) for split in SPLITS}
    train, dev = found["train"], found["dev"]
    if train is None or dev is None:
        raise ValueError(f"{treebank} holds no *-ud-train.conllu and *-ud-dev.conllu; give the folder of a UD treebank")
    short = train.name.partition("-ud-")[0]
    if not re.fullmatch(r"[a-z]+_[a-z0-9]+", short):
        raise ValueError(f"{train.name!r} names no treebank; call the files as UD does, en_ewt-ud-train.conllu")
    return {"train": train, "dev": dev, "test": found["test"] or dev}, short


def steps(name: str, models: Path, config: StanzaConfig) -> Mapping[str, list[list[str]]]:
    """Commands by part, in order: prepare the part's data, then train it. name: `UD_English-EWT`."""

    def train(program: str, part: str, *options: str) -> list[str]:
        saved = ["--save_dir", str(models), "--save_name", f"{part}.pt"]
        told = [*saved, "--seed", str(config.seed), f"--{config.device}"]
        return [f"training.run_{program}", name, "--no_charlm" if part != "mwt" else "", *told, *options]

    def prepare(program: str, *options: str) -> list[str]:
        return [f"datasets.prepare_{program}_treebank", name, *options]

    widths = ("--hidden_dim", "--char_hidden_dim", "--deep_biaff_hidden_dim")
    hidden = ("--no_pretrain", *(said for width in widths for said in (width, str(config.hidden))))
    pos = ("--batch_size", "60", *_lasting(config.pos_steps), *hidden)
    depparse = ("--batch_size", "2000", *_lasting(config.depparse_steps), *hidden)
    optimizer = ("--optim", "adam", "--lr", "0.003", "--no_second_optim", "--no_checkpoint")
    return {
        "tokenize": [prepare("tokenizer"), train("tokenizer", "tokenize", "--steps", str(config.tokenizer_steps))],
        "mwt": [prepare("mwt"), train("mwt", "mwt", "--num_epoch", str(config.mwt_epochs))],
        "pos": [prepare("pos"), train("pos", "pos", *pos)],
        # a dictionary of form and tag; what it has not seen keeps its form
        "lemma": [prepare("lemma", "--gold", "--no_lemma_classifier"), train("lemma", "lemma", "--dict_only")],
        "depparse": [prepare("depparse", "--gold"), train("depparse", "depparse", *depparse, *optimizer)],
    }


def _lasting(steps: int) -> tuple[str, ...]:
    """So many steps, with a look at dev in time: a tagger that never looked at it fails at its end."""
    return ("--max_steps", str(steps), "--eval_interval", str(min(100, steps)))


def _run(words: list[str], work: Path) -> None:
    program, *options = words
    environment = {
        **os.environ,
        "UDBASE": str(work / "ud"),
        "DATA_ROOT": str(work / "data"),
        "PYTHONSAFEPATH": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", f"stanza.utils.{program}", *filter(None, options)]
    with tempfile.TemporaryFile() as told:
        done = subprocess.run(command, cwd=work, env=environment, stdout=told, stderr=subprocess.STDOUT, check=False)
        told.seek(0, os.SEEK_END)
        told.seek(max(0, told.tell() - TOLD))
        last = told.read().decode("utf-8", "replace").strip()
    if done.returncode:
        raise Failure(f"stanza.utils.{program} failed with {done.returncode}; its last words: {last}")
