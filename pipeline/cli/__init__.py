"""The command line: one module per command, services imported when a command runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import cyclopts

from pipeline.cli.exit_code import ExitCode, exit_code_of, message_of
from pipeline.version import build_version

if TYPE_CHECKING:
    from collections.abc import Coroutine

app = cyclopts.App(
    name="meshferry",
    help="Service-mesh and gateway configuration, ferried from any xDS control plane to Apache APISIX.",
    version=build_version,
    help_format="markdown",
    help_epilogue=(
        "Exit codes: 0 ok, 1 failed, 2 findings or differences, 64 usage, 65 bad input, 69 log or control plane "
        "unreachable, 75 timed out, 77 refused, 78 bad configuration."
    ),
)
COMMANDS = (
    "up",
    "translate",
    "bootstrap",
    "features",
    "schemas",
    "topics",
    "keys",
    "status",
    "approve",
    "producer",
    "translator",
    "agent",
    "version",
)
GROUPS = ("schemas", "topics", "keys")
for _name in COMMANDS:
    if _name in GROUPS:
        app.command(f"pipeline.cli.{_name}:app", name=_name)
    else:
        app.command(f"pipeline.cli.{_name}:run", name=_name, help_epilogue="")  # each tells its own exit codes


def main() -> None:
    """Run the command line; the entry point of `meshferry`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: what stands behind `meshferry`.

    Returns:
        The exit code (libraries.md section 3).
    """
    if not arguments or arguments[0] in app.help_flags:
        for name in COMMANDS:
            app[name]  # loads it, so that its docstring stands in the list
    try:
        command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
        result = command(*bound.args, **bound.kwargs)
        if asyncio.iscoroutine(result):
            result = _run_loop(result)
        sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        sys.stderr.write(f"meshferry: {_usage_message(error)}\n")
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.OK
    except BrokenPipeError:
        return _leave_pipe()
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        sys.stderr.write(f"meshferry: {message_of(error)}\n")
        return code
    return result if isinstance(result, int) else ExitCode.OK


def _usage_message(error: cyclopts.CycloptsError) -> str:
    """Say what is wrong with the arguments, and where the right ones are explained."""
    command = " ".join(("meshferry", *(error.command_chain or ())))
    return f"{message_of(error).rstrip('.')}; see `{command} --help`"


def _leave_pipe() -> int:
    """Whoever read standard output, such as `head`, has seen enough; the interpreter must not flush into it again."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return ExitCode.OK


def _run_loop(command: Coroutine[Any, Any, Any]) -> Any:
    import uvloop  # noqa: PLC0415 - commands without a loop start faster

    logging.getLogger("asyncio").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_stopped(command))


async def _until_stopped(command: Coroutine[Any, Any, Any]) -> Any:
    """Run a command until it ends or SIGTERM asks it to; then it closes what it has open, and all is well."""
    running = asyncio.ensure_future(command)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        if not running.cancelled():
            running.cancel()  # the loop itself was interrupted
            raise
        return ExitCode.OK
