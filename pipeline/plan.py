"""Which layers a preprocessing makes and where: their names carry the digests of all that decides their content."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

from pipeline.bonds import BondConfig
from pipeline.cache.digest import digest, source_digest
from pipeline.cache.layout import DOCUMENTS, Cache, temporary
from pipeline.controls import layer_digest
from pipeline.parsers import Parser, load_parser
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

ANNOTATION = ("pipeline/annotate.py", "pipeline/records.py", "pipeline/bonds/pairs.py", "lexicons")
"""What adds features to parsed words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Parser, tokenizer and annotator, by name, so that every worker process can load its own."""

    parser: str = "spacy"
    model: str | None = None
    """The parser's model, by name or folder; None: the shipped one."""
    tokenizer: str | None = None
    """A tokenizer.json; None: the shipped one."""
    annotator: str | None = None
    """The left-to-right annotator's tables (.safetensors); None: the shipped ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Paths of the layers by name (documents, words, bonds, stats, pieces), and what makes each, for cache.json."""

    layers: dict[str, str]
    made: dict[str, dict[str, object]]

    def entries(self) -> Mapping[str, tuple[str, Mapping[str, object]]]:
        """What `Cache.register` takes."""
        return {name: (path, self.made[name]) for name, path in self.layers.items()}


def plan_of(tools: Tools, bonds: BondConfig, stages: tuple[str, ...]) -> Plan:
    """The plan for some of the stages words, bonds, pieces. Loads the tools, whose digests it needs."""
    layers: dict[str, str] = {"documents": DOCUMENTS}
    made: dict[str, dict[str, object]] = {"documents": {}}
    if "words" in stages:
        layers["words"], made["words"] = words_made_by(parser_of(tools))
        words = digest(made["words"])
    if "bonds" in stages:
        paths, said = bond_layers(words, bonds)
        layers |= paths
        made["bonds"] = made["stats"] = said
    if "pieces" in stages:
        tokenizer, annotator = tokenizer_of(tools), annotator_of(tools)
        made["pieces"] = {"tokenizer": tokenizer.digest, "annotator": annotator.digest, "size": tokenizer.size}
        layers["pieces"] = f"pieces/tokenizer={tokenizer.digest},annotator={annotator.digest}"
    return Plan(layers=layers, made=made)


def words_made_by(parser: Parser) -> tuple[str, dict[str, object]]:
    """Path of the layer of words that a parser makes, and what makes it."""
    made: dict[str, object] = {
        "parser": parser.name, "model": parser.digest, "annotation": source_digest(*ANNOTATION)
    }  # fmt: skip
    return f"words/parser={digest(made)}", made


def bond_layers(words: str, config: BondConfig) -> tuple[dict[str, str], dict[str, object]]:
    """Paths of the layers bonds and stats over a layer of words (its digest), and what makes them."""
    rules = layer_digest(config)
    paths = {name: f"{name}/words={words},rules={rules}" for name in ("bonds", "stats")}
    return paths, {"words": words, "rules": rules, "settings": asdict(config)}


def keep_tools(cache: Cache, tools: Tools) -> None:
    """Copy tokenizer and annotator into the cache, so that a machine that trains needs nothing else."""
    tokenizer, annotator = tokenizer_of(tools), annotator_of(tools)
    for file, save in (
        (cache.folder / "tokenizers" / f"{tokenizer.digest}.json", tokenizer.save),
        (cache.folder / "annotators" / f"{annotator.digest}.safetensors", annotator.save),
    ):
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            save(temporary(file))
            temporary(file).replace(file)


@cache
def parser_of(tools: Tools) -> Parser:
    """The parser, loaded once in a process."""
    return load_parser(tools.parser, tools.model)


@cache
def tokenizer_of(tools: Tools) -> Tokenizer:
    return Tokenizer.load(tools.tokenizer)


@cache
def annotator_of(tools: Tools) -> PrefixAnnotator:
    tokenizer = tokenizer_of(tools)
    return PrefixAnnotator.load(tools.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
