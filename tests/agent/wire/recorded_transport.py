"""A transport that keeps what is written to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class RecordedTransport(asyncio.Transport):
    """Attributes say what a connection asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_reading_now = True
        self.is_aborted = False
        self.is_closed = False
        self.on_write: Callable[[], None] | None = None

    def write(self, data: bytes) -> None:
        self.written += data
        if self.on_write is not None:
            self.on_write()

    def writelines(self, list_of_data: Iterable[bytes]) -> None:
        for data in list_of_data:
            self.write(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed

    def take(self) -> bytes:
        """Give what was written since the last time."""
        taken, self.written = self.written, b""
        return taken
