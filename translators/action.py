"""Translate the action of a route, with everything on the way there, into parts: APISIX routes without their match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.block import NOT_FOUND, UNAVAILABLE, UNSET_STATUS, abort, answer_part, denial
from translators.expr import equals
from translators.filters import has_effective, run_filters
from translators.findings import Findings
from translators.forwarding import Forwarding
from translators.header_order import close_unmutated
from translators.level import level_steps
from translators.local_reply import reply_plugins
from translators.mappings.action.direct_response import direct_response
from translators.mappings.action.redirect import AS_RECEIVED, path_behind, redirects
from translators.plugin_phase import answered
from translators.route_context import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas import xds
    from translators.filter_draft import FilterDraft
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
        return Forwarding(route, context, at, findings).parts()
    filters = run_filters(context, route, at, findings)
    if not filters.is_closed:
        close_unmutated(filters, findings)
    if kind == "redirect":
        parts = _redirect_parts(route, context, filters, at, findings)
    elif kind == "direct_response":
        parts = [_direct_part(route, context, filters, at, findings)]
    else:
        findings.report("RT-ACTION", at.field(kind) if kind else at)
        parts = [denial(UNAVAILABLE, "RT-ACTION")]
    return _guarded(filters, parts, at, findings)


def _guarded(filters: FilterDraft, parts: Iterable[Part], at: Where, findings: Findings) -> list[Part]:
    """Put what filters answer in front; the mutations of the route do not touch these answers (section 14.10)."""
    if not filters.guards:
        return list(parts)
    if filters.is_closed:
        return filters.guarded(Part(), (), at, findings)
    return [guarded for part in parts for guarded in filters.guarded(part, (), at, findings)]


def _direct_part(
    route: xds.Message, context: RouteContext, filters: FilterDraft, at: Where, findings: Findings
) -> Part:
    place = at.field("direct_response")
    dispatch.apply(route.direct_response, None, place, findings)
    plugins = direct_response(route.direct_response, place, findings)
    status = plugins["fault-injection"]["abort"]["http_status"]
    mutations = _response_plugins(route, context, filters, at, findings)
    return answer_part(answered(filters.plugins, plugins) | mutations, status)


def terminal_parts(context: RouteContext, at: Where, findings: Findings) -> list[Part]:
    """Give the answer to requests that no route takes: 404, under the filters of the listener (section 14.8).

    Args:
        context: the levels above.
        at: the virtual host or route configuration.
        findings: receives the diagnostics of the filters.
    """
    key = ("action", "terminal")
    if key in context.chain_memo:
        return list(context.chain_memo[key])
    own = Findings(findings.policy)
    parts = _answered_parts(abort(NOT_FOUND), NOT_FOUND, context, at, own)
    findings.include(own)
    if not has_effective(context) and own.is_empty():  # what is left comes from the connection manager alone
        context.chain_memo[key] = tuple(parts)
    return parts


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
    return [part._replace(conditions=(equals("scheme", "http"), *part.conditions)) for part in parts]


def _answered_parts(
    plugins: dict[str, Any], status: int, context: RouteContext, at: Where, findings: Findings
) -> list[Part]:
    filters = run_filters(context, None, at, findings)
    response = reply_plugins(filters.response_steps(), at, findings)
    return filters.guarded(answer_part(answered(filters.plugins, plugins) | response, status), (), at, findings)


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
        answer_part(
            answered(filters.plugins, one.plugins) | mutations,
            one.status,
            suffix=one.suffix,
            conditions=one.conditions,
        )
        for one in found
    ]


def _response_plugins(
    route: xds.Message, context: RouteContext, filters: FilterDraft, at: Where, findings: Findings
) -> dict[str, Any]:
    levels = level_steps(route, context, "response", at, findings, constants={"RESPONSE_CODE": UNSET_STATUS})
    steps = [*levels, *filters.response_steps()]
    path = path_behind(route.redirect) if route.HasField("redirect") else AS_RECEIVED
    return reply_plugins(steps, at, findings, path)
