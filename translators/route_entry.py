"""The ordered list of a virtual host: one entry per part of each route, in the order of Envoy's first match."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from schemas.records import Severity
from translators import action, dispatch
from translators.block import UNAVAILABLE, denial
from translators.element import elements
from translators.expr import ALWAYS
from translators.mappings.http_connection_manager.local_reply_config import formed
from translators.mappings.match.matcher_tree import InexpressibleMatcherError, Leaf, leaves_of
from translators.match import translate_match
from translators.path_key import ANY_PATH, PathMatch
from translators.regex import RegexError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.path_key import PathView
    from translators.route_context import Part, RouteContext
    from translators.where import Where

_COLLISION_EFFECT = "a header whose name differs by `-` and `_` only satisfies the matcher too"
_COLLISION_REMEDY = "drop such headers before the proxy, or match on another header"


class Entry(NamedTuple):
    """One APISIX route to be.

    Attributes:
        identity: of the Envoy route within its virtual host, position-free (mapping.md section 10).
        title: the Envoy route's name, for people.
        at: where the Envoy route stands; None for entries that stand for no route.
        path: the path condition.
        methods: as in route.methods.
        conditions: the match's and the part's.
        part: what is done.
    """

    identity: str
    title: str
    at: Where | None
    part: Part
    path: PathMatch = ANY_PATH
    methods: tuple[str, ...] = ()
    conditions: tuple[Expr, ...] = ()

    @property
    def is_conditional(self) -> bool:
        """Tell whether anything but path and host is required."""
        return bool(self.conditions or self.methods)


def virtual_host_entries(context: RouteContext, view: PathView, at: Where, findings: Findings) -> list[Entry]:
    """List what a virtual host does, its closing answer to requests that no route takes included.

    Args:
        context: with the virtual host.
        view: what path conditions look at.
        at: the virtual host.
        findings: receives the diagnostics.
    """
    virtual_host = context.virtual_host
    if virtual_host is None:
        return terminal_entries(context, at, findings)
    is_open = dispatch.apply(virtual_host, None, at, findings)
    leaves = _leaves(virtual_host, at, findings)
    if not is_open or leaves is None:
        return [Entry("blocked", "", None, denial(UNAVAILABLE, "RT-MATCHER"))]
    groups = [_fixed("require_tls", action.require_tls_parts(context, at, findings), context)]
    identities = iter(route_identities([route for leaf in leaves for route in leaf.routes]))
    terminal = terminal_entries(context, at, findings)
    for leaf in leaves:
        field = "routes" if leaf.at == at else "routes.routes"
        for route, place in zip(leaf.routes, elements(leaf.at, field, leaf.routes), strict=True):
            entries = _route_entries(route, context, view, place, findings, identity=next(identities))
            groups.append(_conditioned(entries, leaf.condition))
        if leaf.condition != ALWAYS:
            closing = [one._replace(identity=f"{one.identity}:{leaf.condition}") for one in terminal]
            groups.append(_conditioned(closing, leaf.condition))
    groups.append(terminal)
    return _hoisted([group for group in groups if group])


def _leaves(virtual_host: xds.Message, at: Where, findings: Findings) -> list[Leaf] | None:
    """Give the routes of a virtual host, as one leaf unless it has a matcher; None for one without a counterpart."""
    if not virtual_host.HasField("matcher"):
        return [Leaf(ALWAYS, tuple(virtual_host.routes), at)]
    try:
        return leaves_of(virtual_host.matcher, at.field("matcher"))
    except (InexpressibleMatcherError, RegexError) as error:
        if findings.blocks("RT-MATCHER", at.field("matcher"), value=str(error)):
            return None
        return []


def _conditioned(entries: list[Entry], condition: Expr) -> list[Entry]:
    """Give entries under a further condition."""
    if condition == ALWAYS:
        return entries
    return [entry._replace(conditions=(condition, *entry.conditions)) for entry in entries]


def _hoisted(groups: list[list[Entry]]) -> list[Entry]:
    """Give the guards with which every route begins once, in front of all: one APISIX route instead of one for each."""
    shared: list[Entry] = []
    for leading in zip(*groups, strict=False):
        part = leading[0].part
        if not part.is_guard or any(entry.part != part for entry in leading):
            break
        shared.append(Entry("guard", "", None, part, conditions=part.conditions))
    return shared + [entry for group in groups for entry in group[len(shared) :]]


def terminal_entries(context: RouteContext, at: Where, findings: Findings) -> list[Entry]:
    """List the answer to requests that no route takes."""
    return _fixed("terminal", action.terminal_parts(context, at, findings), context)


def _fixed(identity: str, parts: Sequence[Part], context: RouteContext) -> list[Entry]:
    replies = formed(parts, context.connection.local_reply)
    return [Entry(identity, "", None, part, conditions=part.conditions) for part in replies]


def _route_entries(
    route: xds.Message, context: RouteContext, view: PathView, at: Where, findings: Findings, *, identity: str
) -> list[Entry]:
    is_open = dispatch.apply(route, None, at, findings)
    overwrites = context.hcm.use_remote_address.value and not context.hcm.xff_num_trusted_hops
    match = translate_match(
        route.match,
        view,
        at.field("match"),
        findings,
        is_proto_overwritten=bool(overwrites),
        memo=context.chain_memo,
    )
    if not match.is_possible:
        return []
    parts = action.build_parts(route, context, at, findings)
    if not is_open or not match.is_exact:
        # Fail closed: a condition is missing, so the entry matches more than the route. Only denying may do that.
        parts = [part for part in parts if part.is_blocking]
    if match.colliding_headers and (route.HasField("direct_response") or not all(part.is_blocking for part in parts)):
        _note_collisions(match.collisions(at.field("match")), parts, findings)
    return [
        Entry(identity, route.name, at, part, match.path, match.methods, (*match.conditions, *part.conditions))
        for part in formed(parts, context.connection.local_reply)
    ]


def _note_collisions(places: Sequence[Where], parts: Sequence[Part], findings: Findings) -> None:
    """Report headers that a client can forge under another name, where access depends on them (section 14.25)."""
    if any(part.is_blocking for part in parts):
        for place in places:
            findings.report(
                "RT-HEADER", place, severity=Severity.WARN, effect=_COLLISION_EFFECT, remedy=_COLLISION_REMEDY
            )


def route_identities(routes: Sequence[xds.Message]) -> list[str]:
    """Name the routes of a virtual host so that inserting one renames no other.

    A route is known by its name where that is unique, else by its match; equal matches are counted.
    """
    named = [route.name for route in routes]
    if all(named) and len(set(named)) == len(named):  # as most control planes name them: nothing to count
        return [f"name:{name}" for name in named]
    names = Counter(named)
    seen: Counter[str] = Counter()
    identities = []
    for route in routes:
        if route.name and names[route.name] == 1:
            identities.append(f"name:{route.name}")
            continue
        match = blake2b(route.match.SerializeToString(deterministic=True), digest_size=10).hexdigest()
        identities.append(f"match:{match}:{seen[match]}" if seen[match] else f"match:{match}")
        seen[match] += 1
    return identities
