"""gRPC-Web in generated cases: what it does to all other requests, which is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random


def _config(_draw: Random) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}grpc_web.v3.GrpcWeb"}


def _override(_draw: Random) -> None:
    return None


KIND = Kind("web", _config, _override, is_once=True)
