"""CORS in generated cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random

_ORIGINS = (
    {"exact": "http://a.com"},
    {"exact": "*"},
    {"prefix": "http://"},
    {"suffix": ".com", "ignore_case": True},
    {"safe_regex": {"regex": "https?://[a-z]+\\.com"}},
    {"safe_regex": {"regex": ".*"}},
    {"contains": "b"},
)


def _config(_draw: Random) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}cors.v3.Cors"}


def _policy(draw: Random) -> dict[str, Any]:
    policy: dict[str, Any] = {}
    if draw.random() < 0.8:
        policy["allow_origin_string_match"] = [draw.choice(_ORIGINS) for _ in range(draw.randint(1, 2))]
    for field, values in (
        ("allow_methods", ("GET, PUT", "*", "$x")),
        ("allow_headers", ("x-h", "*")),
        ("expose_headers", ("x-up", "*")),
        ("max_age", ("600", "0")),
        ("allow_credentials", (True, False)),
        ("allow_private_network_access", (True, False)),
        ("forward_not_matching_preflights", (True, False)),
        ("filter_enabled", ({"default_value": {"numerator": 50}}, {"default_value": {}})),
        ("shadow_enabled", ({"default_value": {"numerator": 100}},)),
    ):
        if draw.random() < (0.5 if field.startswith("allow") else 0.3 if field[0] in "em" else 0.15):
            policy[field] = draw.choice(values)
    return {"@type": f"{PACKAGE}cors.v3.CorsPolicy", **policy}


KIND = Kind(
    "cors",
    _config,
    _policy,
    headers=(
        ("origin", ("http://a.com", "https://b.com", "HTTP://B.COM", "null", "")),
        ("access-control-request-method", ("PUT", "PUT", "")),
        ("access-control-request-headers", ("x-h,x-i",)),
        ("access-control-request-private-network", ("true", "false")),
    ),
    methods=("OPTIONS", "OPTIONS", "GET", "POST"),
    is_once=True,
    overridden=0.7,
)
