"""`meshferry keys`: the keys that private keys are sealed with."""

from __future__ import annotations

import sys
import time
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from pipeline.cli.exit_code import RefusedError
from pipeline.cli.output import Format, print_rows
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

MS_PER_DAY = 86_400_000
COLUMNS = ("key", "state", "private", "age_days")

app = cyclopts.App(
    name="keys",
    help="Make, change and list the keys that private keys are sealed with.",
    help_epilogue="Exit codes: 0 ok, 64 usage, 77 the keys exist already, 78 the keys cannot be used.",
)


@app.command
def new(directory: Path, /) -> None:
    """Make the key pair in a directory that has none. The private key is readable by its owner only.

    Point `seal.directory` of producer and agent to it. A producer on a host of its own needs only the public part, see
    `meshferry keys export-public`.

    ```sh
    meshferry keys new /etc/meshferry/keys
    ```

    Args:
        directory: where the keys go; it is made when it is missing.
    """
    from pipeline.key_directory import KeysExistError, create_keys  # noqa: PLC0415 - cryptography is slow to import

    try:
        keys = _usable(lambda: create_keys(directory))
    except KeysExistError as error:
        raise RefusedError(str(error)) from error
    sys.stdout.write(f"{keys.key_id}\n")


@app.command
def rotate(directory: Path, /) -> None:
    """Make a new current key and keep the ones before it, so that what they sealed still opens.

    Agents find the new key by themselves. Producers seal anew at their next start; where they have only the public
    part, copy that first. A key before the current one may go once no topic and no archive that you still want to read
    holds anything sealed for it.

    ```sh
    meshferry keys rotate /etc/meshferry/keys
    ```

    Args:
        directory: holds the keys.
    """
    from pipeline.key_directory import rotate_keys  # noqa: PLC0415 - cryptography is slow to import

    sys.stdout.write(f"{_usable(lambda: rotate_keys(directory)).key_id}\n")


@app.command(name="list")
def list_(directory: Path, /, *, output: Annotated[Format | None, Parameter(name=["-o", "--output"])] = None) -> None:
    """List the ids of the keys in a directory, never a key.

    ```sh
    meshferry keys list /etc/meshferry/keys
    ```

    Args:
        directory: holds the keys.
        output: table, json or yaml; a terminal gets a table, a pipe JSON.
    """
    from pipeline.key_directory import list_keys  # noqa: PLC0415 - cryptography is slow to import

    now_ms = time.time_ns() // 1_000_000
    rows = [
        {
            "key": key.key_id,
            "state": "current" if key.is_current else "retired",
            "private": "here" if key.opens else "elsewhere",
            "age_days": max(0, now_ms - key.created_ms) // MS_PER_DAY,
        }
        for key in _usable(lambda: list_keys(directory))
    ]
    print_rows(rows, COLUMNS, output)


@app.command
def export_public(directory: Path, /) -> None:
    """Print the current public key, all that a producer needs that cannot open what it seals.

    ```sh
    meshferry keys export-public /etc/meshferry/keys > seal.pub
    ```

    Args:
        directory: holds the keys.
    """
    from pipeline.key_directory import public_line  # noqa: PLC0415 - cryptography is slow to import

    sys.stdout.write(_usable(lambda: public_line(directory)))


def _usable(action: Callable[[], Result]) -> Result:
    from pipeline.seal import SealError  # noqa: PLC0415 - cryptography is slow to import

    try:
        return action()
    except SealError as error:
        raise SettingsError(str(error)) from error
