"""The teacher's three stages together, in small: what it learns, what it leaves, what a second call does."""

import io
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.conllu import Word
from pipeline.fit.gold import GoldSentence, GoldText, dressed_texts, read_gold
from pipeline.fit.silver import falling_share, mixed_epochs, silver_texts
from pipeline.fit.teacher.annotate import Annotation, annotate, sentence_starts
from pipeline.fit.teacher.config import TeacherConfig, tiny
from pipeline.fit.teacher.evaluate import scores_of
from pipeline.fit.teacher.files import load_arrays, load_json, save_arrays
from pipeline.fit.teacher.finetune import finetune
from pipeline.fit.teacher.lemma import LemmaRule, apply
from pipeline.fit.teacher.parser import Parser
from pipeline.fit.teacher.prepare import PrepareConfig, prepare
from pipeline.fit.teacher.train import Prepared, load_prepared, train
from pipeline.fit.teacher.write import write_silver

RAW = {
    "film.txt": "A fine film, isn't it?<br /><br />Nobody (nobody!) slept.\n\nGo and see\nit. " * 3,
    "wiki.train.tokens": " \n = Cat = \n \n The cat , 1 @,@ 000 <unk> , sat . It slept . \n A role @-@ player . \n",
}
Learnt = tuple[Path, Path, TeacherConfig]


@pytest.fixture(scope="module")
def prepared(valency_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of stage 1: twenty sentences of EWT as train and as dev, two raw documents."""
    folder = tmp_path_factory.mktemp("prepared")
    text = (valency_data / "ud_english_ewt" / "en_ewt-ud-dev.conllu").read_text(encoding="utf-8")
    (folder / "twenty.conllu").write_text("\n\n".join(text.split("\n\n")[:20]) + "\n\n", encoding="utf-8")
    for name, raw in RAW.items():
        (folder / name).write_text(raw, encoding="utf-8")
    twenty, inputs = folder / "twenty.conllu", [folder / name for name in RAW]
    config = PrepareConfig(words=1000, silver_words=1000, pieces=600)
    prepare(twenty, twenty, inputs, folder / "out", config, lambda line: None)
    return folder / "out"


@pytest.fixture(scope="module")
def learnt(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """The folders of stages 1 and 2, after a teacher has learnt the twenty sentences by heart."""
    config = tiny(
        context=128, pretrain_steps=2, pretrain_windows=2, members=1, finetune_epochs=110, finetune_seconds=600.0,
        finetune_rates=(3e-3,), head_rate=3e-3, layer_decay=1.0, dropout=0.0, head_dropout=0.0, word_dropout=0.0,
        wiki_share=0.0,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("learnt")
    train(prepared, out, config, report=lambda line: None)
    return prepared, out, config


def test_prepared_text_reads_as_it_was(prepared: Path) -> None:
    files = load_arrays(prepared / "silver.safetensors"), load_json(prepared / "silver.json")
    size = len(files[0]["word"])
    space = np.unpackbits(files[0]["space"], count=size).astype(bool)
    paragraph = np.unpackbits(files[0]["paragraph"], count=size).astype(bool)
    bounds = np.append(np.flatnonzero(paragraph), size)
    forms = [files[1]["forms"][number] for number in files[0]["word"]]
    said = [
        "".join(" " * bool(space[word]) + forms[word] for word in range(first, last))[1:]
        for first, last in pairwise(bounds)
    ]
    assert said[:3] == ["A fine film, isn't it?", "Nobody (nobody!) slept.", "Go and see it. A fine film, isn't it?"]
    assert said[-3:] == [
        "= Cat =", "The cat , 1 @,@ 000 <unk> , sat . It slept .", "A role @-@ player .",
    ]  # fmt: skip
    assert {"n't", "@-@", "<unk>"} <= set(forms), "the tokenizer that the shipped parser has"
    assert files[1]["documents"] == ["film.txt", "wiki.train.tokens#0"]


def test_lemma_rules_give_trains_lemmas(prepared: Path) -> None:
    made = load_prepared(prepared, torch.device("cpu"))
    rules = made.arrays["train/lemma"]
    lemmas = [apply(made.classes.lemmas[rule], form) for rule, form in zip(rules, made.dev["form"], strict=True)]
    assert lemmas == made.dev["lemma"], "train and dev are the same sentences here"


def test_a_teacher_learns_twenty_sentences_by_heart(learnt: Learnt) -> None:
    """Heads, masks, offsets and relations are wired right, or it could not."""
    dev = load_json(learnt[1] / "ensemble.json")["dev"]
    for scores in dev.values():
        assert min(scores[name] for name in ("upos", "feats", "lemma", "uas", "las")) > 95, dev
    assert dev["gold_sentences"]["sentences"] == 100
    assert dev["own_sentences"]["sentences"] > 90


def test_silver_reads_back_as_what_was_annotated(learnt: Learnt, tmp_path: Path) -> None:
    prepared, out, _ = learnt
    sentences = write_silver(prepared, out / "labels.safetensors", tmp_path / "silver.conllu")
    documents = read_gold(tmp_path / "silver.conllu")  # it checks that each sentence is a tree with one root
    words = [word for document in documents for sentence in document for word in sentence.words]
    labels, said = load_arrays(out / "labels.safetensors"), load_json(prepared / "teacher.json")["classes"]
    silver, forms = load_arrays(prepared / "silver.safetensors"), load_json(prepared / "silver.json")["forms"]
    assert len(documents) == 2
    assert sum(map(len, documents)) == sentences
    assert [word.form for word in words] == [forms[number] for number in silver["word"]]
    assert [word.head for word in words] == labels["head"].tolist()
    assert [word.upos for word in words] == [said["upos"][number] for number in labels["upos"]]
    assert [word.feats for word in words] == [said["feats"][number] for number in labels["feats"]]
    assert [word.relation for word in words] == [said["relations"][number] for number in labels["relation"]]
    rules = [LemmaRule(*said["lemmas"][number]) for number in labels["lemma"]]
    assert [word.lemma for word in words] == [apply(rule, word.form) for rule, word in zip(rules, words, strict=True)]
    assert all((word.head == 0) == (word.relation == "root") for word in words)
    firsts = [sentence for document in documents for sentence in document if sentence.paragraph]
    assert len(firsts) == np.unpackbits(silver["paragraph"], count=len(words)).sum()
    space = np.unpackbits(silver["space"], count=len(words)).astype(bool)
    after = [space for document in documents for sentence in document for space in sentence.spaces]
    assert after[:-1] == space[1:].tolist()


def test_the_least_sure_sentences_are_left_out(learnt: Learnt, tmp_path: Path) -> None:
    prepared, out, _ = learnt
    labels = load_arrays(out / "labels.safetensors")
    labels["confidence"] = np.zeros_like(labels["confidence"])
    labels["confidence"][0] = -50  # a word of the first sentence
    save_arrays(labels, tmp_path / "labels.safetensors")
    kept = [write_silver(prepared, tmp_path / "labels.safetensors", tmp_path / f"{drop}", drop) for drop in (0, 0.1)]
    assert kept[1] == kept[0] - int(0.1 * kept[0])
    assert kept[1] < kept[0]
    whole, part = (read_gold(tmp_path / f"{drop}") for drop in (0, 0.1))
    assert part[0][0] != whole[0][0]
    assert [len(document) > 0 for document in part] == [True, True]
    with pytest.raises(ValueError, match="share from 0"):
        write_silver(prepared, tmp_path / "labels.safetensors", tmp_path / "none", 1.0)


def test_a_second_call_goes_on_from_what_is_done(prepared: Path, tmp_path: Path) -> None:
    config = tiny(pretrain_steps=2, pretrain_windows=2, context=128, finetune_epochs=1)
    told: list[str] = []
    train(prepared, tmp_path, config, report=told.append)
    weights = (tmp_path / "member-0.safetensors").read_bytes()
    labels = (tmp_path / "labels.safetensors").read_bytes()
    for name in ("labels.safetensors", "ensemble.json", "member-1.json", "member-1.safetensors"):
        (tmp_path / name).unlink()
    told.clear()
    train(prepared, tmp_path, config, report=told.append)
    assert not any("member 0" in line or "pretrain" in line for line in told), told
    assert any("member 1" in line for line in told)
    assert (tmp_path / "member-0.safetensors").read_bytes() == weights
    assert (tmp_path / "labels.safetensors").read_bytes() == labels, "the same seeds, the same silver"
    told.clear()
    train(prepared, tmp_path, config, report=told.append)
    assert len(told) == 1
    (tmp_path / "labels.safetensors").unlink()
    train(prepared, tmp_path, replace(config, compile=True), report=told.append)  # decides nothing but speed
    assert (tmp_path / "labels.safetensors").read_bytes() == labels
    (tmp_path / "labels.safetensors").unlink()
    with pytest.raises(ValueError, match="another config"):
        train(prepared, tmp_path, tiny(seed=3), report=told.append)


def test_scores_are_those_of_the_shared_task(prepared: Path) -> None:
    """A teacher that has learnt a little, scored by us and by udtools, on sentences of its own."""
    from udtools import udeval

    made = load_prepared(prepared, torch.device("cpu"))
    config = tiny(context=128, finetune_epochs=25, finetune_rates=(3e-3,), head_rate=3e-3, finetune_seconds=600.0)
    torch.manual_seed(0)
    begun = Parser(made.sizes(), config)
    parser, stream = finetune(begun, [made.gold("train")], config, 0, lambda line: None), made.stream("dev")
    found = annotate([parser], stream, sentence_starts([parser], stream, config), config)
    ours = scores_of(found, made.dev, made.classes)
    true = udeval.load_conllu(io.StringIO("".join(_lines(made, None))), "gold", {})
    system = udeval.load_conllu(io.StringIO("".join(_lines(made, found))), "ours", {})
    theirs = udeval.evaluate(true, system)
    names = {"upos": "UPOS", "lemma": "Lemmas", "uas": "UAS", "las": "LAS", "sentences": "Sentences"}
    assert 5 < ours["las"] < ours["uas"] < 100
    assert ours["sentences"] < 100
    assert {name: ours[name] for name in names} == {
        name: round(100 * theirs[their].f1, 2) for name, their in names.items()
    }


def _lines(made: Prepared, found: Annotation | None) -> list[str]:
    """The words of dev as CoNLL-U, with the treebank's annotation or the one that was found."""
    dev, classes, lines, number = made.dev, made.classes, list[str](), 0
    starts = dev["sentence"] if found is None else found.start
    for place, form in enumerate(dev["form"]):
        number = 1 if starts[place] else number + 1
        if starts[place] and place:
            lines.append("\n")
        cells = [dev[key][place] for key in ("lemma", "upos", "feats", "head", "relation")]
        if found is not None:
            cells = [
                apply(classes.lemmas[found.tags["lemma"][place]], form), classes.upos[found.tags["upos"][place]],
                classes.feats[found.tags["feats"][place]], found.head[place], classes.relations[found.relation[place]],
            ]  # fmt: skip
        lemma, upos, feats, head, relation = cells
        lines.append(f"{number}\t{form}\t{lemma}\t{upos}\t_\t{feats or '_'}\t{head}\t{relation}\t_\t_\n")
    return [*lines, "\n"]


def sentence(form: str, words: int = 3, space: bool = True, paragraph: bool = False) -> GoldSentence:
    made = [Word(f"{form}{n}", form, "NOUN", "", n, "root" if not n else "dep") for n in range(words)]
    return GoldSentence(tuple(made), (space,) * words, paragraph)


def test_silver_is_much_at_first_and_nothing_in_the_end() -> None:
    gold, silver = [[sentence("g")] * 40] * 5, [[sentence("s")] * 30] * 3
    kinds: list[str] = []
    texts = mixed_epochs(gold, silver, 0, lambda: falling_share(len(kinds), 400))
    while len(kinds) < 400:
        kinds.append(next(texts)[1].lemmas[0])
    assert kinds[:100].count("s") > 55
    assert 15 < kinds[150:250].count("s") < 55
    assert kinds[300:].count("s") == 0


def test_no_silver_is_training_as_it_was() -> None:
    gold = [[sentence("a"), sentence("b", 5)] * 4, [sentence("c", paragraph=True)] * 5]
    for silver, share in (([], 0.9), ([[sentence("s")]], 0.0)):
        found = list(islice(mixed_epochs(gold, silver, 3, lambda share=share: share), 2 * _texts(gold, 3)))  # type: ignore[misc]
        assert [text for epoch, text in found if epoch == 0] == dressed_texts(gold, random.Random(3))
        assert found[-1][0] == 1


def _texts(gold: list[list[GoldSentence]], seed: int) -> int:
    return min(len(dressed_texts(gold, random.Random(seed + epoch))) for epoch in range(2))


def test_silver_texts_keep_their_kind_of_breaks() -> None:
    wiki, web = [sentence("w", paragraph=True)] * 9, [sentence("x", space=False, paragraph=True)] * 9
    texts = list(islice(silver_texts([wiki, web], random.Random(0)), 40))
    breaks: dict[str, set[str]] = {"w": set(), "x": set()}
    of: Callable[[GoldText], set[str]] = lambda text: {each for each in text.words if each.isspace()}  # noqa: E731
    for text in texts:
        breaks[text.lemmas[0]] |= of(text)
    assert breaks["w"] == {"\n "}
    assert "\n\n" in breaks["x"]
