"""`meshferry translate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
from cyclopts import Parameter

from pipeline.cli.exit_code import BadInputError
from pipeline.cli.policy import read_policy

if TYPE_CHECKING:
    from producers.files.parse import ParsedFile


def run(
    file: str,
    *,
    to: Literal["etcd", "standalone"] = "etcd",
    view: str = "offline",
    policy: Annotated[str, Parameter(name="--policy")] = "",
) -> None:
    """Translate an Envoy bootstrap, config_dump, discovery file or resource list offline.

    `--to etcd` prints the objects and the diagnostics as JSON; `--to standalone` prints apisix.yaml and the diagnostics
    on standard error. Private keys of the input are in the output, as APISIX needs them. Exit code 65 when the file
    cannot be read or a resource in it is broken; what could be read is printed all the same.

    Args:
        file: the file, or - for standard input.
        to: what to print.
        view: name of the view the objects are made for.
        policy: YAML file with a policy (docs/diagnostics.md), as under `views.NAME.policy` in the settings.
    """
    from pipeline.cli.offline import diagnostic_lines, translate_offline  # noqa: PLC0415 - slow to import
    from pipeline.standalone import apisix_yaml  # noqa: PLC0415 - only for one format
    from producers.source import Changes  # noqa: PLC0415 - slow to import

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
    _report(parsed, [str(problem) for problem in (*parsed.problems, *offline.problems)])


def _load(file: str) -> ParsedFile:
    from producers.files.load import load  # noqa: PLC0415 - slow to import

    parsed = load(sys.stdin.buffer.read() if file == "-" else Path(file))
    if not parsed.resources and parsed.problems:
        raise BadInputError("; ".join(str(problem) for problem in parsed.problems))
    return parsed


def _report(parsed: ParsedFile, problems: list[str]) -> None:
    for note in parsed.notes:
        sys.stderr.write(f"meshferry: {note.code} {note.name} {note.path}: {note.message}\n")
    if problems:
        raise BadInputError("; ".join(problems))
