"""TOML files as frozen settings and back: unknown keys and unfit values are named, with the nearest that would do."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")

WANTED: Mapping[object, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a string in quotes",
    tuple: "a list of strings",
    tuple[float, ...]: "a list of numbers",
    tuple[int, ...]: "a list of whole numbers",
}


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a file. Errors: ValueError if it is missing, no file, or no TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"there is no file {file}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no TOML: {error}") from error
    except RecursionError:
        raise ValueError(f"{file} nests tables or lists beyond reason; settings are two levels deep") from None
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}; give a file of TOML") from error


def build(kind: type[Settings], said: Mapping[str, Any], where: str) -> Settings:
    """Settings of a dataclass from a table; where: what to call the table in an error.

    Errors: ValueError for a key that the dataclass does not have, a value of another type, or a missing one.
    """
    hints = get_type_hints(kind)
    unknown = [key for key in said if key not in hints]
    if unknown:
        near = get_close_matches(unknown[0], hints, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it may hold: {', '.join(hints)}"
        raise ValueError(f"{where}: unknown setting {unknown[0]!r}; {hint}")
    assert is_dataclass(kind)
    needed = [each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING]
    missing = [name for name in needed if name not in said]
    if missing:
        raise ValueError(f"{where}: there is no {missing[0]!r}; it must be given")
    values = {key: _fit(value, hints[key], f"{where}: {key}") for key, value in said.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _fit(value: Any, hint: Any, where: str) -> Any:
    """A TOML value as the type that a field asks for."""
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is {value!r}; write it as a table, [{where.rpartition(' ')[2]}]")
        return build(hint, value, where)
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if isinstance(value, list) and get_origin(inner) is tuple:
            return tuple(_fit(part, inner, where) for part in value)
        if isinstance(value, list) and all(type(part) is inner for part in value):
            return tuple(value)
        if isinstance(value, list) and inner is float and all(type(part) in (int, float) for part in value):
            return tuple(_fit(part, inner, where) for part in value)
    elif type(value) is hint:  # not isinstance: true is an int to Python, and never meant as one here
        return value
    elif hint is float and type(value) is int and abs(value) < 2**53:  # TOML's whole numbers may have any length
        return float(value)
    wanted = WANTED.get(hint) or WANTED[get_origin(hint) or hint]
    raise ValueError(f"{where} is {value!r}; give {wanted}")


def write(settings: object, table: str = "") -> str:
    """Settings as TOML; `build` of it gives them back. table: the name of the table that they stand in, with a dot."""
    assert is_dataclass(settings)
    plain, tables = [], []
    for each in fields(settings):
        value = getattr(settings, each.name)
        if is_dataclass(value):
            tables.append(f"\n[{table}{each.name}]\n{write(value, f'{table}{each.name}.')}")
        else:
            plain.append(f"{each.name} = {_literal(value)}\n")
    return "".join(plain + tables)


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(part) for part in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A JSON string is a TOML string as well, but for surrogate pairs and the delete character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)  # Python writes numbers as TOML reads them
