"""Limits on bodies in generated cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random


def _buffer(draw: Random) -> dict[str, Any]:
    return {"max_request_bytes": draw.choice((1, 10, 50))}


def _config(draw: Random) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}buffer.v3.Buffer", **_buffer(draw)}


def _override(draw: Random) -> dict[str, Any]:
    said = {"disabled": True} if draw.random() < 0.4 else {"buffer": _buffer(draw)}
    return {"@type": f"{PACKAGE}buffer.v3.BufferPerRoute", **said}


KIND = Kind("buffer", _config, _override, methods=("POST", "PUT"), body_sizes=(0, 1, 9, 10, 11, 60))
