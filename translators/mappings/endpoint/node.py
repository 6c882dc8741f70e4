"""Source: the endpoints of a cluster, read by mappings.endpoint.endpoint.

Target: upstream.nodes.
Fidelity: E for addresses and priorities, A for health.
Differs: traffic moves to the next priority only when a priority has no node left.
Diagnostics: EP-WEIGHT.
See: mapping.md section 6.2.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from translators.mappings.endpoint.health import Panic, Tier, tiers_of
from translators.mappings.endpoint.weight import (
    MAX_HASHED_WEIGHT,
    MAX_WEIGHT,
    locality_weights,
    plain_weights,
    whole_weights,
)

if TYPE_CHECKING:
    from fractions import Fraction

    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.where import Where


@dataclass(frozen=True, slots=True)
class NodeRule:
    """How endpoints become nodes.

    Attributes:
        panic: when health is ignored.
        is_locality_weighted: localities share traffic by their weights.
        is_hashed: the upstream hashes, so weights cost memory.
        is_ordered: pick_first: each endpoint is tried only when those before it failed.
    """

    panic: Panic
    is_locality_weighted: bool = False
    is_hashed: bool = False
    is_ordered: bool = False


def build_nodes(endpoints: list[Endpoint], rule: NodeRule, at: Where, findings: Findings) -> list[dict[str, Any]]:
    """Build upstream.nodes: sorted, without duplicates in a priority, never with weight 0."""
    tiers = tiers_of(endpoints, rule.panic)
    last = max((endpoint.locality.priority for endpoint in endpoints), default=0)
    nodes: list[dict[str, Any]] = []
    for tier in tiers:
        priority = -(last + 1) - tier.priority if tier.is_degraded else -tier.priority
        nodes.extend(_tier_nodes(tier, priority, rule, at, findings))
    if rule.is_ordered:
        return _ordered(nodes)
    return sorted(nodes, key=lambda node: (-node["priority"], node["host"], node["port"]))


def _tier_nodes(tier: Tier, priority: int, rule: NodeRule, at: Where, findings: Findings) -> list[dict[str, Any]]:
    weights = locality_weights(tier, rule.panic.factor_percent) if rule.is_locality_weighted else plain_weights(tier)
    merged: dict[tuple[str, int], Fraction] = defaultdict(int)  # type: ignore[arg-type]  # int() is the neutral Fraction
    for endpoint, weight in zip(tier.usable, weights, strict=True):
        if weight > 0:
            merged[endpoint.host, endpoint.port] += weight
    whole, is_rescaled = whole_weights(list(merged.values()), MAX_HASHED_WEIGHT if rule.is_hashed else MAX_WEIGHT)
    if is_rescaled:
        findings.report("EP-WEIGHT", at.field("endpoints"))
    return [
        {"host": host, "port": port, "priority": priority, "weight": weight}
        for (host, port), weight in zip(merged, whole, strict=True)
    ]


def _ordered(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each node a priority of its own, in the order of the endpoints."""
    return [{**node, "priority": -index, "weight": 1} for index, node in enumerate(nodes)]
