"""Translate the action of a route, with everything on the way there, into parts: APISIX routes without their match."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.block import NOT_FOUND, UNAVAILABLE, abort, answer_part, denial
from translators.expr import equals
from translators.filters import run_filters
from translators.headers import FoldedHeaders, Step, fold, read_level
from translators.mappings.action.cluster import not_found_status, upstream_of
from translators.mappings.action.direct_response import direct_response
from translators.mappings.action.host_rewrite import rewrite_host
from translators.mappings.action.redirect import redirects
from translators.mappings.action.retry_policy import report_lost
from translators.mappings.action.timeout import timeout_of
from translators.mappings.action.upgrade_configs import is_upgrading
from translators.mappings.action.weighted_clusters import (
    needs_routes,
    read_shares,
    report_draw,
    traffic_split,
    upstream_of_share,
)
from translators.route_context import Part
from translators.route_draft import RouteDraft, response_plugins
from translators.variant import BLACKHOLE_ID

if TYPE_CHECKING:
    from schemas import xds
    from translators.filters import FilterDraft
    from translators.findings import Findings
    from translators.format_string import Side
    from translators.mappings.action.weighted_clusters import Share
    from translators.route_context import RouteContext
    from translators.where import Where

_MOVED_PERMANENTLY = 301
_HTTPS_LOCATION = "https://${http_host}${real_request_uri}"
"""Unlike a redirect action this keeps the port, even `:80` (mapping.md section 14.14)."""


def build_parts(route: xds.Message, context: RouteContext, at: Where, findings: Findings) -> list[Part]:
    """Translate the action of a route.

    Args:
        route: envoy.config.route.v3.Route.
        context: the levels above it.
        at: where the route stands.
        findings: receives the diagnostics.

    Returns:
        At least one part, in the order in which they are tried; see Part.
    """
    kind = route.WhichOneof("action")
    if kind == "route":
        return _Cluster(route, context, at, findings).parts()
    filters = run_filters(context, route, at, findings)
    denied = filters.denial()
    if denied is not None:
        return [denied]
    if kind == "redirect":
        return _redirect_parts(route, context, filters, at, findings)
    if kind == "direct_response":
        place = at.field("direct_response")
        dispatch.apply(route.direct_response, None, place, findings)
        plugins = direct_response(route.direct_response, place, findings)
        mutations = _response_plugins(route, context, filters, at, findings)
        return [answer_part(plugins | mutations, plugins["fault-injection"]["abort"]["http_status"])]
    findings.report("RT-ACTION", at.field(kind) if kind else at)
    return [denial(UNAVAILABLE, "RT-ACTION")]


def terminal_parts(context: RouteContext, at: Where, findings: Findings) -> list[Part]:
    """Give the answer to requests that no route takes: 404, under the filters of the listener (section 14.8).

    Args:
        context: the levels above.
        at: the virtual host or route configuration.
        findings: receives the diagnostics of the filters.
    """
    return _answered_parts(abort(NOT_FOUND), NOT_FOUND, context, at, findings)


def require_tls_parts(context: RouteContext, at: Where, findings: Findings) -> list[Part]:
    """Give the redirect to https of a virtual host that requires TLS, without its mutations (section 14.14).

    Args:
        context: with the virtual host.
        at: the virtual host.
        findings: receives the diagnostics of the filters.

    Returns:
        Nothing when the virtual host does not require TLS.
    """
    if context.virtual_host is None or not context.virtual_host.require_tls:
        return []
    plugins = abort(_MOVED_PERMANENTLY, "", {"Location": _HTTPS_LOCATION})
    parts = _answered_parts(plugins, _MOVED_PERMANENTLY, context, at, findings)
    return [replace(part, conditions=(equals("scheme", "http"),)) for part in parts]


def _answered_parts(
    plugins: dict[str, Any], status: int, context: RouteContext, at: Where, findings: Findings
) -> list[Part]:
    filters = run_filters(context, None, at, findings)
    denied = filters.denial()
    if denied is not None:
        return [denied]
    response = fold(filters.response_steps(), "response", at, findings)
    return [answer_part(plugins | response_plugins(response), status)]


def _redirect_parts(
    route: xds.Message, context: RouteContext, filters: FilterDraft, at: Where, findings: Findings
) -> list[Part]:
    place = at.field("redirect")
    dispatch.apply(route.redirect, None, place, findings)
    found = redirects(route, context, place, findings)
    if found is None:
        return [denial(UNAVAILABLE, "RA-REDIRECT")]
    mutations = _response_plugins(route, context, filters, at, findings)
    return [
        answer_part(one.plugins | mutations, one.status, suffix=one.suffix, conditions=one.conditions) for one in found
    ]


def _response_plugins(
    route: xds.Message, context: RouteContext, filters: FilterDraft, at: Where, findings: Findings
) -> dict[str, Any]:
    steps = [*_steps(route, context, "response", at, findings), *filters.response_steps()]
    return response_plugins(fold(steps, "response", at, findings))


def _root(at: Where) -> Where:
    return replace(at, path="")


def _steps(
    route: xds.Message,
    context: RouteContext,
    side: Side,
    at: Where,
    findings: Findings,
    *,
    weighted: xds.Message | None = None,
    constants: dict[str, str] | None = None,
) -> list[Step]:
    """Read the mutations of all levels in the order in which Envoy evaluates them: later ones win."""
    known = {"ROUTE_NAME": route.name, **(constants or {})}
    levels = [(route, at), (context.route_config, _root(at))]
    if context.virtual_host is not None:
        levels.insert(1, (context.virtual_host, _root(at).item("virtual_hosts", context.virtual_host.name)))
    if context.route_config.most_specific_header_mutations_wins:
        levels.reverse()
    if weighted is not None:
        levels.insert(0, (weighted, at.field("route.weighted_clusters").item("clusters", weighted.name)))
    return [read_level(level, side, known, place, findings) for level, place in levels]


class _Cluster:
    """Translates a route that leads to clusters."""

    def __init__(self, route: xds.Message, context: RouteContext, at: Where, findings: Findings) -> None:
        self._route = route
        self._action = route.route
        self._context = context
        self._at = at
        self._place = at.field("route")
        self._findings = findings
        self._draft = RouteDraft(route, context)

    def parts(self) -> list[Part]:
        """Give the parts."""
        dispatch.apply(self._action, self._draft, self._place, self._findings)
        self._report_retries()
        kind = self._action.WhichOneof("cluster_specifier")
        if kind == "cluster":
            return [self._to_cluster(self._action.cluster)]
        if kind == "weighted_clusters":
            return self._to_weighted()
        code = {"cluster_header": "RA-CLUSTER-HEADER", None: "RT-ACTION"}.get(kind, "RA-CLUSTER-PLUGIN")
        if kind is None:
            self._findings.report(code, self._place)
        return [self._denied() or denial(UNAVAILABLE, code)]

    def _report_retries(self) -> None:
        virtual_host = self._context.virtual_host
        if self._action.HasField("retry_policy"):
            place = self._place.field("retry_policy")
            dispatch.apply(self._action.retry_policy, None, place, self._findings)
            report_lost(self._action.retry_policy, place, self._findings)
        elif virtual_host is not None and virtual_host.HasField("retry_policy"):
            place = _root(self._at).item("virtual_hosts", virtual_host.name).field("retry_policy")
            report_lost(virtual_host.retry_policy, place, self._findings)

    def _denied(self) -> Part | None:
        return run_filters(self._context, self._route, self._at, self._findings).denial()

    def _to_cluster(self, name: str) -> Part:
        filters = run_filters(self._context, self._route, self._at, self._findings)
        if (denied := filters.denial()) is not None:
            return denied
        place = self._place.field("cluster")
        upstream = upstream_of(name, self._action, self._context, place, self._findings)
        plugins = self._plugins(filters, None, {"UPSTREAM_CLUSTER": name, "UPSTREAM_CLUSTER_RAW": name})
        return self._part(upstream, [name], plugins)

    def _part(self, upstream: str, cluster_names: list[str], plugins: dict[str, Any]) -> Part:
        if upstream == BLACKHOLE_ID and not_found_status(self._action) != UNAVAILABLE:
            status = not_found_status(self._action)
            kept = {name: config for name, config in plugins.items() if name == "response-rewrite"}
            return answer_part(abort(status) | kept, status)
        fields: dict[str, Any] = {
            "timeout": timeout_of(self._action, cluster_names, self._context),
            "upstream_id": upstream,
        }
        if is_upgrading(self._context.hcm, self._action):
            fields["enable_websocket"] = True
        if plugins:
            fields["plugins"] = plugins
        return Part(fields=fields)

    def _plugins(
        self,
        filters: FilterDraft,
        weighted: xds.Message | None,
        constants: dict[str, str],
        draft: RouteDraft | None = None,
    ) -> dict[str, Any]:
        internal = Step(removed=tuple(name.lower() for name in self._context.route_config.internal_only_headers))
        request = [internal, *filters.request, *self._level_steps(weighted, "request", constants)]
        response = [*self._level_steps(weighted, "response", constants), *filters.response_steps()]
        return (draft or self._draft).plugins(self._fold(request, "request"), self._fold(response, "response"))

    def _level_steps(self, weighted: xds.Message | None, side: Side, constants: dict[str, str]) -> list[Step]:
        return _steps(
            self._route, self._context, side, self._at, self._findings, weighted=weighted, constants=constants
        )

    def _fold(self, steps: list[Step], side: Side) -> FoldedHeaders:
        return fold(steps, side, self._at, self._findings)

    def _to_weighted(self) -> list[Part]:
        weighted, place = self._action.weighted_clusters, self._place.field("weighted_clusters")
        dispatch.apply(weighted, None, place, self._findings)
        report_draw(weighted, place, self._findings)
        shares = read_shares(weighted, place)
        for one in shares:
            dispatch.apply(one.entry, None, one.at, self._findings)
        if not shares:
            self._findings.report("CFG-INVALID", place, value="all weights are 0", effect="the route answers 503")
            return [self._denied() or denial(UNAVAILABLE, "CFG-INVALID")]
        if needs_routes(shares):
            return [self._split_part(one) for one in shares]
        return [self._range_part(shares, len(weighted.clusters))]

    def _range_part(self, shares: list[Share], entry_count: int) -> Part:
        """Draw in a plugin whose configuration stands apart, so that a new weight does not touch the route."""
        filters = run_filters(self._context, self._route, self._at, self._findings)
        if (denied := filters.denial()) is not None:
            return denied
        upstreams = [upstream_of_share(one, self._action, self._context, self._findings) for one in shares]
        plugins = self._plugins(filters, None, {})
        part = self._part(upstreams[0], [one.entry.name for one in shares], plugins)
        if entry_count == 1 or "upstream_id" not in part.fields:
            return part
        return replace(part, volatile=traffic_split(shares, upstreams))

    def _split_part(self, one: Share) -> Part:
        """Draw by the route's own conditions: the entry has headers, filters or a host of its own."""
        conditions = (one.condition,) if one.condition is not None else ()
        filters = run_filters(self._context, self._route, self._at, self._findings, one.entry)
        denied = filters.denial()
        if denied is not None:
            return replace(denied, suffix=one.suffix, conditions=conditions)
        draft = replace(self._draft)
        if one.entry.host_rewrite_literal:
            draft.host = ""
            rewrite_host(self._action, one.entry, draft, one.at.field("host_rewrite_literal"), self._findings)
        upstream = upstream_of_share(one, self._action, self._context, self._findings)
        constants = {"UPSTREAM_CLUSTER": one.entry.name, "UPSTREAM_CLUSTER_RAW": one.entry.name}
        plugins = self._plugins(filters, one.entry, constants, draft)
        part = self._part(upstream, [one.entry.name], plugins)
        return replace(part, suffix=one.suffix, conditions=conditions)
