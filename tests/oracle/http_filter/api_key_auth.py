"""api_key_auth in generated cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random

_CLIENTS = {"k1": "one", "k2": "two", "k3": "three"}
_SOURCES: tuple[list[dict[str, str]], ...] = (
    [{"header": "x-key"}],
    [{"header": "X-Key"}],
    [{"query": "r"}],
    [{"header": "x-key", "query": "r"}],
    [{"header": "x-key"}, {"query": "q"}],
    [{"header": "x-key", "cookie": "c"}],
)


def _credentials(draw: Random) -> list[dict[str, str]]:
    keys = draw.sample(sorted(_CLIENTS), draw.randint(1, 3))
    named = [{"key": key, "client": _CLIENTS[key]} for key in keys]
    return [*named, {"key": "1", "client": "bare"}]


def _forwarding(draw: Random) -> dict[str, Any]:
    return {"header": draw.choice(("x-client", "")), "hide_credentials": draw.random() < 0.5}


def _config(draw: Random) -> dict[str, Any]:
    return {
        "@type": f"{PACKAGE}api_key_auth.v3.ApiKeyAuth",
        "credentials": _credentials(draw),
        "key_sources": draw.choice((*_SOURCES[:5], *_SOURCES)),
        "forwarding": _forwarding(draw),
    }


def _override(draw: Random) -> dict[str, Any]:
    override: dict[str, Any] = {"@type": f"{PACKAGE}api_key_auth.v3.ApiKeyAuthPerRoute"}
    if draw.random() < 0.6:
        override["allowed_clients"] = draw.sample(sorted(_CLIENTS.values()), draw.randint(1, 2))
    if draw.random() < 0.3:
        override["key_sources"] = draw.choice(_SOURCES)
    if draw.random() < 0.3:
        override["forwarding"] = _forwarding(draw)
    return override


KIND = Kind(
    "api_key_auth",
    _config,
    _override,
    headers=(("x-key", ("k1", "k1", "k2", "k3", "bad", "", "Bearer k1")), ("x-client", ("forged",))),
    is_once=True,
)
