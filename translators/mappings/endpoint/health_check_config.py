"""Source: Endpoint.health_check_config.

Target: checks.active.port and host, where all endpoints of the cluster have the same.
Fidelity: E where they are the same; N else.
Differs: nothing.
Diagnostics: CL-FEATURE.
See: mapping.md section 6.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from translators.mappings.cluster.health_check import HOST, MAX_PORT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas import xds
    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.where import Where


class Probe(NamedTuple):
    """How an endpoint wants to be probed, where that is not as it is used.

    Attributes:
        port: 0 = its own.
        hostname: empty = as the check says.
        has_address: at another address.
        is_disabled: not at all.
    """

    port: int = 0
    hostname: str = ""
    has_address: bool = False
    is_disabled: bool = False


AS_USED = Probe()


def read_probe(endpoint: xds.Message) -> Probe:
    """Read the health_check_config of an Endpoint."""
    config = endpoint.health_check_config
    return Probe(
        config.port_value, config.hostname, config.HasField("address"), bool(config.disable_active_health_check)
    )


def with_probes(checks: dict[str, Any], endpoints: Sequence[Endpoint], at: Where, findings: Findings) -> dict[str, Any]:
    """Give the checks as the endpoints want them.

    Args:
        checks: upstream.checks with an active check; empty when there is none.
        endpoints: of the cluster.
        at: the ClusterLoadAssignment.
        findings: receives CL-FEATURE.
    """
    wanted = {endpoint.probe for endpoint in endpoints}
    if not checks or wanted <= {AS_USED}:
        return checks
    probe = next(iter(wanted))
    if wanted == {Probe(is_disabled=True)} and "passive" not in checks:
        return {}
    if len(wanted) > 1 or probe.has_address or probe.is_disabled:
        findings.report("CL-FEATURE", at.field("endpoints"), value="health_check_config", effect=_effect(wanted))
        return checks
    active = dict(checks["active"])
    if 1 <= probe.port <= MAX_PORT:
        active["port"] = probe.port
    if active["type"] == "http" and HOST.match(probe.hostname):
        active["host"] = probe.hostname
    return {**checks, "active": active}


def _effect(wanted: set[Probe]) -> str:
    if any(probe.is_disabled for probe in wanted):
        return "all endpoints are probed"
    return "every endpoint is probed at its own address and port"
