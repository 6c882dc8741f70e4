"""What a serving process tells whoever started it: systemd (sd_notify(3)) or the parent that holds its sockets.

Imports nothing heavy: the parent uses it too.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHANNEL = "MESHFERRY_PARENT_FD"
"""Environment: the descriptor of the channel to the parent."""
PREDECESSOR = "MESHFERRY_HAS_PREDECESSOR"
"""Environment: not empty when another child still holds the state directory and will let go of it."""
OWN_NAMES = (CHANNEL, PREDECESSOR, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"
PREPARED = "X_MESHFERRY_PREPARED=1"
"""Only the predecessor is in the way now."""


def send(address: str, text: str) -> None:
    """Send one datagram to a notification socket; one that is gone is nobody to tell.

    Args:
        address: a path, or `@name` for the abstract namespace.
        text: assignments, one a line.
    """
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(text.encode(), target)
        except OSError:
            return


class Notifier:
    """Tells the parent, or systemd, or nobody.

    Args:
        environment: of the process; `forget` afterwards, so that nothing it starts speaks in its name.
        pid: of this process, for `WATCHDOG_PID`.

    Attributes:
        channel: to the parent; readable once the parent is gone. None without one.
        has_predecessor: whether another child is about to let go of the state directory.
        watchdog_s: how often systemd wants to hear `WATCHDOG`; 0 never.
    """

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        channel = environment.get(CHANNEL, "")
        self.channel = socket.socket(fileno=int(channel)) if channel.isdigit() else None
        if self.channel is not None:
            self.channel.settimeout(0)
            self.channel.set_inheritable(False)
        self.has_predecessor = bool(environment.get(PREDECESSOR))
        self._address = environment.get("NOTIFY_SOCKET", "")
        usec, owner = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        is_ours = self.channel is not None or owner in {"", str(pid)}
        self.watchdog_s = int(usec) / 2e6 if usec.isdigit() and is_ours else 0.0

    def tell(self, *lines: str) -> None:
        """Send assignments such as `READY=1`."""
        text = "\n".join(lines)
        if self.channel is not None:
            try:
                self.channel.send(f"{text}\n".encode())
            except OSError:
                return  # the parent is gone or hangs; its end is seen elsewhere
        elif self._address:
            send(self._address, text)


def forget(names: Iterable[str]) -> None:
    """Remove from the environment what is meant for this process alone."""
    for name in (*OWN_NAMES, *names):
        os.environ.pop(name, None)
