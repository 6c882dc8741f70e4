"""`meshferry features`: what becomes of every xDS field and extension."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pipeline.cli.output import print_rows

if TYPE_CHECKING:
    from translators.registry import Row

COLUMNS = ("field", "fidelity", "codes", "note")
HEAD = "| field or extension | fidelity | diagnostics | note |\n|---|---|---|---|\n"


def run(
    word: str = "",
    /,
    *,
    output: Annotated[Literal["table", "json", "yaml", "markdown"] | None, Parameter(name=["-o", "--output"])] = None,
) -> None:
    """Print what becomes of every xDS field and extension that is known here.

    Fidelity: E exact, A approximated, N not expressible (diagnosed), I without meaning for the data plane. A field that
    is not listed is diagnosed where it is set (CFG-UNKNOWN-FIELD, CFG-UNKNOWN-ANY).

    ```sh
    meshferry features header -o markdown
    ```

    Exit codes: 0 ok, whatever is found, 64 usage.

    Args:
        word: only rows with this in field, fidelity, codes or note, in any case.
        output: table, json, yaml or markdown; without it a terminal gets a table and a pipe gets JSON.
    """
    wanted = word.casefold()
    rows = [row for row in feature_rows() if any(wanted in str(part).casefold() for part in row.values())]
    if output == "markdown":
        sys.stdout.write(markdown(rows))
    else:
        flat = output == "table" or (output is None and sys.stdout.isatty())
        print_rows([{**row, "codes": ", ".join(row["codes"])} if flat else row for row in rows], COLUMNS, output)


def feature_rows() -> list[dict[str, Any]]:
    """Give the rows of the registry as JSON-like data, by field."""
    from translators.registry import MAPPINGS  # noqa: PLC0415 - slow to import

    return sorted((_feature(row) for row in MAPPINGS), key=lambda row: str(row["field"]))


def markdown(rows: list[dict[str, Any]]) -> str:
    """Write rows as a table of Markdown."""
    return HEAD + "".join(
        f"| `{row['field']}` | {row['fidelity']} | {', '.join(row['codes'])} | {row['note']} |\n" for row in rows
    )


def _feature(row: Row) -> dict[str, Any]:
    from translators.registry import Diagnosed, Handled  # noqa: PLC0415 - slow to import

    if isinstance(row, Handled):
        return _made(row.source, row.fidelity.value, list(row.codes), "")
    if isinstance(row, Diagnosed):
        return _made(row.source, "N", [row.code], "restricts: fails closed" if row.restricts else row.effect)
    return _made(row.source, "I", [], row.reason)


def _made(field: str, fidelity: str, codes: list[str], note: str) -> dict[str, Any]:
    return {"field": field, "fidelity": fidelity, "codes": codes, "note": note}
