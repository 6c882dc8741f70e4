"""A TCP relay before a peer that hangs half-open or resets a connection in the middle of a message."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Self

CHUNK_BYTES = 65_536


class HalfOpen:
    """Relays to a port of 127.0.0.1 until told otherwise."""

    def __init__(self, port: int) -> None:
        self._peer_port = port
        self._flows = asyncio.Event()
        self._flows.set()
        self._bytes_left: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def hold(self) -> None:
        """Neither read nor write any more; all sockets stay open and new ones are accepted."""
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    def reset_after(self, count_bytes: int) -> None:
        """Reset the connection once that many more bytes have gone to the client."""
        self._bytes_left = count_bytes

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_exc_info) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server.close()

    async def _accept(self, from_client, to_client) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        from_peer, to_peer = await asyncio.open_connection("127.0.0.1", self._peer_port)
        both = [
            asyncio.create_task(self._relay(from_client, to_peer, is_to_client=False)),
            asyncio.create_task(self._relay(from_peer, to_client, is_to_client=True)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass
        finally:
            for relay in both:
                relay.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for writer in (to_client, to_peer):
                writer.transport.abort()
            self._tasks.discard(task)

    async def _relay(self, reader, writer, *, is_to_client) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._flows.wait()
            if is_to_client and self._bytes_left is not None:
                chunk = chunk[: self._bytes_left]
                self._bytes_left -= len(chunk)
            writer.write(chunk)
            await writer.drain()
            if is_to_client and self._bytes_left == 0:
                self._bytes_left = None
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
