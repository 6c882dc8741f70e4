"""`meshferry translate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
from cyclopts import Parameter

from pipeline.cli.exit_code import BadInputError, UsageError
from pipeline.cli.policy import read_policy
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
) -> None:
    """Translate an Envoy bootstrap, config_dump, discovery file or resource list offline.

    `--to etcd` prints the objects and the diagnostics as JSON; `--to standalone` prints apisix.yaml and the diagnostics
    on standard error. Private keys of the input are in the output, as APISIX needs them.

    ```sh
    curl -s localhost:15000/config_dump | meshferry translate - --to standalone
    ```

    Exit codes: 0 ok, whatever the diagnostics say, 64 usage, 65 the file cannot be read or a resource in it is broken
    (what could be read is printed all the same), 78 bad policy.

    Args:
        file: the file, a directory of such files, or - for standard input.
        to: what to print.
        view: name of the view the objects are made for.
        policy: YAML file with a policy (docs/diagnostics.md), as under `views.NAME.policy` in the settings.
    """
    from pipeline.cli.offline import diagnostic_lines, translate_offline  # noqa: PLC0415 - slow to import
    from pipeline.standalone import apisix_yaml  # noqa: PLC0415 - only for one format
    from producers.source import Changes  # noqa: PLC0415 - slow to import

    if file.startswith("-") and file != STANDARD_INPUT:
        raise UsageError(f"Unknown option: {file}; see `meshferry translate --help`")
    try:
        check_view(view)
    except ValueError as error:
        raise UsageError(str(error)) from error
    chosen_policy = read_policy(policy)
    parsed = _load(file)
    changes = Changes(parsed.resources, is_complete=True, source=file, notes=parsed.notes)
    offline = translate_offline(changes, view, chosen_policy)
    diagnostics = offline.diagnostics()
    if to == "etcd":
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
