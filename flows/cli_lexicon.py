"""`valency lexicon`: an entry of the lexicons, with its sources."""

from pathlib import Path
from typing import Annotated

import typer


def lexicon(
    lemma: Annotated[str, typer.Argument(help="A lemma, or a pronoun's form; particle verbs in quotation marks.")],
    nltk_data: Annotated[
        Path | None, typer.Option("--nltk-data", help="NLTK's data, to list every sense behind the features.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the entry to this file.")] = None,
) -> None:
    """What the lexicons know of a word, and where they have it from: features, VerbNet classes, pronoun entry."""
    from flows.lexicon import lexicon_text
    from flows.results import write_json
    from lexicons.entry import entry

    found = entry(lemma)
    if nltk_data is not None:
        from lexicons.compile.senses import senses

        if not (nltk_data / "corpora").is_dir():
            raise ValueError(f"{nltk_data} has no folder corpora; give NLTK's data, with corpora/wordnet.zip in it")
        found["senses"] = senses(lemma, nltk_data)
    write_json(found, json_file)
    typer.echo(lexicon_text(found))
