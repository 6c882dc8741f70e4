"""Run the HTTP filters of a route, each by its row in the registry, in the order of the connection manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.records import Severity
from translators import dispatch
from translators.diagnostics import DiagnosticClass
from translators.filter_draft import FilterDraft, Guard
from translators.header_order import settle
from translators.http_filter import effective_filters, listed_filters
from translators.mappings.http_connection_manager import tracing
from translators.registry import Diagnosed, Handled, Ignored, find

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter, ListedFilter
    from translators.route_context import RouteContext
    from translators.where import Where

_SERVED = "requests are served without the filter"


def run_filters(
    context: RouteContext,
    route: xds.Message | None,
    at: Where,
    findings: Findings,
    weighted: xds.Message | None = None,
) -> FilterDraft:
    """Translate the filters that run on a route.

    Args:
        context: what surrounds the route.
        route: the Route; None for requests that no route takes: filters run on these too (mapping.md section 14.8).
        at: the route.
        findings: receives the diagnostics.
        weighted: the weighted cluster entry that was drawn, if it has filters of its own.
    """
    draft = _begun(context, route, at, findings)
    if not has_effective(context):
        return draft
    for http_filter in effective_filters(context, route, weighted, at, _idle(context)):
        known, mutated = len(draft.guards), draft.mutated()
        _run(http_filter, draft, findings)
        if mutated and len(draft.guards) > known:
            settle(draft, known, mutated, http_filter.at, findings)
    return draft


def has_effective(context: RouteContext) -> bool:
    """Tell whether the connection manager lists any filter that may contribute to a route."""
    return len(_idle(context)) < len(listed_filters(context))


def _idle(context: RouteContext) -> frozenset[int]:
    """Give the indices of the filters that contribute nothing to any route, as the router: told once a chain."""
    key = ("filters", "idle")
    if key not in context.chain_memo:
        listed = enumerate(listed_filters(context))
        context.chain_memo[key] = frozenset(index for index, one in listed if _does_nothing(one))
    found: frozenset[int] = context.chain_memo[key]
    return found


def _does_nothing(listed: ListedFilter) -> bool:
    row = None if listed.is_pending else find(listed.type_name)
    return isinstance(row, Ignored) or (isinstance(row, Handled) and row.apply is None)


def _begun(context: RouteContext, route: xds.Message | None, at: Where, findings: Findings) -> FilterDraft:
    """Give what the connection manager does before any filter, and to responses after all of them."""
    connection = context.connection
    draft = FilterDraft(
        plugins=dict(connection.plugins),
        request=list(connection.request),
        response=[connection.response] if connection.response else [],
    )
    for refusal in connection.refusals:
        plugins = {**draft.plugins, **refusal.plugins}
        # Envoy refuses before it has looked for a route, so that no mutation of one touches the answer.
        draft.guards.append(Guard(refusal.name, (refusal.condition,), plugins, refusal.status, takes_levels=False))
    if route is not None and route.HasField("tracing"):
        draft.plugins |= tracing.of_route(route, context.hcm, connection, at, findings)
    return draft


def _run(http_filter: EffectiveFilter, draft: FilterDraft, findings: Findings) -> None:
    if http_filter.is_pending:
        if _may_restrict(http_filter) and findings.blocks(
            "EXT-PENDING", http_filter.at, effect="the route answers 503"
        ):
            draft.deny("EXT-PENDING")
        return
    row = find(http_filter.type_name) if http_filter.type_name else None
    if row is None:
        _run_unknown(http_filter, draft, findings)
    elif isinstance(row, Handled):
        if row.apply is not None:
            row.apply(http_filter, draft, http_filter.at, findings)
    elif isinstance(row, Diagnosed) and not dispatch.diagnose(row, http_filter, http_filter.at, findings):
        draft.deny(row.code)


def _run_unknown(http_filter: EffectiveFilter, draft: FilterDraft, findings: Findings) -> None:
    said = http_filter.type_name or f"{http_filter.name} without typed_config"
    if http_filter.is_optional:
        findings.report(
            "HF-UNKNOWN",
            http_filter.at,
            value=said,
            effect=_SERVED,
            severity=Severity.WARN,
            diagnostic_class=DiagnosticClass.UNSUPPORTED,
        )
    elif findings.blocks("HF-UNKNOWN", http_filter.at, value=said):
        draft.deny("HF-UNKNOWN")


def _may_restrict(http_filter: EffectiveFilter) -> bool:
    """Tell whether a filter whose configuration has not arrived could be one that restricts."""
    for candidate in http_filter.context.hcm.http_filters:
        if candidate.name == http_filter.name:
            rows = [find(url.rpartition("/")[2]) for url in candidate.config_discovery.type_urls]
            return not rows or any(not isinstance(row, Ignored) for row in rows)
    return True
