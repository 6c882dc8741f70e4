"""Turns the process of a role into the tiny parent that holds its sockets."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pipeline

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from pipeline.settings import Settings


def become_parent(sockets: Sequence[socket.socket], settings: Settings) -> NoReturn:
    """Replace this process, which keeps its process id; its children run the same command line again.

    Args:
        sockets: listening.
        settings: for the form of the log.
    """
    for held in sockets:
        held.set_inheritable(True)
    root = Path(pipeline.__file__).parents[1]
    fds = ",".join(str(held.fileno()) for held in sockets)
    program = [sys.executable, "-P", "-S", str(root / "pipeline" / "parent" / "__main__.py"), str(root), fds]
    sys.stderr.flush()
    os.execv(sys.executable, [*program, settings.logging.format, sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
