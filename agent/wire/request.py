"""A parsed HTTP/1.1 request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent.wire.response import Response


class Request(NamedTuple):
    """A request that waits for its answer; `refusal` answers it whatever it asks."""

    method: bytes
    path: bytes
    body: bytes
    is_keep_alive: bool
    is_old: bool
    refusal: Response | None = None
    token: str = ""
