"""Levels whose header mutations add up on a route: weighted cluster, route, virtual host, route configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.header_step import Step, read_level

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.format_string import Side
    from translators.route_context import RouteContext
    from translators.where import Where


def level_place(virtual_host: xds.Message, at: Where) -> Where:
    """Give the place of a virtual host in the resource in which `at` lies."""
    return at._replace(path="").item("virtual_hosts", virtual_host.name)


def level_steps(
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
    outer = _outer_levels(context, side)
    mutating = [route, *outer] if _mutates(route, side) else list(outer)
    if context.route_config.most_specific_header_mutations_wins:
        mutating.reverse()
    if weighted is not None and _mutates(weighted, side):
        mutating.insert(0, weighted)
    if not mutating:
        return []
    known = {"ROUTE_NAME": route.name, **(constants or {})}
    return [
        read_level(level, side, known, at if level is route else _place_of(level, at), findings) for level in mutating
    ]


def _outer_levels(context: RouteContext, side: Side) -> list[xds.Message]:
    """Give the levels around all routes of a virtual host that mutate: told once for all of them."""
    virtual_host, route_config = context.virtual_host, context.route_config
    key = "level", side
    known = context.memo.get(key)
    if known is None or known[0] is not virtual_host:
        levels = (virtual_host, route_config)
        known = virtual_host, [level for level in levels if level is not None and _mutates(level, side)]
        context.memo[key] = known
    found: list[xds.Message] = known[1]
    return found


def _mutates(level: xds.Message, side: Side) -> bool:
    if side == "request":
        return bool(level.request_headers_to_add or level.request_headers_to_remove)
    return bool(level.response_headers_to_add or level.response_headers_to_remove)


def mutated_headers(route: xds.Message, context: RouteContext, weighted: xds.Message | None) -> list[str]:
    """Give the names of the request headers that any level mutates."""
    levels = [level for level in (weighted, route, context.virtual_host, context.route_config) if level is not None]
    return [
        name
        for level in levels
        for name in (
            *level.request_headers_to_remove,
            *(option.header.key for option in level.request_headers_to_add),
        )
    ]


def _place_of(level: xds.Message, at: Where) -> Where:
    """Give the place of a level, told by its type, around the route at `at`."""
    kind = level.DESCRIPTOR.name
    if kind == "ClusterWeight":
        return at.field("route.weighted_clusters").item("clusters", level.name)
    if kind == "VirtualHost":
        return level_place(level, at)
    return at if kind == "Route" else at._replace(path="")
