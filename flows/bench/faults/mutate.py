"""Mutations of files: of any bytes, of JSON, of TOML, and of the rows of a Parquet file. All by chance."""

import json
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

EXTREMES = (0, 1, -1, 2, 127, 255, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63))
VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.5, 1e308, float("inf"), float("nan"), "", "0", "x" * 2000,
    "../../etc/passwd", "/etc/passwd", "\0", "\u202e", [], {}, [[]], ["a"], {"a": 1}, [None] * 50,
)  # fmt: skip
"""What a value of JSON is replaced by."""


def flip(draw: Random, content: bytes) -> bytes:
    """One to eight bits."""
    told = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        if told:
            told[draw.randrange(len(told))] ^= 1 << draw.randrange(8)
    return bytes(told)


def overwrite(draw: Random, content: bytes) -> bytes:
    """A stretch of random bytes, or of zeros."""
    size = draw.choice([1, 2, 4, 16, 200])
    place = draw.randrange(len(content) + 1)
    return content[:place] + (draw.randbytes(size) if draw.random() < 0.7 else bytes(size)) + content[place + size :]


def extreme(draw: Random, content: bytes) -> bytes:
    """A number of four or eight bytes that is as large or small as may be."""
    size = draw.choice([4, 8])
    number = draw.choice(EXTREMES) & ((1 << 8 * size) - 1)
    place = draw.randrange(len(content) + 1)
    return content[:place] + number.to_bytes(size, "little") + content[place + size :]


def footer(draw: Random, content: bytes) -> bytes:
    """Something in the last 2,000 bytes, where a Parquet file says what it holds."""
    cut = max(0, len(content) - 2000)
    return content[:cut] + draw.choice([flip, overwrite, extreme, remove, repeat])(draw, content[cut:])


def truncate(draw: Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def remove(draw: Random, content: bytes) -> bytes:
    place = draw.randrange(len(content) + 1)
    return content[:place] + content[place + draw.randint(1, 64) :]


def repeat(draw: Random, content: bytes) -> bytes:
    place = draw.randrange(len(content) + 1)
    return content[:place] + content[max(0, place - draw.randint(1, 64)) : place] * draw.randint(1, 4) + content[place:]


def swap(draw: Random, content: bytes) -> bytes:
    """Two stretches change places."""
    one, two, three = sorted(draw.randrange(len(content) + 1) for _ in range(3))
    return content[:one] + content[two:three] + content[one:two] + content[three:]


def append(draw: Random, content: bytes) -> bytes:
    return content + draw.randbytes(draw.randint(1, 100))


def replace(draw: Random, content: bytes) -> bytes:
    """Something else altogether."""
    return draw.choice([b"", b"\0", b"{}", b"[]", b"PAR1", b"PAR1\0\0\0\0PAR1", b"null", draw.randbytes(100)])


BYTES: dict[str, Callable[[Random, bytes], bytes]] = {
    each.__name__: each for each in (flip, overwrite, extreme, footer, truncate, remove, repeat, swap, append, replace)
}
"""Mutations of any file."""


def json_value(draw: Random, content: bytes) -> bytes:
    """One value of a JSON object, however deep, replaced, removed, renamed or nested beyond reason."""
    said = json.loads(content)
    inside = [said]
    for each in inside:
        children = each.values() if isinstance(each, dict) else each
        inside += [child for child in children if isinstance(child, dict | list) and child]
    chosen = draw.choice(inside)
    key = draw.choice([*chosen]) if isinstance(chosen, dict) else draw.randrange(len(chosen))
    how = draw.choice(["replace", "replace", "replace", "remove", "rename", "deep"])
    if how == "remove" or (how == "rename" and isinstance(chosen, list)):
        del chosen[key]
    elif how == "rename":
        chosen[draw.choice(["", "x", "../x", f"{key} "])] = chosen.pop(key)
    elif how == "replace":
        chosen[key] = draw.choice([*VALUES, chosen[key], [chosen[key]], str(chosen[key])])
    else:
        chosen[key] = "DEEP"
        depth = draw.choice([10, 2_000, 100_000])
        return json.dumps(said).encode().replace(b'"DEEP"', b"[" * depth + b"]" * depth, 1)
    return json.dumps(said).encode()


TOML_VALUES = (
    "true", "0", "-1", "1e400", "nan", "-inf", "inf", "9" * 400, "0x7fffffffffffffff", '""', "'x'", "[]", "[[]]",
    '["dense"]', '["(" ]', '["window(0)"]', '["window(99999999999999999999)"]', '["~dense"]', '["sentences(-1)"]',
    '["dense & " ]', "1979-05-27", "{}", "{a = 1}", '"../../x"', '"\\u0000"', '"x/y"', '"""\n"""',
    '["' + "(" * 5000 + "dense" + ")" * 5000 + '"]', '["' + "~" * 5000 + 'dense"]',
    '["dense' + " & dense" * 3000 + '"]',
    "[" * 3000 + "]" * 3000, "{a=" * 500 + "1" + "}" * 500, "10000000000000", "2147483648", '"64-true"', '"leaky"',
)  # fmt: skip


def toml_line(draw: Random, content: bytes) -> bytes:
    """A setting with another value, twice, without its value, under another name; a table that is none."""
    lines = content.decode().splitlines()
    places = [place for place, line in enumerate(lines) if "=" in line]
    place = draw.choice(places)
    name = lines[place].partition("=")[0]
    match draw.randrange(8):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            lines[place] = name
        case 3:
            lines[place] = draw.choice(["x", "steps", "model.dim", '""', "a.b.c.d"]) + " = " + draw.choice(TOML_VALUES)
        case 4:
            lines.insert(place, draw.choice(["[model]", "[train", "[[train]]", "[model.views]", "[]", "[a.a.a]", "\0"]))
        case 5:
            lines.insert(place, "[" + "a." * draw.choice([2, 5000]) + "a]")
        case _:
            lines[place] = f"{name}= {draw.choice(TOML_VALUES)}"
    return "\n".join(lines).encode()


def rows(draw: Random, content: bytes) -> bytes:
    """A whole Parquet file, but of other rows or columns than it should have."""
    table = pq.read_table(pa.BufferReader(content))
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        if not table.num_columns or not table.num_rows:
            break
        try:
            table = draw.choice(ROWS)(draw, table)
        except (TypeError, ValueError, KeyError, pa.ArrowException):  # it finds no table of ours any more
            break
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="none", row_group_size=max(1, table.num_rows // draw.choice([1, 3])))
    return bytes(out.getvalue())


def _put(table: pa.Table, place: int, values: pa.Array | pa.ChunkedArray, name: str | None = None) -> pa.Table:
    return table.set_column(place, name or table.schema.names[place], values)


def _without_column(draw: Random, table: pa.Table) -> pa.Table:
    return table.remove_column(draw.randrange(table.num_columns))


def _renamed(draw: Random, table: pa.Table) -> pa.Table:
    place = draw.randrange(table.num_columns)
    return _put(table, place, table.column(place), draw.choice(["x", "", "document", "text", "words"]))


def _another_type(draw: Random, table: pa.Table) -> pa.Table:
    place = draw.randrange(table.num_columns)
    values = draw.choice([
        pa.nulls(table.num_rows), pa.array(["x"] * table.num_rows), pa.array([1.5] * table.num_rows),
        pa.array([[1]] * table.num_rows), pa.array([2**40] * table.num_rows), pa.array([b"\xff"] * table.num_rows),
    ])  # fmt: skip
    return _put(table, place, values)


def _nulls(draw: Random, table: pa.Table) -> pa.Table:
    place = draw.randrange(table.num_columns)
    keep = pa.array([draw.random() < 0.7 for _ in range(table.num_rows)])
    column = table.column(place)
    return _put(table, place, pc.if_else(keep, column, pa.scalar(None, column.type)))


def _other_values(draw: Random, table: pa.Table) -> pa.Table:
    """Some values of a column, or of its lists, replaced by ones that its type allows."""
    place = draw.randrange(table.num_columns)
    column = table.column(place).combine_chunks()
    inner = column.flatten() if pa.types.is_list(column.type) else column
    change: list[Any] = inner.to_pylist()
    for _ in range(draw.randint(1, 5)):
        if change:
            change[draw.randrange(len(change))] = _any_of(draw, inner.type)
    try:
        told = pa.array(change, inner.type)
    except pa.ArrowException:  # a column that an earlier mutation gave another type
        return table
    if pa.types.is_list(column.type):
        told = pa.ListArray.from_arrays(column.offsets, told)
    return _put(table, place, told)


def _any_of(draw: Random, kind: pa.DataType) -> object:
    if pa.types.is_integer(kind):
        low, high = (0, 2**kind.bit_width - 1) if str(kind).startswith("u") else (
            -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)  # fmt: skip
        return draw.choice([low, high, 0, 1, min(high, 5000), draw.randint(low, high)])
    return draw.choice(["", "x", "NOUN", "x" * 3000, "{}", "../x", "ok"])


def _other_lengths(draw: Random, table: pa.Table) -> pa.Table:
    """The lists of one column moved against those of the others."""
    lists = [place for place, field in enumerate(table.schema) if pa.types.is_list(field.type)]
    if not lists:
        return _shuffled(draw, table)
    place = draw.choice(lists)
    values = table.column(place).to_pylist()
    some = draw.randrange(len(values))
    values[some] = draw.choice([[], values[some][1:], values[some] * 2, values[0]])
    return _put(table, place, pa.array(values, table.schema.types[place]))


def _shuffled(draw: Random, table: pa.Table) -> pa.Table:
    order = [*range(table.num_rows)]
    draw.shuffle(order)
    return table.take(order)


def _fewer(draw: Random, table: pa.Table) -> pa.Table:
    return table.slice(draw.randrange(table.num_rows), draw.randint(0, table.num_rows))


def _twice(draw: Random, table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(draw.randrange(table.num_rows))])


ROWS: tuple[Callable[[Random, pa.Table], pa.Table], ...] = (
    _without_column, _renamed, _another_type, _nulls, _other_values, _other_values, _other_values, _other_lengths,
    _shuffled, _fewer, _twice,
)  # fmt: skip

Mutation = Callable[[Random, bytes], bytes]


def mutation_of(draw: Random, name: str) -> tuple[str, Mutation]:
    """A mutation fit for a file of that name: its own name, and what it does."""
    special = {".json": json_value, ".toml": toml_line, ".parquet": rows}.get(name[name.rindex(".") :])
    if special is not None and draw.random() < 0.5:
        return special.__name__, partial(special)
    return draw.choice([*BYTES.items()])
