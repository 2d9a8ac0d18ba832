"""Where Stanza's models lie, and loading them without a network.

Three forms of a model's name:
· a folder of `tokenize.pt`, `mwt.pt`, `pos.pt`, `lemma.pt`, `depparse.pt`, as `valency fit stanza` writes it;
· a folder as Stanza keeps it, with `resources.json`, of one language, or the folder of one language inside of it;
· a language, `de`, whose models Stanza's own folder holds: `download` has fetched them there.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import Failure

PARTS = ("tokenize", "mwt", "pos", "lemma", "depparse")
OPTIONAL = ("mwt",)
"""Languages without multiword tokens have no such model."""
ASKED = "tokenize,pos,lemma,depparse"
"""Stanza adds `mwt` itself where the language has it."""


def load_pipeline(model: str | None) -> tuple[Any, list[tuple[str, Path]]]:
    """Stanza's pipeline, and the files that it read, by what it calls them. Errors: as load_parser."""
    if model is None:
        raise ValueError(
            "the stanza parser needs a model: a folder of models, such as `valency fit stanza` makes, or a language "
            "such as 'de', with --download the first time"
        )
    folder, language = find_models(model)
    try:
        nlp = _of_language(folder, language) if language else _of_files(folder)
    except (ValueError, MemoryError):
        raise
    except Exception as error:
        raise Failure(
            f"the Stanza models in {str(folder)!r} do not load: {error}; make or download them again"
        ) from error
    paths = {key: value for key, value in nlp.config.items() if key.endswith("_path") and isinstance(value, str)}
    return nlp, [(key, Path(value)) for key, value in sorted(paths.items()) if Path(value).is_file()]


def find_models(model: str) -> tuple[Path, str]:
    """Folder and language of the models; the language is "" for a folder of plain files."""
    folder = Path(model)
    if not folder.is_dir():
        home = Path(_stanza_home())
        if _is_language(home / model):
            return home, model
        there = ", ".join(_languages(home)) or "none"
        raise ValueError(
            f"there are no Stanza models {model!r}: neither a folder nor a downloaded language (downloaded: {there}); "
            "give --download to fetch those of a language, or the folder of models made elsewhere"
        )
    if _has_resources(folder.resolve().parent) and _is_language(folder):
        return folder.resolve().parent, folder.resolve().name
    if not _has_resources(folder):
        return folder, ""
    languages = list(_languages(folder))
    if len(languages) != 1:
        example = folder / (languages[0] if languages else "en")
        raise ValueError(
            f"{model!r} holds models of {', '.join(languages) or 'no language'}; name one, as {str(example)!r}"
        )
    return folder, languages[0]


def download(language: str) -> None:
    """Fetch a language's models into Stanza's own folder; what is there already is kept. A folder's name does nothing.

    Errors: ValueError for a language that Stanza does not have; Failure without a network.
    """
    if Path(language).is_dir():
        return
    stanza = _stanza()
    try:
        stanza.download(language, processors=ASKED, logging_level="ERROR")
    except stanza.resources.common.UnknownLanguageError as error:
        raise ValueError(
            f"Stanza has no models for {language!r}; give a language's code, such as 'de' or 'es'"
        ) from error
    except Exception as error:  # requests, urllib and Stanza raise what they like when a server is out of reach
        raise Failure(
            f"cannot download Stanza's models for {language!r}: {type(error).__name__}; without a network, copy the "
            "folder of models from elsewhere and name it as the model"
        ) from error


def _of_language(folder: Path, language: str) -> Any:
    return _stanza().Pipeline(
        language, dir=str(folder), processors=ASKED, download_method=None, use_gpu=False, logging_level="ERROR"
    )


def _of_files(folder: Path) -> Any:
    files = {part: folder / f"{part}.pt" for part in PARTS}
    missing = [file.name for part, file in files.items() if part not in OPTIONAL and not file.is_file()]
    if missing:
        raise ValueError(f"{str(folder)!r} lacks {', '.join(missing)}; give a folder with {', '.join(PARTS)}, each .pt")
    there = {part: file for part, file in files.items() if file.is_file()}
    paths: dict[str, Any] = {f"{part}_model_path": str(file) for part, file in there.items()}
    with tempfile.TemporaryDirectory() as empty:  # Stanza wants a resources.json; the models' folder may be read-only
        (Path(empty) / "resources.json").write_text("{}")
        return _stanza().Pipeline(
            _language_of(files["pos"]), dir=empty, processors=",".join(there), download_method=None, use_gpu=False,
            allow_unknown_language=True, logging_level="ERROR", **paths,
        )  # fmt: skip


def _language_of(file: Path) -> str:
    """What the model was trained on; Stanza treats some languages' spaces in their own way."""
    import torch  # late, as Stanza

    said = torch.load(file, map_location="cpu", weights_only=True)["config"].get("lang")
    return str(said or "en")


def _stanza() -> Any:
    try:
        import stanza  # late: an extra, and it imports torch
    except ImportError as error:
        raise ValueError("the stanza parser needs Stanza; install it with `pip install 'valency[stanza]'`") from error
    return stanza


def _stanza_home() -> str:
    _stanza()
    from stanza.resources.common import DEFAULT_MODEL_DIR

    return str(DEFAULT_MODEL_DIR)


def _has_resources(folder: Path) -> bool:
    """Whether Stanza's list of models lies here, and says something."""
    try:
        return bool(json.loads((folder / "resources.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _is_language(folder: Path) -> bool:
    return (folder / "depparse").is_dir() and (folder / "tokenize").is_dir()


def _languages(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        yield from (each.name for each in sorted(folder.iterdir()) if _is_language(each))
