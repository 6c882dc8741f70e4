"""Translate a unit of the kind `http`: the routes of one virtual host, or of all host-less domains of a scope."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from schemas import xds
from schemas.records import Role
from translators import dispatch
from translators.bucket import Authority, hostless_order, read_domains
from translators.closure import Rule, place
from translators.element import elements
from translators.mappings.http_filter import grpc_web
from translators.mappings.match.scope_key_builder import scope_key_conditions
from translators.path_key import DECODED, PathView
from translators.route_context import RouteContext
from translators.route_entry import terminal_entries, virtual_host_entries
from translators.route_object import RouteObjects
from translators.scope import listener_port
from translators.surrounding import surrounding_of
from translators.translation import Translation
from translators.where import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translators.bucket import Domains
    from translators.closure import Placement
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.route_entry import Entry
    from translators.unit_view import UnitView

_UNREACHABLE = "the domain can never match: ports are taken off before domains are compared"


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate the unit.

    Args:
        view: SUBJECT Listener reduced to one chain, SUBJECT RouteConfiguration with the virtual hosts of the unit,
            SUBJECT ScopedRouteConfiguration if it is of a scope, REFERENCE Clusters (without endpoints), with one
            endpoint of those that get copies and what they drop, SIBLING Listeners on the same port, SIBLING Cluster
            without a name where requests may name one of too many.
        findings: receives the diagnostics.
    """
    surrounding = surrounding_of(view, findings.policy)
    route_config = view.subject(xds.ROUTE_CONFIGURATION)
    if surrounding is None or route_config is None:
        findings.report("CFG-INVALID", Where("", view.unit.key), value="no HTTP filter chain with routes in the unit")
        return Translation()
    findings.include(surrounding.findings)
    hcm = surrounding.hcm
    at = Where(xds.ROUTE_CONFIGURATION, route_config.name)
    is_open = dispatch.apply(route_config, None, at, findings)
    scoped = view.subject(xds.SCOPED_ROUTE_CONFIGURATION)
    key = _scope_key(hcm, scoped, findings)
    if surrounding.conditions is None or key is None or not is_open:
        return Translation()
    is_hostless = view.unit.key.endswith("/*")
    own = None if is_hostless or not route_config.virtual_hosts else route_config.virtual_hosts[0]
    context = RouteContext(
        listener=surrounding.listener,
        chain=view.param("chain"),
        hcm=hcm,
        route_config=route_config,
        virtual_host=own,
        clusters=view.references(xds.CLUSTER),
        policy=findings.policy,
        assignments=view.references(xds.CLUSTER_LOAD_ASSIGNMENT),
        has_all_clusters=not view.all(Role.SIBLING, xds.CLUSTER),
        scope=view.param("scope"),
        is_last=scoped is None and hcm.HasField("scoped_routes"),
        connection=surrounding.connection,
        chain_memo=surrounding.memo,
    )
    virtual_host = None if is_hostless else view.param("virtual_host")
    return _Scope(context, (*surrounding.conditions, *key), at, findings).translation(virtual_host)


def _scope_key(hcm: xds.Message, scoped: xds.Message | None, findings: Findings) -> tuple[Expr, ...] | None:
    """Give the conditions of the unit's ScopedRouteConfiguration; None when they cannot be expressed."""
    if scoped is None:
        return ()
    at = Where(xds.SCOPED_ROUTE_CONFIGURATION, scoped.name)
    dispatch.apply(scoped, None, at, findings)
    return scope_key_conditions(hcm.scoped_routes, scoped, at, findings)


class _Listed(NamedTuple):
    """An entry in a bucket's list, with its virtual host and, in the host-less bucket, its domain and their place."""

    entry: Entry
    virtual_host: str
    domain: str = "*"
    at: Where | None = None


class _Scope:
    """The buckets of one unit."""

    def __init__(self, context: RouteContext, conditions: Sequence[Expr], at: Where, findings: Findings) -> None:
        self._context = context
        self._at = at
        self._findings = findings
        self._objects = RouteObjects(context, conditions)
        self._view = _path_view(context)
        self._authority = Authority.of(context.route_config, context.hcm, listener_port(context.listener))

    def translation(self, virtual_host: str | None) -> Translation:
        """Translate the host buckets of the virtual host that is known by this name; None = the host-less bucket."""
        virtual_hosts = self._context.route_config.virtual_hosts
        places = elements(self._at, "virtual_hosts", virtual_hosts)
        if virtual_host is None:
            self._add_hostless(virtual_hosts, places)
        elif self._context.virtual_host is not None:
            self._add_hosts(self._context.virtual_host, places[0], virtual_host)
        return Translation(self._objects.objects(), origins=self._objects.origins())

    def _add_hosts(self, virtual_host: xds.Message, at: Where, name: str) -> None:
        domains = self._domains(virtual_host, at)
        if not domains.groups:
            return
        listed = [_Listed(entry, name) for entry in self._entries(virtual_host, at)]
        for item, placement in self._placed(listed, at):
            for group in domains.groups:
                self._objects.add(
                    item.entry, placement, item.virtual_host, group.name, at, hosts=group.hosts, guards=group.guards
                )

    def _add_hostless(self, virtual_hosts: Sequence[xds.Message], places: Sequence[Where]) -> None:
        """Add one list: domain after domain in Envoy's order of precedence, each with its own closing answer."""
        lists: dict[str, list[_Listed]] = {}
        for virtual_host, at in zip(virtual_hosts, places, strict=True):
            domains = self._domains(virtual_host, at)
            entries = self._entries(virtual_host, at) if domains.hostless else []
            for domain in domains.hostless:
                lists.setdefault(domain, [_Listed(entry, virtual_host.name, domain, at) for entry in entries])
        if "*" not in lists:
            closing = terminal_entries(self._context, self._at, self._findings)
            lists["*"] = [_Listed(entry, "") for entry in closing]
        listed = [item for domain in sorted(lists, key=hostless_order) for item in lists[domain]]
        for item, placement in self._placed(listed, self._at):
            guards = self._authority.hostless_guards(item.domain)
            at = item.at or self._at
            self._objects.add(item.entry, placement, item.virtual_host, item.domain, at, guards=guards)

    def _entries(self, virtual_host: xds.Message, at: Where) -> list[Entry]:
        context = self._context
        if context.virtual_host is not virtual_host:
            context = replace(context, virtual_host=virtual_host)
        return virtual_host_entries(context, self._view, at, self._findings)

    def _domains(self, virtual_host: xds.Message, at: Where) -> Domains:
        domains = read_domains(virtual_host.domains, self._authority)
        for domain in domains.unreachable:
            self._findings.report("RT-SHADOWED", at.item("domains", domain), effect=_UNREACHABLE)
        for domain in domains.broken:
            self._findings.report(
                "CFG-INVALID", at.item("domains", domain), value=domain, effect="the domain is left out"
            )
        return domains

    def _placed(self, listed: Sequence[_Listed], at: Where) -> list[tuple[_Listed, Placement]]:
        """Place one bucket's list; what can never be reached is left out and reported."""
        rules = [Rule(item.entry.path, item.entry.is_conditional, item.domain) for item in listed]
        # The plugin takes the path from what stands for `*` in a key, which is all of it only under `/*`.
        needs_flat = any(grpc_web.PLUGIN in item.entry.part.fields.get("plugins", ()) for item in listed)
        placements, is_flat = place(rules, self._findings.policy.max_flat_keys, is_flat=needs_flat)
        if is_flat:
            self._findings.report("RT-FLAT", at)
        if self._context.is_last:
            # Requests of a scope find an answer among its own routes: these here are tried after all of them.
            placements = [
                one if one is None else one._replace(priority=one.priority - len(listed)) for one in placements
            ]
        pairs = list(zip(listed, placements, strict=True))
        live = [(item, placement) for item, placement in pairs if placement is not None]
        reached = {item.entry.at for item, _ in live}
        for item, _ in pairs:
            if item.entry.at is not None and item.entry.at not in reached:
                self._findings.report("RT-SHADOWED", item.entry.at)
        return live


def _path_view(context: RouteContext) -> PathView:
    ignores_parameters = context.route_config.ignore_path_parameters_in_path_matching
    view = PathView("uri", ";") if ignores_parameters else DECODED
    return view.raw() if context.policy.path_matching == "raw" else view
