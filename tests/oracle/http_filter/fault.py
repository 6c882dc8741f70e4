"""Faults in generated cases; delays are too short to be waited for, Envoy tells them by its response flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random


def _share(draw: Random) -> dict[str, Any]:
    return draw.choice(
        (
            {"numerator": 100},
            {"numerator": 50},
            {"numerator": 333, "denominator": "TEN_THOUSAND"},
            {"numerator": 999_999, "denominator": "MILLION"},
            {},
        )
    )


def _fault(draw: Random) -> dict[str, Any]:
    fault: dict[str, Any] = {}
    if draw.random() < 0.6:
        status = {"http_status": draw.choice((503, 418, 200, 429))}
        if draw.random() < 0.3:
            status = {"grpc_status": draw.choice((1, 4, 5, 7, 14, 16))}
        fault["abort"] = {**status, "percentage": _share(draw)}
    if draw.random() < 0.5:
        fault["delay"] = {"fixed_delay": "0.001s", "percentage": _share(draw)}
    if draw.random() < 0.4:
        inverted = {"invert_match": True} if draw.random() < 0.3 else {}
        fault["headers"] = [{"name": "x-h", "string_match": {"prefix": "x"}, **inverted}]
    if draw.random() < 0.2:
        fault["downstream_nodes"] = ["n1", "n2"]
    if draw.random() < 0.2:
        fault["upstream_cluster"] = draw.choice(("c0", "c1"))
    return {"@type": f"{PACKAGE}fault.v3.HTTPFault", **fault}


KIND = Kind("fault", _fault, _fault, headers=(("x-envoy-downstream-service-node", ("n1", "n3")),))
