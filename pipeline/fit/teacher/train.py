"""Stage 2, on a GPU: pretraining, fine-tuning of several members, annotation. torch and numpy alone.

Reads what `prepare` wrote and leaves in its own folder, each as soon as it is done, so that a later call goes on:

    encoder.safetensors                          the pretrained encoder
    member-0.safetensors, member-0.json …        fine-tuned parsers and their scores on dev
    ensemble.json                                who has a say, and their scores on dev together
    labels.safetensors                           classes, heads and sentence starts of the silver words
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.fit.teacher.annotate import Annotation, annotate, sentence_edges, sentence_starts
from pipeline.fit.teacher.config import TeacherConfig
from pipeline.fit.teacher.encoder import Encoder
from pipeline.fit.teacher.evaluate import evaluate
from pipeline.fit.teacher.files import (
    Arrays,
    load_arrays,
    load_json,
    load_weights,
    save_arrays,
    save_json,
    save_weights,
)
from pipeline.fit.teacher.finetune import Gold, finetune
from pipeline.fit.teacher.lemma import LemmaRule
from pipeline.fit.teacher.parser import TAGS, Parser, Sizes
from pipeline.fit.teacher.pretrain import pretrain
from pipeline.fit.teacher.stream import Stream, make_stream
from pipeline.fit.teacher.subwords import DOCUMENT
from pipeline.fit.teacher.treebank import Classes

Report = Callable[[str], None]
GOLDS = ("train", "dressed-0", "dressed-1")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` wrote, on the device."""

    arrays: Arrays
    classes: Classes
    pieces: int
    dev: dict[str, list[Any]]
    device: torch.device

    def sizes(self) -> Sizes:
        relations = self.classes.relations
        return Sizes(self.pieces, len(self.classes.upos), len(self.classes.feats), len(self.classes.lemmas),
                     len(relations), relations.index("root"))  # fmt: skip

    def stream(self, name: str) -> Stream:
        pieces = self.arrays[f"{name}/pieces"]
        return make_stream(pieces, unpacked(self.arrays[f"{name}/starts"], len(pieces)), self.device)

    def gold(self, name: str) -> Gold:
        stream = self.stream(name)
        start = unpacked(self.arrays[f"{name}/sentence"], stream.words)
        column = {key: torch.from_numpy(self.arrays[f"{name}/{key}"].astype(np.int64)).to(self.device)
                  for key in (*TAGS, "relation", "head")}  # fmt: skip
        begin, end = (torch.from_numpy(edge).to(self.device) for edge in sentence_edges(start))
        tags = {key: column[key] for key in TAGS}
        return Gold(stream, tags, column["relation"], column["head"], begin, end, np.flatnonzero(start))

    def silver(self, stretches: int | None = None) -> Stream:
        """The words to be annotated, of all stretches or the first few; a stretch that does not follow the one before
        it begins a document."""
        pieces, ranges = self.arrays["raw/pieces"], self.arrays["raw/silver"][:stretches]
        starts = unpacked(self.arrays["raw/starts"], len(pieces))
        taken = np.concatenate([np.arange(begin, end) for begin, end in ranges])
        chosen = pieces[taken]
        first = np.cumsum(ranges[:, 1] - ranges[:, 0]) - (ranges[:, 1] - ranges[:, 0])
        chosen[first[np.append(True, ranges[1:, 0] != ranges[:-1, 1])]] = DOCUMENT
        return make_stream(chosen, starts[taken], self.device)


def load_prepared(folder: Path, device: torch.device) -> Prepared:
    said = load_json(folder / "teacher.json")
    classes = said["classes"]
    lemmas = tuple(LemmaRule(*rule) for rule in classes["lemmas"])
    return Prepared(
        load_arrays(folder / "teacher.safetensors"),
        Classes(tuple(classes["feats"]), tuple(classes["relations"]), lemmas, tuple(classes["upos"])),
        said["pieces"], said["dev"], device,
    )  # fmt: skip


def unpacked(bits: NDArray[Any], length: int) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=length).astype(bool)


def train(folder: Path, out: Path, config: TeacherConfig, device: str = "cpu", report: Report = print) -> None:
    """Everything from the folder that `prepare` wrote to `labels.safetensors` in the folder `out`.

    Errors: ValueError if `out` was begun with another config, or without the device; Failure for a damaged file.
    """
    began = time.monotonic()
    if (out / "labels.safetensors").exists():
        report(f"{out / 'labels.safetensors'} is there; remove it to annotate again")
        return
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"there is no GPU for device {device!r}; go to a machine that has one, or give the device 'cpu'"
        )
    prepared = load_prepared(folder, torch.device(device))
    _same_config(out / "config.json", config)
    encoder = _encoder(prepared, out / "encoder.safetensors", config, report)
    members = [_member(prepared, encoder, out, number, config, report) for number in range(config.members)]
    members = _with_a_say(members, out, config)
    if not (out / "ensemble.json").exists():
        scores = evaluate(members, prepared.stream("dev"), prepared.dev, prepared.classes, config)
        save_json({"members": len(members), "dev": scores}, out / "ensemble.json")
        report(f"{len(members)} members: dev {scores}")
    stream = prepared.silver(config.stretches)
    annotating = time.monotonic()
    found = annotate(members, stream, sentence_starts(members, stream, config), config)
    save_arrays(_labels(found), out / "labels.safetensors")
    report(f"{stream.words:,} words annotated in {time.monotonic() - annotating:.0f} s; all in "
           f"{time.monotonic() - began:.0f} s")  # fmt: skip


def _same_config(path: Path, config: TeacherConfig) -> None:
    """Whether to compile decides nothing but speed: a run may go on without."""
    said = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
    if path.exists() and load_json(path) | {"compile": config.compile} != said:
        raise ValueError(f"{path} says that the folder was begun with another config; give another folder")
    save_json(said, path)


def _encoder(prepared: Prepared, path: Path, config: TeacherConfig, report: Report) -> Encoder:
    encoder = Encoder(prepared.pieces, config).to(prepared.device)
    if path.exists():
        load_weights(encoder, path)
        return encoder
    encoder = pretrain([prepared.stream("raw"), prepared.stream("train")], prepared.pieces, config, report)
    save_weights(encoder, path)
    return encoder


def _member(
    prepared: Prepared, encoder: Encoder, out: Path, number: int, config: TeacherConfig, report: Report
) -> Parser:
    torch.manual_seed(config.seed + 1 + number)
    parser = Parser(prepared.sizes(), config).to(prepared.device)
    path, told = out / f"member-{number}.safetensors", out / f"member-{number}.json"
    if path.exists() and told.exists():
        load_weights(parser, path)
        return parser.eval()
    parser.encoder.load_state_dict(encoder.state_dict())
    parser = finetune(parser, [prepared.gold(name) for name in GOLDS], config, number, report)
    save_weights(parser, path)
    scores = evaluate([parser], prepared.stream("dev"), prepared.dev, prepared.classes, config)
    save_json(scores, told)
    report(f"member {number}: dev {scores}")
    return parser


def _with_a_say(members: list[Parser], out: Path, config: TeacherConfig) -> list[Parser]:
    """Those whose LAS on dev, with its sentences, is near the best."""
    las = [load_json(out / f"member-{number}.json")["gold_sentences"]["las"] for number in range(len(members))]
    return [member for member, own in zip(members, las, strict=True) if own >= max(las) - config.lag]


def _labels(found: Annotation) -> Arrays:
    arrays: Arrays = {name: values.astype(np.uint16) for name, values in found.tags.items()}
    arrays |= {"relation": found.relation.astype(np.uint8), "head": found.head.astype(np.uint16)}
    arrays |= {"start": np.packbits(found.start), "confidence": found.confidence.astype(np.float16)}
    return arrays | {"upos": arrays["upos"].astype(np.uint8)}
