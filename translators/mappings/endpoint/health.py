"""Source: LbEndpoint.health_status, ClusterLoadAssignment.policy.overprovisioning_factor, healthy_panic_threshold.

Target: which endpoints become nodes, and on which tier.
Fidelity: A.
Differs: decided when discovery speaks, not while requests run; a priority is left only when it has no node at all.
Diagnostics: none.
See: mapping.md section 6.2.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translators.mappings.endpoint.endpoint import Endpoint

DEFAULT_FACTOR_PERCENT = 140
FULL = Fraction(1)
_HEALTHY = frozenset({"UNKNOWN", "HEALTHY"})
_DEGRADED = "DEGRADED"


@dataclass(frozen=True, slots=True)
class Tier:
    """Endpoints that are tried together.

    Attributes:
        priority: the priority of the xDS endpoints.
        is_degraded: tried after all healthy tiers.
        is_panic: all endpoints of the priority are in, whatever their health.
        usable: the endpoints to use.
        all: all endpoints of the priority.
    """

    priority: int
    is_degraded: bool
    is_panic: bool
    usable: tuple[Endpoint, ...]
    all: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Panic:
    """When health is not believed any more.

    Attributes:
        threshold_percent: a priority below this share of usable endpoints is in panic.
        factor_percent: overprovisioning factor; 140 means that 72 % healthy endpoints still carry everything.
        is_failing: in panic nothing is used instead of everything.
    """

    threshold_percent: float = 50.0
    factor_percent: int = DEFAULT_FACTOR_PERCENT
    is_failing: bool = False


def tiers_of(endpoints: list[Endpoint], panic: Panic) -> list[Tier]:
    """Sort endpoints into tiers, healthy ones first, each kind by priority."""
    by_priority: dict[int, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        by_priority[endpoint.locality.priority].append(endpoint)
    usable = {
        priority: sum(endpoint.health in _HEALTHY or endpoint.health == _DEGRADED for endpoint in group)
        for priority, group in by_priority.items()
    }
    available = sum(
        min(FULL, Fraction(panic.factor_percent, 100) * Fraction(usable[priority], len(group)))
        for priority, group in by_priority.items()
    )
    healthy: list[Tier] = []
    degraded: list[Tier] = []
    for priority, group in sorted(by_priority.items()):
        share_percent = usable[priority] * 100 / len(group)
        if available < FULL and share_percent < panic.threshold_percent:
            members = () if panic.is_failing else tuple(group)
            healthy.append(Tier(priority, is_degraded=False, is_panic=True, usable=members, all=tuple(group)))
            continue
        healthy.append(_tier(priority, group, is_degraded=False))
        degraded.append(_tier(priority, group, is_degraded=True))
    return [tier for tier in (*healthy, *degraded) if tier.usable]


def _tier(priority: int, group: list[Endpoint], *, is_degraded: bool) -> Tier:
    wanted = frozenset({_DEGRADED}) if is_degraded else _HEALTHY
    members = tuple(endpoint for endpoint in group if endpoint.health in wanted)
    return Tier(priority, is_degraded, is_panic=False, usable=members, all=tuple(group))
