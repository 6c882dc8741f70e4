"""Translate the action of a route, with everything on the way there, into parts: APISIX routes without their match."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.block import NOT_FOUND, UNAVAILABLE, abort, answer_part, denial
from translators.expr import equals
from translators.filters import run_filters
from translators.format_string import Variable
from translators.forwarding import Forwarding
from translators.headers import fold
from translators.level import level_steps
from translators.mappings.action.direct_response import direct_response
from translators.mappings.action.redirect import AS_RECEIVED, path_behind, redirects
from translators.route_draft import response_plugins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas import xds
    from translators.filters import FilterDraft
    from translators.findings import Findings
    from translators.format_string import Piece
    from translators.header_step import Mutation, Step
    from translators.route_context import Part, RouteContext
    from translators.where import Where

_MOVED_PERMANENTLY = 301
_HTTPS_LOCATION = "https://${http_host}${real_request_uri}"
"""Unlike a redirect action this keeps the port, even `:80` (mapping.md section 14.14)."""
_UNSET_STATUS = "0"
"""What %RESPONSE_CODE% is in Envoy while it mutates an answer of its own."""


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
    response = fold(_unforwarded(filters.response_steps()), "response", at, findings)
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
    levels = level_steps(route, context, "response", at, findings, constants={"RESPONSE_CODE": _UNSET_STATUS})
    steps = [*levels, *filters.response_steps()]
    path = path_behind(route.redirect) if route.HasField("redirect") else AS_RECEIVED
    return response_plugins(fold(_unforwarded(steps, path), "response", at, findings))


def _unforwarded(steps: Iterable[Step], path: tuple[Piece, ...] = AS_RECEIVED) -> list[Step]:
    """Quote path and Host as they are where nothing is sent upstream, so that nothing was rewritten for it."""
    known: dict[Piece, tuple[Piece, ...]] = {
        Variable("upstream_uri"): path,
        Variable("upstream_host"): (Variable("http_host"),),
    }

    def replaced(mutation: Mutation) -> Mutation:
        return replace(mutation, pieces=tuple(new for old in mutation.pieces for new in known.get(old, (old,))))

    return [replace(step, mutations=tuple(replaced(mutation) for mutation in step.mutations)) for step in steps]
