"""A run as a folder for transformers, its scores, and a training by transformers' own Trainer."""

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'valency[hf]'")

from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from flows.cli import app
from model.batches import evaluation_batches
from model.classify import Labelled
from model.columns import read_layer
from model.config import ModelConfig, Recipe, TrainConfig
from model.evaluate.leak import randomised
from model.evaluate.perplexity import evaluate
from model.huggingface import ValencyForMaskedLM, ValencyForSequenceClassification, export_run
from model.huggingface.export import check_from_ids
from model.huggingface.harness import ValencyLM
from model.huggingface.scoring import loglikelihood, loglikelihood_rolling, pair_ids, windows
from model.inputs import recipe_splits
from model.masked import mask_piece, masked
from model.reading import Reader
from model.run import load_readers, load_run
from model.toml import write
from model.train import train
from model.transformer import Decoder
from tests.model.test_huggingface import HEADS, made
from tests.model.tiny_cache import STORIES, write_cache

NETWORK = ModelConfig(
    layers=2, dim=32, heads=4, views=("dense", "sentence", "pos & sentences(2)", "window(8)"), tags=True
)
RECIPE = Recipe(
    name="small", model=NETWORK, train=TrainConfig(steps=30, rows=4, length=48, warmup=5, evaluate_every=30)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hf")
    train(write_cache(folder / "cache"), RECIPE, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def folder(run: Path) -> Path:
    out = run.parent / "exported"
    found = CliRunner().invoke(app, ["export", str(run), str(out), "--json", str(run.parent / "export.json")])
    assert found.exit_code == 0, found.output
    assert "ValencyForCausalLM" in found.output
    return out


def test_an_exported_run_gives_the_logits_of_the_run_to_the_last_bit(run: Path, folder: Path) -> None:
    decoder, _ = load_run(run)
    tokenizer, annotator = load_readers(run)
    model, words = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        for story in STORIES:
            batch = words(story, return_tensors="pt")
            assert batch["input_ids"][0].tolist() == tokenizer.document(story)[:-1].tolist()
            context = Reader(tokenizer, annotator).read(batch["input_ids"])
            assert torch.equal(model(**batch).logits, decoder(batch["input_ids"], context))
    assert model.dtype == torch.float32
    assert model.config.model_config() == RECIPE.model


def finished(run: Path, out: Path, objective: str) -> Path:
    """A run of the same size whose model was made for another objective, with random weights."""
    shutil.copytree(run, out)
    recipe = replace(RECIPE, model=replace(NETWORK, objective=objective, classes=3))
    (out / "recipe.toml").write_text(write(recipe), encoding="utf-8")
    decoder = randomised(Decoder(recipe.model, load_readers(run)[0].size), seed=1).float()
    save_file(decoder.state_dict(), out / "model.safetensors")
    return out


@torch.no_grad()
def test_a_masked_run_says_the_same_of_hidden_pieces(run: Path, tmp_path: Path) -> None:
    model = export_run(finished(run, tmp_path / "run", "masked"), tmp_path / "folder")
    assert isinstance(model, ValencyForMaskedLM)
    decoder, _ = load_run(tmp_path / "run")
    tokenizer, annotator = load_readers(run)
    splits = recipe_splits(read_layer(run.parent / "cache"), RECIPE)
    for number, plain in enumerate(evaluation_batches(splits["train"], rows=3, length=40)):
        batch = masked(plain, annotator, tokenizer, rate=0.3, seed=[number])
        ours = AutoModelForMaskedLM.from_pretrained(tmp_path / "folder")(batch.ids, batch.context.valid()).logits
        theirs, valid = decoder(batch.ids, batch.context), batch.context.valid()
        assert torch.equal(ours[valid], theirs[valid])
    words = AutoTokenizer.from_pretrained(tmp_path / "folder")
    assert words.mask_token_id == mask_piece(tokenizer)
    assert words.padding_side == "right"


@torch.no_grad()
def test_a_run_of_classes_says_the_same_of_documents(run: Path, tmp_path: Path) -> None:
    model = export_run(finished(run, tmp_path / "run", "classify"), tmp_path / "folder")
    assert isinstance(model, ValencyForSequenceClassification)
    assert model.num_labels == 3
    decoder, _ = load_run(tmp_path / "run")
    split = recipe_splits(read_layer(run.parent / "cache"), RECIPE)["train"]
    labelled = Labelled.of(split, dict.fromkeys(split.documents, 0), 3)
    batch = labelled.batch(np.arange(len(split.documents)), 4096)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "folder")
    assert torch.equal(
        loaded(batch.ids, batch.context.valid()).logits,
        decoder.class_logits(decoder.hidden(batch.ids, batch.context), batch.context),
    )


def test_a_fresh_process_in_an_empty_folder_loads_and_generates(folder: Path, tmp_path: Path) -> None:
    said = (
        "import sys, model.huggingface\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "words = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "ids = model.generate(**words('The cat', return_tensors='pt'), max_new_tokens=5, do_sample=False)\n"
        "print(words.decode(ids[0], skip_special_tokens=True))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", said, str(folder)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("The cat")


def test_transformers_stays_out_of_training_and_of_the_layer() -> None:
    said = "import model.train, model.layer, model.reading, flows.cli, sys; print('transformers' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_what_cannot_be_exported_says_why(run: Path, folder: Path) -> None:
    with pytest.raises(ValueError, match="not empty"):
        export_run(run, folder)
    with pytest.raises(ValueError, match="valency train"):
        export_run(run.parent / "cache", run.parent / "elsewhere")
    assert not (run.parent / "elsewhere").exists()
    for recipe, why in [
        (replace(RECIPE, control="random-sentences"), "control"),
        (replace(RECIPE, name="small-leaky", leaky=True), "leaky"),
        (replace(RECIPE, model=replace(NETWORK, views=("dense", "open | window(4)"))), "bonds"),
    ]:
        with pytest.raises(ValueError, match=why):
            check_from_ids(recipe)


def test_pieces_of_a_continuation_begin_where_it_does() -> None:
    tokenizer = Reader.shipped().tokenizer
    clean = [("The cat", " sat."), ("The cat ", "sat."), ("", "The cat"), ("She said:\n\n", "Yes"), ("Café", "s are")]
    for context, continuation in [*clean, ("The c", "at sat")]:
        ids, first = pair_ids(tokenizer, context, continuation)
        assert ids.tolist() == tokenizer.document(context + continuation)[:-1].tolist()
        scored = tokenizer.decode(ids[first:])
        assert scored.endswith(continuation)
        assert context.startswith(tokenizer.decode(ids[1:first]))  # what comes before is of the context alone
        if (context, continuation) in clean:
            assert scored == context[len(context.rstrip()) :] + continuation
    # " cat" is one piece: it is scored whole, since the context alone does not hold it.
    ids, first = pair_ids(tokenizer, "The c", "at sat")
    assert tokenizer.decode(ids[first:]) == " cat sat"
    ids, first = pair_ids(tokenizer, "The cat", "")
    assert first == len(ids)


@pytest.mark.parametrize(("pieces", "first", "length"), [(10, 1, 4), (10, 1, 100), (2, 1, 1), (23, 17, 3), (9, 9, 4)])
def test_windows_score_each_piece_once_with_all_the_room_there_is(pieces: int, first: int, length: int) -> None:
    found = list(windows(0, pieces, first, length))
    assert [piece for each in found for piece in range(each.first, each.end + 1)] == list(range(first, pieces))
    for each in found:
        assert each.end - each.begin <= length
        assert each.begin < each.first
        assert each.begin == 0 or each.end - each.begin == length


@torch.no_grad()
def test_likelihoods_are_sums_of_the_models_own() -> None:
    model = made()
    reader, decoder = model.reader, model.model.decoder
    pairs = [(STORIES[0][:30], STORIES[0][30:70]), ("", STORIES[1][:20]), (STORIES[2], " It rained."), ("It", "")]
    for length, rows in ((1024, 2), (12, 4)):
        found = loglikelihood(decoder, reader, pairs, length=length, rows=rows)
        for (context, continuation), said in zip(pairs, found, strict=True):
            ids, first = pair_ids(reader.tokenizer, context, continuation)
            if length < len(ids):
                continue  # what a window may see is less; below
            given = torch.from_numpy(ids.astype("int64"))[None]
            logs = decoder(given, reader.read(given))[0].log_softmax(-1)
            expected = sum(float(logs[place - 1, ids[place]]) for place in range(first, len(ids)))
            greedy = all(int(logs[place - 1].argmax()) == ids[place] for place in range(first, len(ids)))
            assert said.log == pytest.approx(expected, rel=1e-9)
            assert said.greedy is greedy
    assert found[3] == (0.0, True)


def test_rolling_is_what_evaluation_says(run: Path) -> None:
    """Bits per byte of a text, but for the piece that ends it, which a harness does not ask for."""
    decoder, recipe = load_run(run)
    reader = Reader(*load_readers(run))
    (whole,) = loglikelihood_rolling(decoder, reader, STORIES[5:], length=4096)
    split = recipe_splits(read_layer(run.parent / "cache"), recipe)["test"]
    score = evaluate(decoder, split, rows=1, length=4096)
    assert score is not None
    ids = torch.from_numpy(reader.tokenizer.document(STORIES[5]).astype("int64"))[None]
    with torch.no_grad():
        last = decoder(ids[:, :-1], reader.read(ids[:, :-1]))[0, -1].log_softmax(-1)[ids[0, -1]]
    assert -(whole + float(last)) == pytest.approx(math.log(score.perplexity) * score.pieces, rel=1e-5)
    (cut,) = loglikelihood_rolling(decoder, reader, STORIES[5:], length=16)
    assert cut != whole


def test_it_answers_what_a_harness_asks(folder: Path) -> None:
    harness = ValencyLM(folder, batch_size=2)
    ask = [SimpleNamespace(args=args) for args in (("The cat", " sat on the mat."), ("Anna gave Tom", " the letter."))]
    (one, _), (two, greedy) = harness.loglikelihood(ask)
    assert one < 0
    assert two < 0
    assert isinstance(greedy, bool)
    (whole,) = harness.loglikelihood_rolling([SimpleNamespace(args=(STORIES[0],))])
    assert whole < 0
    (said,) = harness.generate_until([SimpleNamespace(args=("The cat", {"until": [], "max_gen_toks": 12}))])
    stop = said[3:5]
    (cut,) = harness.generate_until(
        [SimpleNamespace(args=("The cat", {"until": [stop, "\n\n"], "max_gen_toks": 12, "temperature": 0.0}))]
    )
    assert cut == said.split(stop)[0]
    with pytest.raises(ValueError, match="positions"):
        ValencyLM(made(positions="learned", context=64).float(), max_length=65)


@pytest.mark.filterwarnings("ignore")
def test_the_harness_itself_asks_and_is_answered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers as from lm-eval's own door to transformers, which reads the same folder."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install lm_eval")
    pytest.importorskip("accelerate", reason="lm-eval's own models need accelerate: pip install 'valency[hf]'")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from lm_eval.api.model import LM
    from lm_eval.models.huggingface import HFLM

    ours: Any = ValencyLM(folder, max_length=64)
    assert isinstance(ours, LM)
    at = str(folder)
    theirs = HFLM(pretrained=at, tokenizer=at, add_bos_token=True, device="cpu", dtype="float32", max_length=64)
    pairs = [("The cat", " sat on the mat."), ("", "It rained."), ("The cat ", "sat"), (STORIES[1][:30], " He smiled.")]
    ask = [SimpleNamespace(args=pair, arguments=pair) for pair in pairs]
    for (log, greedy), (other, same) in zip(ours.loglikelihood(ask), theirs.loglikelihood(ask), strict=True):
        assert log == pytest.approx(float(other), rel=1e-5)
        assert greedy == bool(same)


class Stories(torch.utils.data.Dataset[dict[str, Any]]):
    """What a dataset of `datasets` gives row by row."""

    def __init__(self, words: Any, classes: bool) -> None:
        self.rows = [dict(words(story)) for story in STORIES * 2]
        for number, row in enumerate(self.rows):
            row["labels"] = number % 2 if classes else [-100, *row["input_ids"][1:]]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self.rows[number]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_trainer_trains_one_epoch(kind: Any, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate: pip install 'valency[hf]'")
    from transformers import DataCollatorForSeq2Seq, DataCollatorWithPadding, Trainer, TrainingArguments

    words = AutoTokenizer.from_pretrained(folder)
    classes = kind.__name__.endswith("Classification")
    data: Any = Stories(words, classes)
    if not classes:
        try:
            from datasets import Dataset

            data = Dataset.from_list(data.rows)
        except ImportError:
            pass
    model = kind.from_pretrained(folder, causal=None)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=1,
        per_device_train_batch_size=3,
        gradient_accumulation_steps=2,
        learning_rate=1e-3,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        gradient_checkpointing=True,
        logging_steps=1,
        save_strategy="epoch",
    )
    collate = DataCollatorWithPadding(words) if classes else DataCollatorForSeq2Seq(words)
    trainer = Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate, processing_class=words)
    trained = trainer.train()
    assert trained.global_step == 2
    assert math.isfinite(trained.training_loss)
    moved = [name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])]
    assert len(moved) == len(before)
    last = sorted(tmp_path.glob("checkpoint-*"))[-1]
    again = kind.from_pretrained(last)
    assert torch.equal(again.model.decoder.embedding.weight, model.model.decoder.embedding.weight)
    assert again.reader.pieces == model.reader.pieces
