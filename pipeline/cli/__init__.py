"""The command line: one module per command, services imported when a command runs."""

from __future__ import annotations

import asyncio
import logging
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
COMMANDS = {
    "up": "Run everything in one process on the embedded log.",
    "translate": "Translate a file offline; print the objects and the diagnostics.",
    "status": "Show what each view holds and which nodes follow it.",
    "producer": "Run the producer role.",
    "translator": "Run the translator role.",
    "agent": "Run the agent role.",
    "version": "Print the version and the record schemas of this build.",
}
for _name, _help in COMMANDS.items():
    app.command(f"pipeline.cli.{_name}:run", name=_name, help=_help)
app.command("pipeline.cli.topics:app", name="topics", help="Compare the topics the views need with those of the log.")


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
    try:
        command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=True)
        result = command(*bound.args, **bound.kwargs)
        if asyncio.iscoroutine(result):
            result = _run_loop(result)
    except cyclopts.CycloptsError:
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.OK
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        sys.stderr.write(f"meshferry: {message_of(error)}\n")
        return code
    return result if isinstance(result, int) else ExitCode.OK


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
