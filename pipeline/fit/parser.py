"""The parser that ships: a spaCy pipeline trained on UD English EWT, from raw text to lemmas, tags and trees.

One shared tok2vec (hashed embeddings of norm, prefix, suffix and shape, beside static vectors of frequent words; a
window of four words on either side after four layers: Miranda et al. 2022) feeds a morphologizer (UPOS and features),
an edit-tree lemmatizer (Müller et al. 2015) and an arc-eager parser whose trees also say where sentences begin
(Honnibal and Johnson 2015). Words are cut by spaCy's English tokenizer with the additions of `pipeline.fit.tokens`, and
the components are trained on that very segmentation.

    valency fit vectors CORPORA --out vectors.safetensors
    valency fit parser --treebank TREEBANK --vectors vectors.safetensors --silver silver.conllu --out en_ewt

Silver is raw text annotated by a larger model (`pipeline.fit.teacher`); it comes first, the treebank last. About half
an hour on one core; the best of the weights averaged over steps, by LAS on dev, is kept.
"""

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
import srsly
from spacy.attrs import NORM, ORTH
from spacy.language import Language
from spacy.pipeline import Morphologizer
from spacy.pipeline.edit_tree_lemmatizer import EditTreeLemmatizer
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.loop import train_while_improving
from spacy.vectors import Vectors as VectorTable
from thinc.api import Adam, fix_random_seed, use_ops, warmup_linear

from pipeline.fit.gold import GoldSentence, GoldText, dressed_texts, plain_texts, read_gold
from pipeline.fit.silver import Documents, falling_share, mixed_epochs
from pipeline.fit.tokens import adapt_tokenizer
from pipeline.fit.vectors import Vectors

NOTE = """\
A spaCy pipeline for English: tokenizer, tok2vec, morphologizer (UPOS and features), lemmatizer, dependency parser.
Its weights were computed from the Universal Dependencies English Web Treebank (UD English EWT, release 2.16),
(c) its contributors, licensed CC BY-SA 4.0: https://creativecommons.org/licenses/by-sa/4.0/
https://github.com/UniversalDependencies/UD_English-EWT. The weights are shared under the same licence.
{vectors}Made by `valency fit parser`.
Best LAS on dev while training, scored by spaCy: {las:.2f} (step {step} of {steps}).
"""
VECTORS_NOTE = """\
Its {count:,} word vectors were computed from raw text by `valency fit vectors` (data/README.md says from which).
"""
SILVER_NOTE = """\
It has also seen {words:,} words of raw text as a larger model annotates them (`valency fit silver`).
"""
SHOUTED = 4000
"""How many of the most frequent words have a key in capitals as well; each key takes 12 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserConfig:
    """How large the pipeline is, and how it is trained."""

    steps: int = 8000
    seed: int = 0
    width: int = 96
    """Of the shared word representations."""
    hidden: int = 128
    """Units of the parser's hidden layer, two pieces each."""
    rows: tuple[int, int, int, int] = (4000, 1000, 2500, 2000)
    """Of the hashed embeddings of norm, prefix, suffix and shape."""
    dropout: float = 0.15
    learning_rate: float = 0.002


def fit_parser(
    train: Path,
    dev: Path,
    out: Path,
    config: ParserConfig = ParserConfig(),
    vectors: Vectors | None = None,
    silver: Path | None = None,
) -> float:
    """Train on one treebank file, keep in the folder `out` what parses `dev` best; returns that LAS, in percent.

    vectors: of words as the tokenizer's `norm_` has them. silver: CoNLL-U of text that a larger model annotated.
    """
    with use_ops("numpy", use_blis=False):  # OpenBLAS: about 1.5 times as fast as BLIS at these sizes
        return _fit(train, dev, out, config, vectors, read_gold(silver) if silver else [])


def _fit(train: Path, dev: Path, out: Path, config: ParserConfig, vectors: Vectors | None, silver: Documents) -> float:
    fix_random_seed(config.seed)
    nlp = new_pipeline(config, vectors)
    documents = read_gold(train)
    dev_texts = list(plain_texts(read_gold(dev)))
    nlp.initialize(lambda: examples(nlp, dressed_texts(documents, random.Random(config.seed))))
    rate: Any = warmup_linear(config.learning_rate, min(250, config.steps // 4), config.steps)
    optimizer = Adam(rate, L2=0.01, L2_is_weight_decay=True, grad_clip=1.0, use_averages=True)
    best, began = -1.0, time.monotonic()
    training = train_while_improving(
        nlp, optimizer, batches(nlp, documents, silver, config), evaluation(nlp, dev_texts), dropout=config.dropout,
        eval_frequency=min(500, config.steps), max_steps=config.steps + 1, patience=0, accumulate_gradient=1,
        exclude=[], annotating_components=[], before_update=None,
    )  # fmt: skip
    for _, info, _ in training:
        if info["score"] is not None and info["step"]:
            print(
                f"step {info['step']} of {config.steps}, {time.monotonic() - began:.0f} s, dev {info['other_scores']}",
                flush=True,
            )
            if info["score"] > best:
                best = info["score"]
                said = VECTORS_NOTE.format(count=len(vectors[0])) if vectors else ""
                said += SILVER_NOTE.format(words=sum(map(words_in, silver))) if silver else ""
                with nlp.use_params(optimizer.averages):
                    save(nlp, out, NOTE.format(las=best, step=info["step"], steps=config.steps, vectors=said))
    return best


def new_pipeline(config: ParserConfig = ParserConfig(), vectors: Vectors | None = None) -> Language:
    """The untrained pipeline."""
    nlp = spacy.blank("en")
    adapt_tokenizer(nlp)
    if vectors:
        add_vectors(nlp, vectors)
    width = config.width
    nlp.add_pipe("tok2vec", config={"model": {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {"@architectures": "spacy.MultiHashEmbed.v2", "width": width, "rows": list(config.rows),
                  "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"], "include_static_vectors": vectors is not None},
        "encode": {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": width, "depth": 4, "window_size": 1,
                   "maxout_pieces": 3},
    }})  # fmt: skip
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": width, "upstream": "tok2vec"}
    tagger = {"@architectures": "spacy.Tagger.v2", "nO": None, "normalize": False, "tok2vec": listener}
    nlp.add_pipe("morphologizer", config={"model": tagger})
    nlp.add_pipe("trainable_lemmatizer", config={"model": tagger, "min_tree_freq": 3, "top_k": 3, "backoff": "orth"})
    nlp.add_pipe("parser", config={"min_action_freq": 10, "model": {
        "@architectures": "spacy.TransitionBasedParser.v2", "state_type": "parser", "extra_state_tokens": False,
        "hidden_width": config.hidden, "maxout_pieces": 2, "use_upper": True, "nO": None, "tok2vec": listener,
    }})  # fmt: skip
    return nlp


def add_vectors(nlp: Language, vectors: Vectors) -> None:
    """Give the vocabulary static vectors: each likely spelling of a word finds that of its norm (its lower-case form,
    contractions spelt out).

    spaCy can look vectors up by the norm itself, but forgets on disk that it should.
    """
    words, rows = vectors
    row_of = {word: row for row, word in enumerate(words)}
    table = VectorTable(strings=nlp.vocab.strings, data=rows.copy())
    spelt = {form: word for word in words for form in (word, word.capitalize())}
    spelt |= {word.upper(): word for word in words[:SHOUTED]}
    tokenizer: Any = nlp.tokenizer
    for cut in tokenizer.rules.values():
        spelt |= {part[ORTH]: part[NORM] for part in cut if NORM in part}
    for form, word in spelt.items():
        norm = word if word in row_of else nlp.vocab[form].norm_
        if norm in row_of:
            table.add(nlp.vocab.strings.add(form), row=row_of[norm])
    nlp.vocab.vectors = table


def norms() -> Callable[[str], list[str]]:
    """Cuts a text as the pipeline will, into the norms that vectors are found by; what spaCy finds too long is left."""
    nlp = spacy.blank("en")
    adapt_tokenizer(nlp)
    return lambda text: [token.norm_ for token in nlp.make_doc(text[: nlp.max_length]) if not token.is_space]


def examples(nlp: Language, texts: Sequence[GoldText]) -> list[Example]:
    """Pairs of what the tokenizer makes of a text and what the treebank says; words cut otherwise teach nothing."""
    return [Example(nlp.make_doc(text.text()), gold_doc(nlp, text)) for text in texts]


def gold_doc(nlp: Language, text: GoldText) -> Doc:
    starts: list[bool | int | None] = [*text.sentence_starts]
    return Doc(
        nlp.vocab, words=text.words, spaces=text.spaces, lemmas=text.lemmas, pos=text.upos, morphs=text.feats,
        heads=text.heads, deps=text.relations, sent_starts=starts,
    )  # fmt: skip


def batches(
    nlp: Language, documents: Documents, silver: Documents, config: ParserConfig
) -> Iterator[tuple[int, list[Example]]]:
    """(epoch, batch) without end; a batch grows from 300 to 1,000 words, by a thousandth each step."""
    words, step = 300.0, 0
    batch: list[Example] = []

    def share() -> float:
        return falling_share(step, config.steps)

    for epoch, text in mixed_epochs(documents, silver, config.seed, share):
        batch += examples(nlp, [text])
        if sum(map(len, batch)) >= words:
            yield epoch, batch
            batch, words, step = [], min(1000.0, words * 1.001), step + 1


def words_in(document: Sequence[GoldSentence]) -> int:
    return sum(len(sentence.words) for sentence in document)


def evaluation(nlp: Language, texts: Sequence[GoldText]) -> Callable[[], tuple[float, dict[str, float]]]:
    """Scores on dev, in percent, on the tokenizer's own words; the first is the one to choose by."""

    def evaluate() -> tuple[float, dict[str, float]]:
        scores = nlp.evaluate(examples(nlp, texts), batch_size=64)
        names = {"token": "token_f", "upos": "pos_acc", "lemma": "lemma_acc", "uas": "dep_uas", "las": "dep_las",
                 "sentence": "sents_f"}  # fmt: skip
        percent = {name: round(100 * float(scores[key] or 0.0), 2) for name, key in names.items()}
        return percent["las"], percent

    return evaluate


def save(nlp: Language, out: Path, note: str) -> None:
    """Write the pipeline beside its place, then swap it in, so that a reader finds it whole."""
    fresh, stale = out.with_name(out.name + ".new"), out.with_name(out.name + ".old")
    for folder in (fresh, stale):
        shutil.rmtree(folder, ignore_errors=True)
    nlp.meta.update(
        name="ewt", license="CC BY-SA 4.0", spacy_version=">=3.8.14,<3.9",
        description="English, from raw text; trained on UD English EWT by pipeline.fit.parser",
    )  # fmt: skip
    nlp.to_disk(fresh)
    for name, pipe in nlp.pipeline:
        if isinstance(pipe, EditTreeLemmatizer):
            (fresh / name / "trees").write_bytes(srsly.msgpack_dumps({"trees": trees_of_labels(pipe)}))
    (fresh / "vocab" / "strings.json").write_text(json.dumps(needed_strings(nlp), ensure_ascii=False), encoding="utf-8")
    (fresh / "README.md").write_text(note, encoding="utf-8")
    if out.exists():
        out.rename(stale)
    fresh.rename(out)
    shutil.rmtree(stale, ignore_errors=True)


def needed_strings(nlp: Language) -> list[str]:
    """Sorted: what spaCy itself names, labels, and the parts of edit trees. Words met in training are of no use."""
    needed = {*spacy.blank("en").vocab.strings}
    for _, pipe in nlp.pipeline:
        needed |= {*getattr(pipe, "labels", ())}
        if isinstance(pipe, Morphologizer):  # its labels hold the tag as well; spaCy keeps features, names and values
            parts = [[part for part in label.split("|") if not part.startswith("POS=")] for label in pipe.labels]
            needed |= {"|".join(each) for each in parts} | {part for each in parts for part in each}
            needed |= {said for each in parts for part in each for said in part.split("=")}
        if isinstance(pipe, EditTreeLemmatizer):
            trees = trees_of_labels(pipe)
            needed |= {nlp.vocab.strings[tree[part]] for tree in trees for part in ("orig", "subst") if tree.get(part)}
    return sorted(str(each) for each in needed)


def trees_of_labels(pipe: EditTreeLemmatizer) -> list[dict[str, int]]:
    """The edit trees that a lemma can come from, parts before wholes: training adds one for every lemma it meets."""
    trees: list[dict[str, int]] = srsly.msgpack_loads(pipe.trees.to_bytes())["trees"]
    return trees[: max(pipe.cfg["labels"], default=-1) + 1]
