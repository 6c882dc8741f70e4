"""What Envoy and the model of APISIX did with a request, in one comparable form."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.oracle.apisix_model import Answer, WireRequest
    from tests.oracle.generate import Scene
    from tests.oracle.wire import Exchange

_OF_THE_PROXY = re.compile(
    r"host|content-length|content-type|connection|transfer-encoding|user-agent|date|server|location"
    r"|x-forwarded-.*|x-request-id|x-envoy-.*|x-real-ip|x-echo|x-oracle-flags|grpc-.*"
)
"""Headers that the proxies themselves write, or that are compared as something else."""


_FLAGS = "x-oracle-flags"


def telling(listener: dict[str, Any]) -> dict[str, Any]:
    """Give a listener that tells what it did to a request which cannot be seen otherwise."""
    told = copy.deepcopy(listener)
    (manager,) = told["filter_chains"][0]["filters"]
    marker = {"header": {"key": _FLAGS, "value": "-%RESPONSE_FLAGS%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    manager["typed_config"]["route_config"].setdefault("response_headers_to_add", []).append(marker)
    return told


@dataclass(frozen=True)
class Seen:
    """What one side did with a request, in comparable form.

    Attributes:
        is_delayed: a delay was injected; None where Envoy does not tell.
    """

    status: int
    cluster: str = ""
    method: str = ""
    target: str = ""
    host: str = ""
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)
    location: str = ""
    content_type: str = ""
    body: str = ""
    is_delayed: bool | None = None


ASPECTS = tuple(Seen.__dataclass_fields__)


@dataclass(frozen=True)
class Difference:
    """A request whose outcome differs.

    Attributes:
        aspects: fields of Seen in which the sides differ.
        envoy: what Envoy did.
        apisix: the most similar of what APISIX may do.
        routes: names of the Envoy routes that the sides may have taken; empty = none.
    """

    scene: Scene
    request: WireRequest
    aspects: frozenset[str]
    envoy: Seen
    apisix: Seen
    routes: frozenset[str]

    def __str__(self) -> str:
        rows = [f"  {a}: envoy {getattr(self.envoy, a)!r}, apisix {getattr(self.apisix, a)!r}" for a in self.aspects]
        head = f"level {self.scene.level} seed {self.scene.seed}: {self.request} routes {sorted(self.routes)}"
        return "\n".join([head, *sorted(rows)])


def _headers(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Join repeated headers, which mean the same as one list (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if not _OF_THE_PROXY.fullmatch(name):
            found[name] = f"{found[name]},{value}" if name in found else value
    return {name: re.sub(r"\s*,\s*", ",", value) for name, value in found.items()}


def _text_type(value: str) -> str:
    """Nginx appends its charset to text types (mapping.md section 14.15)."""
    return value.removesuffix("; charset=utf-8")


def seen_of_envoy(exchange: Exchange) -> Seen:
    """Read what Envoy and the upstream behind it answered."""
    known = dict(exchange.headers)
    common: dict[str, Any] = {
        "status": exchange.status,
        "response_headers": _headers(exchange.headers),
        "location": known.get("location", ""),
        "content_type": _text_type(known.get("content-type", "")),
        "is_delayed": "DI" in known[_FLAGS] if _FLAGS in known else None,
    }
    echo = known.get("x-echo") or (exchange.body.decode() if exchange.body.startswith(b'{"cluster"') else "")
    if not echo:
        return Seen(**common, body=exchange.body.decode("latin-1"))
    upstream = json.loads(echo)
    pairs = [(name, value) for name, value in upstream["headers"]]
    return Seen(
        **common,
        cluster=upstream["cluster"],
        method=upstream["method"],
        target=upstream["target"],
        host=dict(pairs)["host"],
        request_headers=_headers(pairs),
    )


def seen_of_model(answer: Answer, request: WireRequest, clusters: dict[int, str]) -> Seen:
    """Bring the model's answer into the same form."""
    known = dict(answer.headers)
    return Seen(
        status=answer.status,
        cluster=clusters[answer.upstream_port] if answer.upstream_port else "",
        method=request.method if answer.upstream_port else "",
        target=answer.target,
        host=answer.host,
        request_headers=_headers(answer.request_headers),
        response_headers=_headers(answer.headers),
        location=known.get("location", ""),
        content_type=_text_type(known.get("content-type", "")),
        body="" if answer.status in (204, 304) else answer.body,
        is_delayed=answer.delay_s > 0,
    )
