"""HTTP filters of generated cases: which there are in a listener, and what routes say about them.

They have a random source of their own, so that a new kind leaves everything else about a seed as it was.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter import rbac

if TYPE_CHECKING:
    from tests.oracle.http_filter.kind import Kind

KINDS: tuple[Kind, ...] = (rbac.KIND,)
FEWEST_LEVEL = 2
_PRESENT = 0.5
_OVERRIDDEN = 0.25


def add_filters(listener: dict[str, Any], level: int, seed: int) -> None:
    """Put filters in front of the router of a generated listener, and overrides into its routes.

    Args:
        listener: as JSON data, with its RouteConfiguration inside.
        level: of the case.
        seed: of the case.
    """
    draw = random.Random(f"filters/{listener['name']}/{seed}")
    if level < FEWEST_LEVEL or draw.random() > _PRESENT:
        return
    (hcm,) = (one["typed_config"] for one in listener["filter_chains"][0]["filters"])
    added = []
    for number in range(draw.randint(1, 3)):
        kind = draw.choice(KINDS)
        config = kind.config(draw)
        if config is None:
            continue
        name = f"{kind.name}{number}"
        added.append({"name": name, "typed_config": config, **({"disabled": True} if draw.random() < 0.1 else {})})
        _override(hcm["route_config"], name, kind, draw)
    hcm["http_filters"][:0] = added


def _override(route_config: dict[str, Any], name: str, kind: Kind, draw: random.Random) -> None:
    hosts = route_config["virtual_hosts"]
    for level in (route_config, *hosts, *(route for host in hosts for route in host["routes"])):
        if draw.random() < _OVERRIDDEN / len(hosts) and (config := kind.override(draw)) is not None:
            level.setdefault("typed_per_filter_config", {})[name] = config
