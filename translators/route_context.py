"""What surrounds a route while it is translated, and what its action contributes to the APISIX route."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from translators.connection import ConnectionDraft

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.policy import Policy


@dataclass(frozen=True, slots=True)
class RouteContext:
    """The levels above a route, read-only.

    Attributes:
        listener: envoy.config.listener.v3.Listener, reduced to one full chain and stubs of its siblings.
        chain: name of the filter chain (the unit's parameter `chain`).
        hcm: the chain's HttpConnectionManager.
        route_config: the RouteConfiguration, with the virtual hosts of the unit only.
        virtual_host: the VirtualHost around the route; None for the terminal of a whole scope.
        clusters: known clusters by name, without endpoints.
        policy: what the operator decided.
        assignments: by the name of the cluster, a ClusterLoadAssignment: of one endpoint where it gets copies of
            requests, with what it drops of the requests to it.
        has_all_clusters: where a request may name any cluster, `clusters` has all that there are.
        scope: name of the ScopedRouteConfiguration; empty without one.
        is_last: the routes are for requests of no scope, of a chain that has scopes.
        connection: what the connection manager does to every request.
        memo: what mappings have worked out once for all routes of the unit, by keys that begin with their name.
        chain_memo: the same for all units of the chain: from listener, chain, connection manager and policy alone.
        consumers: those that routes of the unit let in, values without their names; filters add to it.
    """

    listener: xds.Message
    chain: str
    hcm: xds.Message
    route_config: xds.Message
    virtual_host: xds.Message | None
    clusters: dict[str, xds.Message]
    policy: Policy
    assignments: dict[str, xds.Message] = field(default_factory=dict)
    has_all_clusters: bool = True
    scope: str = ""
    is_last: bool = False
    connection: ConnectionDraft = field(default_factory=ConnectionDraft)
    memo: dict[tuple[Any, ...], Any] = field(default_factory=dict, compare=False)
    chain_memo: dict[tuple[Any, ...], Any] = field(default_factory=dict, compare=False)
    consumers: dict[str, dict[str, Any]] = field(default_factory=dict)


class Part(NamedTuple):
    """One APISIX route of an Envoy route, without its match: most routes have one part, splits have several.

    Parts stand in the order in which they are tried; every part but the last has `conditions`.

    Attributes:
        suffix: tells the parts of one route apart in their ids; empty for the only part.
        conditions: expressions in addition to the match.
        fields: APISIX route fields that the action decides: plugins, upstream_id, timeout, enable_websocket, …
        volatile: plugins whose state changes often (weights, mirrors); they go into a plugin_config of their own so
            that a change does not rebuild the router (mapping.md section 9).
        is_blocking: the part only denies; such a part may stand in for a route whose match had to be widened.
        is_guard: a filter answers; parts of the route itself follow.
        is_local_reply: Envoy would give its answer as a local reply, which the connection manager forms.
    """

    suffix: str = ""
    conditions: tuple[Expr, ...] = ()
    fields: dict[str, Any] = {}  # noqa: RUF012 - never written to
    volatile: dict[str, Any] = {}  # noqa: RUF012 - never written to
    is_blocking: bool = False
    is_guard: bool = False
    is_local_reply: bool = True
