"""`meshferry translate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
from cyclopts import Parameter

from pipeline.cli.exit_code import BadInputError, UsageError
from pipeline.cli.output import Format  # noqa: TC001 - read from the annotations when the command is made
from pipeline.cli.policy import read_policy
from pipeline.cli.schemas import read_reference
from schemas.keys import check_view

if TYPE_CHECKING:
    from producers.files.parse import ParsedFile

STANDARD_INPUT = "-"


def run(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],  # else `-` is taken for an option
    /,
    *,
    to: Literal["etcd", "standalone"] = "etcd",
    view: str = "offline",
    policy: Annotated[str, Parameter(name="--policy")] = "",
    schemas: str = "",
    explain: Annotated[bool, Parameter(negative="")] = False,
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"], negative="")] = False,
    output: Annotated[Format | None, Parameter(name=["-o", "--output"])] = None,
) -> None:
    """Translate an Envoy bootstrap, config_dump, discovery file or resource list offline.

    `--to etcd` prints the objects and the diagnostics as JSON; `--to standalone` prints apisix.yaml and the diagnostics
    on standard error. Private keys of the input are in the output, as APISIX needs them.

    ```sh
    curl -s localhost:15000/config_dump | meshferry translate - --to standalone
    ```

    `--explain` prints what became of each resource, filter chain, virtual host and route instead, in the source's own
    paths: its objects, the diagnostics with effect and remedy, and with `-v` the fields that mean nothing here:

    ```sh
    meshferry translate envoy.yaml --explain -o table
    ```

    Exit codes: 0 ok, whatever the diagnostics say, 64 usage, 65 the file cannot be read or a resource in it is broken
    (what could be read is printed all the same), 78 bad policy or schemas.

    Args:
        file: the file, a directory of such files, or - for standard input.
        to: what to print.
        view: name of the view the objects are made for.
        policy: YAML file with a policy (docs/diagnostics.md), as under `views.NAME.policy` in the settings.
        schemas: file of `meshferry schemas pull`, to validate objects as the nodes do.
        explain: tell what became of each object of the source.
        verbose: with --explain, list the ignored fields and why.
        output: with --explain, table, json or yaml; without it a terminal gets a table and a pipe gets JSON.
    """
    from pipeline.cli.offline import diagnostic_lines, translate_offline  # noqa: PLC0415 - slow to import
    from pipeline.standalone import apisix_yaml  # noqa: PLC0415 - only for one format
    from producers.source import Changes  # noqa: PLC0415 - slow to import

    if file.startswith("-") and file != STANDARD_INPUT:
        raise UsageError(f"Unknown option: {file}; see `meshferry translate --help`")
    if (verbose or output is not None) and not explain:
        raise UsageError("-v and -o go with --explain; see `meshferry translate --help`")
    try:
        check_view(view)
    except ValueError as error:
        raise UsageError(str(error)) from error
    chosen_policy = read_policy(policy)
    reference = read_reference(schemas, "--schemas")
    parsed = _load(file)
    changes = Changes(parsed.resources, is_complete=True, source=file, notes=parsed.notes)
    offline = translate_offline(changes, view, chosen_policy, reference=reference)
    diagnostics = offline.diagnostics()
    if explain:
        from pipeline.cli.explain import explanation, print_explanation  # noqa: PLC0415 - slow to import

        print_explanation(explanation(changes, offline, with_ignored=verbose), output)
    elif to == "etcd":
        printed = {"resources": offline.objects(), "diagnostics": diagnostics}
        sys.stdout.write(orjson.dumps(printed, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n")
    else:
        sys.stdout.write(apisix_yaml(offline.objects()))
        sys.stderr.write(diagnostic_lines(diagnostics))
    problems = [*parsed.problems, *offline.problems]
    if problems:
        raise BadInputError("; ".join(str(problem) for problem in problems))


def _load(file: str) -> ParsedFile:
    from producers.files.load import load  # noqa: PLC0415 - slow to import

    parsed = load(sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file))
    if not parsed.resources and parsed.problems:
        raise BadInputError("; ".join(str(problem) for problem in parsed.problems))
    return parsed
