"""Where the listening sockets come from: systemd or a parent that passes them (sd_listen_fds(3)), or our own.

A refused connect blinds APISIX for up to 12 s, a held one for 0.05 s (etcd-contract.md section 12 item 1), so the
socket should outlive the process.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKLOG = 4096
FIRST_FD = 3
"""SD_LISTEN_FDS_START."""
FD_NAME = "etcd"
LISTEN_NAMES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class ListenError(OSError):
    """The port cannot be had, or a socket that was passed cannot be used."""


def is_passed(environment: Mapping[str, str], pid: int) -> bool:
    """Tell whether sockets were passed to this very process."""
    return environment.get("LISTEN_PID") == str(pid) and environment.get("LISTEN_FDS", "0") != "0"


def passed_sockets(environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Take the sockets that were passed.

    Args:
        environment: with `LISTEN_PID`, `LISTEN_FDS` and perhaps `LISTEN_FDNAMES`.
        pid: of this process; sockets for another one are left alone.

    Returns:
        Those named `etcd`, or all of them where none is so named; empty when none were passed.

    Raises:
        ListenError: with the variable or descriptor that is wrong.
    """
    if not is_passed(environment, pid):
        return []
    text, names = environment["LISTEN_FDS"], environment.get("LISTEN_FDNAMES", "")
    if not text.isdecimal():
        raise ListenError(
            f"LISTEN_FDS={text}: not a number of descriptors; it is set by systemd, do not set it by hand"
        )
    named = names.split(":") if names else [""] * int(text)
    if len(named) != int(text):
        raise ListenError(f"LISTEN_FDNAMES={names}: {len(named)} names for {text} descriptors")
    wanted = [FIRST_FD + place for place, name in enumerate(named) if name == FD_NAME or FD_NAME not in named]
    return [_passed(fd) for fd in wanted]


def _passed(fd: int) -> socket.socket:
    try:
        found = socket.socket(fileno=fd)
    except OSError as error:
        raise ListenError(f"LISTEN_FDS: descriptor {fd} is no socket: {_reason(error)}") from None
    is_listening = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if found.family not in {socket.AF_INET, socket.AF_INET6} or not is_listening:
        found.detach()
        raise ListenError(
            f"LISTEN_FDS: descriptor {fd} is not a listening TCP socket; give the socket unit "
            "`ListenStream=HOST:PORT` and `Accept=no`"
        )
    found.set_inheritable(False)
    found.settimeout(0)
    return found


def listen(host: str, port: int) -> list[socket.socket]:
    """Open sockets of our own.

    Args:
        host: name or address; empty for all addresses.
        port: 0 takes a free one.

    Raises:
        ListenError: the address cannot be had.
    """
    opened: list[socket.socket] = []
    try:
        flags = socket.AI_PASSIVE
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            opened.append(_listen(family, address))
    except OSError as error:
        for made in opened:
            made.close()
        raise ListenError(f"cannot listen on {host}:{port}: {_reason(error)}: choose another address") from error
    return opened


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    made.settimeout(0)
    return made


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
