"""The first bytes of a connection: they say whether it speaks HTTP/1.1 or HTTP/2."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from agent.wire.http1 import MAX_QUIET_BEATS, HTTPConnection

if TYPE_CHECKING:
    from agent.wire.front import Front

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_ENOUGH_BYTES = 4
"""No method of HTTP/1.1 begins with `PRI `."""


class Opening(asyncio.Protocol):
    """A connection that has said too little; then the transport is handed on.

    Args:
        front: what answers.
    """

    __slots__ = ("__weakref__", "_data", "_front", "_quiet_beats", "_slot", "_transport")

    def __init__(self, front: Front) -> None:
        self._front = front
        self._data = b""
        self._quiet_beats = 0
        self._slot = -1
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the wheel: one that says nothing is closed in the end."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are of no asyncio class
        self._slot = self._front.wheel.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the wheel."""
        del exc
        self._front.wheel.remove(self, self._slot)

    def data_received(self, data: bytes) -> None:
        """Hand the transport on as soon as it is clear to whom."""
        data = self._data + data
        if len(data) < _ENOUGH_BYTES and PREFACE.startswith(data):
            self._data = data
            return
        self._front.wheel.remove(self, self._slot)
        chosen = self._http2() if data[:_ENOUGH_BYTES] == PREFACE[:_ENOUGH_BYTES] else HTTPConnection(self._front)
        self._transport.set_protocol(chosen)
        chosen.connection_made(self._transport)
        chosen.data_received(data)

    def _http2(self) -> asyncio.Protocol:
        """Load protobuf and HTTP/2 with the first connection that speaks it: an agent without one stays small."""
        from agent.wire.http2 import connection  # noqa: PLC0415 - see above

        return connection(self._front)

    def beat(self) -> None:
        """Close a connection that has been silent for long."""
        self._quiet_beats += 1
        if self._quiet_beats >= MAX_QUIET_BEATS:
            self._transport.abort()

    def retire(self) -> bool:
        """Stay: it was accepted just before the end, and what it asks is still answered."""
        return False

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
