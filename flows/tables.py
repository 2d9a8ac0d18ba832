"""An Arrow table on the terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 100
"""Rows printed; the whole answer goes to --json."""


def print_table(table: "pa.Table", title: str | None = None, console: Console | None = None) -> None:
    """Print up to ROWS rows, numbers to the right."""
    import pyarrow.types as kinds

    shown = Table(title=title, title_justify="left", title_style="bold")
    for field in table.schema:
        number = kinds.is_integer(field.type) or kinds.is_floating(field.type) or kinds.is_decimal(field.type)
        shown.add_column(field.name, justify="right" if number else "left", overflow="fold")
    for row in table.slice(0, ROWS).to_pylist():
        shown.add_row(*(_cell(value) for value in row.values()))
    console = console or Console()
    console.print(shown)
    if table.num_rows > ROWS:
        console.print(f"… {table.num_rows - ROWS:,} more rows; use --json FILE for all of them")


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value) if value is not None else "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
