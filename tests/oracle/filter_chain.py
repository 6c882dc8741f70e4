"""HTTP filters of generated cases: which there are in a listener, and what routes say about them.

They have a random source of their own, so that a new kind leaves everything else about a seed as it was.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter import (
    api_key_auth,
    buffer,
    cors,
    csrf,
    fault,
    grpc_web,
    header_mutation,
    health_check,
    jwt_authn,
    rbac,
)

if TYPE_CHECKING:
    from tests.oracle.apisix_model import WireRequest
    from tests.oracle.http_filter.kind import Kind

KINDS: tuple[Kind, ...] = (
    rbac.KIND,
    fault.KIND,
    cors.KIND,
    csrf.KIND,
    buffer.KIND,
    health_check.KIND,
    header_mutation.KIND,
    header_mutation.METADATA_KIND,
    grpc_web.KIND,
    jwt_authn.KIND,
    api_key_auth.KIND,
)
FEWEST_LEVEL = 2
_PRESENT = 0.5
_ADDRESSED = 0.6


def add_filters(listener: dict[str, Any], level: int, seed: int) -> list[Kind]:
    """Put filters in front of the router of a generated listener, and overrides into its routes.

    Args:
        listener: as JSON data, with its RouteConfiguration inside.
        level: of the case.
        seed: of the case.

    Returns:
        The kinds of what was added.
    """
    draw = random.Random(f"filters/{listener['name']}/{seed}")
    if level < FEWEST_LEVEL or draw.random() > _PRESENT:
        return []
    (hcm,) = (one["typed_config"] for one in listener["filter_chains"][0]["filters"])
    added: list[dict[str, Any]] = []
    kinds: list[Kind] = []
    for number in range(draw.randint(1, 4)):
        kind = draw.choice(KINDS)
        config = kind.config(draw)
        if config is None or (kind.is_once and kind in kinds):
            continue
        name = f"{kind.name}{number}"
        added.append({"name": name, "typed_config": config, **({"disabled": True} if draw.random() < 0.1 else {})})
        kinds.append(kind)
        _override(hcm["route_config"], name, kind, draw)
    hcm["http_filters"][:0] = added
    return kinds


def addressed(requests: list[WireRequest], kinds: list[Kind], level: int, seed: int) -> list[WireRequest]:
    """Give many requests what the filters look at."""
    if not kinds:
        return requests
    draw = random.Random(f"requests/{level}/{seed}")
    return [_addressed(request, kinds, draw) for request in requests]


def _addressed(request: WireRequest, kinds: list[Kind], draw: random.Random) -> WireRequest:
    headers, method, body_size = list(request.headers), request.method, request.body_size
    for kind in kinds:
        headers += [(name, draw.choice(values)) for name, values in kind.headers if draw.random() < _ADDRESSED]
        if kind.methods and draw.random() < _ADDRESSED:
            method = draw.choice(kind.methods)
        if kind.body_sizes and draw.random() < _ADDRESSED:
            body_size = draw.choice(kind.body_sizes)
    # A name once is enough, and what a repeated header means is another question.
    unique = {} if len(headers) == len(request.headers) else dict(headers[len(request.headers) :])
    kept = [pair for pair in request.headers if pair[0] not in unique]
    return replace(request, method=method, headers=(*kept, *unique.items()), body_size=body_size)


def _override(route_config: dict[str, Any], name: str, kind: Kind, draw: random.Random) -> None:
    hosts = route_config["virtual_hosts"]
    for level in (route_config, *hosts, *(route for host in hosts for route in host["routes"])):
        if draw.random() < kind.overridden / len(hosts) and (config := kind.override(draw)) is not None:
            level.setdefault("typed_per_filter_config", {})[name] = config
