"""Source: RouteAction.cluster_header, WeightedCluster.ClusterWeight.cluster_header.

Target: one route per known cluster, which the header must name; then an answer for the other requests.
Fidelity: E, for the clusters that are known when it is translated; N for more than 64 of them.
Differs: of a header that comes twice Envoy reads the first line, nginx both.
Diagnostics: RA-CLUSTER-HEADER.
See: mapping.md sections 5.6 and 14.18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from translators.expr import equals
from translators.mappings.match.headers import variable_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from translators.expr import Expr
    from translators.findings import Findings
    from translators.header_step import Step
    from translators.route_context import RouteContext
    from translators.where import Where


class NamedCluster(NamedTuple):
    """A cluster that a request may name, and the condition that it does."""

    name: str
    condition: Expr


def named_clusters(
    header: str, context: RouteContext, mutations: Iterable[Step], at: Where, findings: Findings
) -> list[NamedCluster] | None:
    """Give the clusters that requests may name; None, with a diagnostic, when APISIX cannot tell which is meant.

    Args:
        header: that names the cluster.
        context: with all clusters of the view, unless these are too many.
        mutations: what filters do to the request before Envoy reads the header.
        at: where the header is named.
        findings: receives RA-CLUSTER-HEADER.
    """
    variable = variable_of(header)
    reason = ""
    if variable is None:
        reason = f"{header} has no variable in nginx"
    elif not context.has_all_clusters:
        reason = "any of too many clusters may be meant"
    elif any(_touches(step, header.lower()) for step in mutations):
        reason = f"a filter changes {header} after APISIX has chosen the route"
    if variable is None or reason:
        findings.report("RA-CLUSTER-HEADER", at, value=reason)
        return None
    return [NamedCluster(name, equals(variable, name)) for name in sorted(context.clusters)]


def _touches(step: Step, header: str) -> bool:
    return header in step.removed or any(mutation.name == header for mutation in step.mutations)
