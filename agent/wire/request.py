"""A parsed HTTP/1.1 request, and what of its head counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent.wire.response import Response

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})


class Request(NamedTuple):
    """A request that waits for its answer; `refusal` answers it whatever it asks."""

    method: bytes
    path: bytes
    body: bytes
    is_keep_alive: bool
    is_old: bool
    refusal: Response | None = None
    token: str = ""


def kept_header(name: bytes, value: bytes) -> bytes:
    """Give the line of a header that still counts once an offer to upgrade is ignored; empty for the others.

    Args:
        name: in lower case.
        value: as it came.
    """
    is_framing = name in _FRAMING and b"upgrade" not in value.lower()
    return b"%b: %b\r\n" % (name, value) if is_framing or name == b"authorization" else b""
