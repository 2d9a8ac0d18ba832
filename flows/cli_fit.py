"""`valency fit …`: makes what the package ships again, from treebank, lexicons and raw text."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli_silver import silver

fit = typer.Typer(no_args_is_help=True)
fit.add_typer(silver, name="silver")

Treebank = Annotated[Path, typer.Option(help="Folder with en_ewt-ud-{train,dev}.conllu.")]
Out = Annotated[Path, typer.Option(help="Where to write it.")]


@fit.command()
def tokenizer(
    corpora: Annotated[list[str], typer.Argument(help="Files, folders or globs of text.")],
    out: Out = Path("tokenizer.json"),
    size: Annotated[int, typer.Option(help="Pieces in the vocabulary.", min=260)] = 8192,
) -> None:
    """A byte-level BPE tokenizer from text."""
    from pipeline.corpus import Document, read_documents
    from pipeline.fit.tokenizer import fit_tokenizer

    documents = (item for item in read_documents(corpora) if isinstance(item, Document))
    fit_tokenizer((document.text for document in documents), out, size)
    typer.echo(f"wrote {out}")


@fit.command()
def vectors(
    corpora: Annotated[list[str], typer.Argument(help="Files, folders or globs of raw text.")],
    out: Out = Path("vectors.safetensors"),
    size: Annotated[int, typer.Option(help="Words, the most frequent ones.", min=100)] = 16_000,
    dimensions: Annotated[int, typer.Option(min=2)] = 64,
    seed: int = 0,
) -> None:
    """Static word vectors from raw text, for the parsers."""
    from pipeline.corpus import Document, read_documents
    from pipeline.fit.parser import norms
    from pipeline.fit.vectors import fit_vectors, save_vectors

    texts = (item.text for item in read_documents(corpora) if isinstance(item, Document))
    save_vectors(fit_vectors(texts, norms(), size=size, dimensions=dimensions, seed=seed), out)
    typer.echo(f"wrote {out}")


@fit.command()
def parser(
    treebank: Treebank,
    out: Out = Path("en_ewt"),
    vectors: Annotated[Path | None, typer.Option(help="What `valency fit vectors` wrote.")] = None,
    silver: Annotated[Path | None, typer.Option(help="What `valency fit silver write` wrote.")] = None,
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = 8000,
    seed: int = 0,
) -> None:
    """The shipped spaCy pipeline, trained on a UD treebank."""
    from pipeline.fit.parser import ParserConfig, fit_parser
    from pipeline.fit.vectors import load_vectors

    train, dev = splits_of(treebank)
    found = load_vectors(vectors) if vectors else None
    fit_parser(train, dev, out, ParserConfig(steps=steps, seed=seed), found, silver)
    typer.echo(f"wrote {out}")


@fit.command()
def stanza(
    treebank: Treebank,
    out: Out = Path("stanza"),
    tokenizer_steps: Annotated[int, typer.Option(help="Batches for the tokenizer.", min=1)] = 2000,
    pos_steps: Annotated[int, typer.Option(help="Batches for tags and features.", min=1)] = 1500,
    depparse_steps: Annotated[int, typer.Option(help="Batches for the trees.", min=1)] = 1500,
    hidden: Annotated[int, typer.Option(help="Width of tagger and parser.", min=1)] = 200,
    seed: int = 1234,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """A small set of models for `--parser stanza`, by Stanza's own trainers; a part that lies in OUT is kept."""
    from pipeline.fit.stanza import StanzaConfig, fit_stanza

    config = StanzaConfig(
        tokenizer_steps=tokenizer_steps,
        pos_steps=pos_steps,
        depparse_steps=depparse_steps,
        hidden=hidden,
        seed=seed,
        device=device,
    )
    fit_stanza(treebank, out, config, on_step=lambda part: typer.echo(f"training {part}"))
    typer.echo(f"wrote {out}")


@fit.command()
def prefix(treebank: Treebank, out: Out = Path("prefix.safetensors")) -> None:
    """The left-to-right annotator's tables, learnt on a UD treebank."""
    from pipeline.fit.prefix import fit_prefix

    fit_prefix(splits_of(treebank)[0], out)
    typer.echo(f"wrote {out}")


@fit.command()
def attachment(
    conllu: Annotated[list[Path], typer.Option(help="A treebank file; may be said again, each with its --model.")],
    model: Annotated[list[str], typer.Option(help="A spaCy pipeline that has not been trained on that file.")],
    out: Out = Path("attachment.tsv"),
) -> None:
    """The table of arcs that a parser misses, from its errors on text that it has not seen."""
    from pipeline.fit.attachment import fit_attachment
    from pipeline.parsers import load_parser

    if len(conllu) != len(model):
        raise ValueError(f"{len(conllu)} files and {len(model)} models; give one --model for each --conllu")
    counts = fit_attachment([(path, load_parser("spacy", one)) for path, one in zip(conllu, model, strict=True)], out)
    typer.echo(f"wrote {out}: {counts}")


@fit.command()
def salience(
    gap: Annotated[Path, typer.Option(help="A file of GAP, such as gap-development.tsv.")],
    model: Annotated[str | None, typer.Option(help="The spaCy pipeline that parses; none: the shipped one.")] = None,
    out: Out = Path("salience.tsv"),
) -> None:
    """The weights that rank the antecedents of pronouns."""
    from pipeline.fit.salience import fit_salience
    from pipeline.parsers import load_parser

    typer.echo(f"wrote {out}: {fit_salience(gap, load_parser('spacy', model), out)}")


@fit.command()
def prefix_parser(
    treebank: Treebank,
    raw: Annotated[list[str] | None, typer.Argument(help="Raw text for the shipped parser to annotate.")] = None,
    vectors: Annotated[Path | None, typer.Option(help="What `valency fit vectors` wrote.")] = None,
    out: Out = Path("prefix_arcs.safetensors"),
    raw_words: Annotated[int, typer.Option(help="Words of raw text, each input an equal share.", min=0)] = 1_000_000,
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = 5000,
    seed: int = 0,
) -> None:
    """Tags and arcs of the `prefix` parser: a small network that reads from left to right."""
    from pipeline.fit.arcs import ArcConfig, fit_arcs
    from pipeline.fit.examples import raw_documents

    def on_step(step: int, loss: float) -> None:
        if step % 100 == 0:
            typer.echo(f"step {step} of {steps}, loss {loss:.3f}")

    train, dev = splits_of(treebank)
    documents = raw_documents(raw or [], raw_words)
    config = ArcConfig(steps=steps, seed=seed)
    scores = fit_arcs(train, dev, out, vectors=vectors, raw=documents, config=config, on_step=on_step)
    typer.echo(f"wrote {out}; on dev " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))


@fit.command()
def lexicons(
    nltk_data: Annotated[Path, typer.Option("--nltk-data", help="Folder with corpora/wordnet.zip and verbnet3.zip.")],
    treebank: Annotated[
        Path | None, typer.Option(help="Folder with en_ewt-ud-train.conllu; none: the tag table is taken over.")
    ] = None,
    out: Out = Path("tables"),
) -> None:
    """The lexicon tables, from WordNet, VerbNet and a treebank; the same sources give the same bytes."""
    from lexicons.compile import compile_lexicons
    from lexicons.tables import table

    if not (nltk_data / "corpora").is_dir():
        raise ValueError(f"{nltk_data} has no folder corpora; give NLTK's data, with corpora/wordnet.zip in it")
    shipped = {path.name: path.read_bytes() for path in table(".").iterdir() if path.is_file()}
    for path in compile_lexicons(nltk_data, splits_of(treebank)[0] if treebank else None, out):
        same = "as it ships" if shipped.get(path.name) == path.read_bytes() else "OTHER BYTES than ship"
        typer.echo(f"{path} ({same})")


@fit.command()
def upos(
    treebank: Annotated[Path, typer.Option(help="Folder with *-ud-train.conllu and *-ud-dev.conllu, of any language.")],
    out: Out = Path("upos.tsv"),
    least_arcs: Annotated[float, typer.Option(help="Share of dev's arcs to keep.", min=0, max=1)] = 0.97,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole curve to this file.")] = None,
) -> None:
    """Which two tags an arc may join, from a treebank of any language; prints the threshold curve on its dev part."""
    from flows.results import with_provenance, write_json
    from lexicons.compile.upos import fit_upos

    train, dev = splits_of(treebank)
    fitted = fit_upos(train, dev, out, least_arcs)
    write_json(with_provenance(fitted), json_file)
    for row in fitted["curve"]:
        mark = "  <- the table's threshold" if row["threshold"] == fitted["threshold"] else ""
        said = f"{row['tag_pairs']:>3} tag pairs  {row['arcs']:>6.1%} of arcs  {row['pairs_of_words']:>6.1%} of pairs"
        typer.echo(f"lift {row['threshold']:.2f}  {said}{mark}")
    typer.echo(f"wrote {out}")


def splits_of(treebank: Path) -> tuple[Path, Path]:
    """The train and dev files of a treebank's folder."""
    found = [next(iter(sorted(treebank.glob(f"*-ud-{split}.conllu"))), None) for split in ("train", "dev")]
    if found[0] is None or found[1] is None:
        raise ValueError(f"{treebank} holds no *-ud-train.conllu and *-ud-dev.conllu; give the folder of a UD treebank")
    return found[0], found[1]
