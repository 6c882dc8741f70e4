"""What the mappings of a Cluster contribute to: the settings that all variants of its upstream share."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translators.mappings.cluster.load_balancing_policy import LbPolicy

DEFAULT_CONNECT_TIMEOUT_S = 5.0
DEFAULT_PANIC_THRESHOLD_PERCENT = 50.0


class Discovery(StrEnum):
    """Where the endpoints of a cluster come from."""

    STATIC = "STATIC"
    EDS = "EDS"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    AGGREGATE = "AGGREGATE"
    UNSUPPORTED = "UNSUPPORTED"


@dataclass(slots=True)
class UpstreamDraft:
    """An upstream in the making.

    Attributes:
        name: the cluster's name.
        policy: the load-balancing policy in force.
        discovery: where endpoints come from.
        connect_timeout_s: of one try.
        keepalive_pool: APISIX's own pool per upstream; its defaults are written out so that they never drift.
        is_http2: HTTP/2 is spoken upstream, which nginx does for gRPC only.
        sets_sni: the SNI follows the Host header (auto_sni), as nginx does by itself.
        panic_threshold_percent: below this share of usable endpoints all of them are used (mapping.md section 6.2).
        fails_on_panic: in panic nothing is used instead.
        is_closed: the cluster must answer 503, whatever its endpoints.
        checks: APISIX health checks.
    """

    name: str
    policy: LbPolicy
    discovery: Discovery = Discovery.STATIC
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S
    keepalive_pool: dict[str, float] = field(
        default_factory=lambda: {"idle_timeout": 60, "requests": 1000, "size": 320}
    )
    is_http2: bool = False
    sets_sni: bool = False
    panic_threshold_percent: float = DEFAULT_PANIC_THRESHOLD_PERCENT
    fails_on_panic: bool = False
    is_closed: bool = False
    checks: dict[str, Any] = field(default_factory=dict)
