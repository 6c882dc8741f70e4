"""CSRF policies in generated cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random

_ALLOWED = ({"exact": "b.com"}, {"suffix": ".com:81"}, {"prefix": "a."}, {"safe_regex": {"regex": "[a-z]+\\.net"}})


def _policy(draw: Random) -> dict[str, Any]:
    enabled: dict[str, Any] = {"numerator": draw.choice((100, 100, 50, 0))}
    policy: dict[str, Any] = {"filter_enabled": {"default_value": enabled}}
    if draw.random() < 0.5:
        policy["additional_origins"] = [draw.choice(_ALLOWED) for _ in range(draw.randint(1, 2))]
    if draw.random() < 0.2:
        policy["shadow_enabled"] = {"default_value": {"numerator": 100}}
    return {"@type": f"{PACKAGE}csrf.v3.CsrfPolicy", **policy}


_URLS = (
    "http://foo.com",
    "http://a.foo.com",
    "http://b.com",
    "b.com",
    "http://x.com:81/p",
    "https://c.net",
    "null",
    "",
)

KIND = Kind(
    "csrf",
    _policy,
    _policy,
    headers=(("origin", _URLS), ("referer", _URLS)),
    methods=("POST", "PUT", "DELETE", "PATCH", "GET"),
)
