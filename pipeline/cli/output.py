"""Data on standard output: a table on a terminal, JSON or YAML anywhere (libraries.md section 3)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import orjson
import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

Format = Literal["table", "json", "yaml"]


def print_data(data: Any, form: Format) -> None:
    """Print JSON-like data as JSON or YAML."""
    if form == "yaml":
        sys.stdout.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], form: Format | None) -> None:
    """Print rows; without a format a terminal gets a table and a pipe gets JSON."""
    if form is None:
        form = "table" if sys.stdout.isatty() else "json"
    if form != "table":
        print_data(list(rows), form)
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415 - only a terminal needs it

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    Console(markup=False, emoji=False).print(table)  # a path such as routes[0] is no markup
