"""Health checks that are answered in generated cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random

_MATCHERS = (
    {"name": ":path", "string_match": {"exact": "/a"}},
    {"name": ":path", "string_match": {"prefix": "/b"}},
    {"name": "x-health", "present_match": True},
    {"name": "x-health", "string_match": {"exact": "yes"}, "invert_match": True},
)


def _config(draw: Random) -> dict[str, Any]:
    headers = [draw.choice(_MATCHERS) for _ in range(draw.randint(1, 2))]
    return {
        "@type": f"{PACKAGE}health_check.v3.HealthCheck",
        "pass_through_mode": draw.random() < 0.2,
        "headers": headers,
    }


def _override(_draw: Random) -> None:
    return None


KIND = Kind("health", _config, _override, headers=(("x-health", ("yes", "no")),))
