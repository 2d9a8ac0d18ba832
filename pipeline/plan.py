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


PIECE_BONDS = ("none", "causal", "whole")
"""What the pieces layer holds besides pieces: nothing of the parse; for causal models, bonds of closed words with
earlier ones; for models that read the whole input, words, tags and bonds of the parse."""


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


def plan_of(tools: Tools, bonds: BondConfig, stages: tuple[str, ...], piece_bonds: str = "none") -> Plan:
    """The plan for some of the stages words, bonds, pieces. Loads the tools, whose digests it needs.

    piece_bonds: one of PIECE_BONDS. Errors: ValueError where law 1 forbids what is asked for.
    """
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
        tokenizer = tokenizer_of(tools)
        name = {"tokenizer": tokenizer.digest}
        if piece_bonds != "whole":
            name["annotator"] = annotator_of(tools).digest
        if piece_bonds != "none":
            check_piece_bonds(tools, bonds, stages, piece_bonds)
            name |= {"words": words, "bonds": str(made["bonds"]["rules"])}
        made["pieces"] = {**name, "size": tokenizer.size}
        layers["pieces"] = f"pieces/{','.join(f'{key}={value}' for key, value in name.items())}"
    return Plan(layers=layers, made=made)


def check_piece_bonds(tools: Tools, bonds: BondConfig, stages: tuple[str, ...], asked: str) -> None:
    """Errors: ValueError if pieces cannot have these bonds; for causal pieces, if the bonds may know what follows."""
    if asked not in PIECE_BONDS:
        raise ValueError(f"piece_bonds is {asked!r}; give {', '.join(PIECE_BONDS)}")
    if "bonds" not in stages:
        raise ValueError("pieces with bonds need them: name the layers words and bonds too, or set piece_bonds to none")
    if asked == "whole":
        return
    if tools.parser != "prefix":
        raise ValueError(
            f"the parser {tools.parser} reads on before it says what a word is, so that its bonds leak the future into "
            "causal pieces; give --parser prefix, or --piece-bonds whole for models that read the whole input"
        )
    if tools.annotator is not None:
        raise ValueError("the prefix parser cuts words by the shipped annotator; leave the annotator out for bonds")
    if fault := causal_fault(bonds):
        raise ValueError(
            f"{fault}, which leaks the future into causal pieces; choose other bonds, or piece_bonds whole"
        )


def causal_fault(bonds: BondConfig) -> str:
    """Why bonds with earlier words, over words of the prefix parser, may still follow from later ones; empty: never."""
    if bonds.control:
        return f"the control {bonds.control} draws from whole sentences"
    if bonds.mode != "causal":  # all of whose kinds are made so
        return "the shipped rules weigh whole sentences; --mode causal makes each kind from the words so far"
    return ""


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
