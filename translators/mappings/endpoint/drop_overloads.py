"""Source: ClusterLoadAssignment.Policy.drop_overloads.

Target: mocking on the routes to the cluster, for a share of the requests by digits of `$request_id`: it answers behind
    all filters, as Envoy's router does, and stands with what changes often.
Fidelity: E for one category, which is what Envoy takes.
Differs: a share has a granularity of 1/65536; x-envoy-drop-overload is not sent; local_reply_config does not form the
    answer; several categories, which Envoy refuses, drop one after the other, as in gRPC.
Diagnostics: CL-DROP, HCM-LOCALREPLY.
See: mapping.md sections 6.2 and 9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from schemas import xds
from translators.diagnostics import DiagnosticClass
from translators.expr import ALWAYS, NEVER, all_of, any_of, conjuncts, negate
from translators.mappings.match.runtime_fraction import DENOMINATORS, share_of
from translators.plugin_phase import LAST_PRIORITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.mappings.action.weighted_clusters import Share
    from translators.route_context import RouteContext
    from translators.where import Where

_FRACTION = xds.message_class("envoy.type.v3.FractionalPercent")
_MILLION = DENOMINATORS[-1]
_UNAVAILABLE = 503
_BODY = "drop overload"
_WHOLE_BODY = "unconditional drop overload"
_SEVERAL = "Envoy takes one category only; here each drops its share of what those before it leave"
_UNFORMED = "requests that are dropped are answered 503 in Envoy's own words"


def apply(policy: xds.Message, _draft: Any, at: Where, findings: Findings) -> None:
    """Report what Envoy would refuse; what is dropped is up to the routes to the cluster."""
    if len(policy.drop_overloads) > 1:
        findings.report(
            "CL-DROP",
            at.field("drop_overloads"),
            effect=_SEVERAL,
            remedy="drop in one category",
            diagnostic_class=DiagnosticClass.APPROXIMATED,
        )


def of_cluster(name: str) -> list[tuple[str, Expr]]:
    """Give what a route to one cluster leads to, as `dropping` takes it."""
    return [(name, ALWAYS)]


def of_shares(shares: Sequence[Share]) -> list[tuple[str, Expr]]:
    """Give the clusters of a weighted action, each with the condition under which it is drawn."""
    drawn = [one.condition for one in shares if one.condition is not None]
    rest = negate(any_of(drawn)) if drawn else ALWAYS
    return [(one.entry.name, one.condition if one.condition is not None else rest) for one in shares]


def dropping(
    clusters: Iterable[tuple[str, Expr]], filters: FilterDraft, context: RouteContext, at: Where, findings: Findings
) -> dict[str, Any]:
    """Give the plugin that drops requests, if any are dropped.

    Args:
        clusters: names, with the condition on requests that lead there.
        filters: of the route; no digits of the request id are drawn that they have drawn.
        context: with what is known of the clusters' assignments.
        at: the RouteAction.
        findings: receives the diagnostics.
    """
    known = [(name, drawn) for name, drawn in clusters if name in context.assignments]
    shares = [(drawn, _share(context.assignments[name])) for name, drawn in known]
    # One request leads to one cluster, so that all draw by the same digits.
    dropped = any_of(all_of((drawn, replace(filters).draw(share))) for drawn, share in shares)
    if dropped == NEVER:
        return {}
    if context.connection.local_reply is not None:
        findings.report("HCM-LOCALREPLY", at, effect=_UNFORMED)
    meta: dict[str, Any] = {"priority": LAST_PRIORITY}
    if dropped != ALWAYS:
        meta["filter"] = conjuncts((dropped,))
    is_whole = all(share.numerator == _MILLION for _, share in shares)
    return {
        "mocking": {
            "_meta": meta,
            "content_type": "text/plain",
            "response_example": _WHOLE_BODY if is_whole else _BODY,
            "response_status": _UNAVAILABLE,
            "with_mock_header": False,
        }
    }


def _share(assignment: xds.Message) -> xds.Message:
    """Give the share that all categories drop together."""
    kept = 1.0
    for overload in assignment.policy.drop_overloads:
        kept *= 1 - min(share_of(overload.drop_percentage), 1.0)
    return _FRACTION(numerator=round((1 - kept) * _MILLION), denominator="MILLION")
