"""`meshferry version`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from pipeline.cli.output import Format, print_data, print_rows
from pipeline.version import build_version
from schemas import codec


def run(*, output: Annotated[Format, Parameter(name=["-o", "--output"])] = "table") -> None:
    """Print the version, and the fingerprints of the record schemas this build writes.

    ```sh
    meshferry version -o json
    ```

    Exit codes: 0 ok, 64 usage.

    Args:
        output: table, json or yaml.
    """
    schemas = {name: codec.schema_fingerprint(name) for name in codec.TYPES}
    if output == "table":
        rows = [{"name": "meshferry", "version": build_version()}]
        rows += [{"name": f"schema {name}", "version": fingerprint} for name, fingerprint in schemas.items()]
        print_rows(rows, ("name", "version"), "table")
    else:
        print_data({"version": build_version(), "schemas": schemas}, output)
