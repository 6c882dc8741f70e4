"""Translate a unit of the kind `http`: the routes of one virtual host, or of all host-less domains of a scope."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schemas import xds
from schemas.records import Role
from translators import dispatch
from translators.bucket import Authority, read_domains
from translators.closure import Rule, place
from translators.element import element
from translators.path_key import DECODED, PathView
from translators.route_context import RouteContext
from translators.route_entry import terminal_entries, virtual_host_entries
from translators.route_object import RouteObjects
from translators.mappings.listener.network_filter import is_passable
from translators.scope import own_chain, scope_conditions
from translators.translation import Translation
from translators.where import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.records import EtcdObject
    from translators.bucket import Domains
    from translators.closure import Placement
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.route_entry import Entry
    from translators.unit_view import UnitView

_HCM = xds.HTTP_CONNECTION_MANAGER.rpartition("/")[2]
_UNREACHABLE = "the domain can never match: ports are taken off before domains are compared"


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate the unit.

    Args:
        view: SUBJECT Listener reduced to one chain, SUBJECT RouteConfiguration with the virtual hosts of the unit,
            REFERENCE Clusters, SIBLING Listeners on the same port.
        findings: receives the diagnostics.
    """
    listener, route_config = view.subject(xds.LISTENER), view.subject(xds.ROUTE_CONFIGURATION)
    chain = own_chain(listener) if listener is not None else None
    hcm = _connection_manager(chain.message) if chain is not None else None
    if listener is None or chain is None or route_config is None or hcm is None:
        findings.report("CFG-INVALID", Where("", view.unit.key), value="no HTTP filter chain with routes in the unit")
        return Translation()
    at_listener = Where(xds.LISTENER, listener.name)
    at = Where(xds.ROUTE_CONFIGURATION, route_config.name)
    is_open = dispatch.apply(listener, None, at_listener, findings)
    is_open = dispatch.apply(chain.message, None, _chain_place(chain.message, at_listener), findings) and is_open
    is_open = dispatch.apply(route_config, None, at, findings) and is_open
    is_open = is_passable(chain.message, _chain_place(chain.message, at_listener), findings) and is_open
    neighbours = [message for _, message in view.all(Role.SIBLING, xds.LISTENER)]
    scope = scope_conditions(listener, chain, neighbours, findings.policy.port_map, at_listener, findings)
    if scope is None or not is_open:
        return Translation()
    context = RouteContext(
        listener=listener,
        chain=view.param("chain"),
        hcm=hcm,
        route_config=route_config,
        virtual_host=None,
        clusters=view.references(xds.CLUSTER),
        policy=findings.policy,
    )
    return Translation(_Scope(context, scope, at, findings).objects(is_hostless=view.unit.key.endswith("/*")))


def _connection_manager(chain: xds.Message) -> xds.Message | None:
    last = xds.unpack(chain.filters[-1].typed_config)
    return last if last is not None and last.DESCRIPTOR.full_name == _HCM else None


def _chain_place(chain: xds.Message, at: Where) -> Where:
    return at.item("filter_chains", chain.name) if chain.name else at.field("filter_chains")


class _Scope:
    """The buckets of one unit."""

    def __init__(self, context: RouteContext, conditions: Sequence[Expr], at: Where, findings: Findings) -> None:
        self._context = context
        self._at = at
        self._findings = findings
        self._objects = RouteObjects(context, conditions)
        self._view = _path_view(context)
        port = context.listener.address.socket_address.port_value
        self._authority = Authority.of(context.route_config, context.hcm, port)

    def objects(self, *, is_hostless: bool) -> list[EtcdObject]:
        """Translate the host-less bucket of the scope, or the host buckets of its virtual hosts."""
        if is_hostless:
            self._add_hostless()
        else:
            for index in range(len(self._context.route_config.virtual_hosts)):
                self._add_hosts(index)
        return self._objects.objects()

    def _add_hosts(self, index: int) -> None:
        context, domains, at = self._virtual_host(index)
        if not domains.groups:
            return
        entries = virtual_host_entries(context, self._view, at, self._findings)
        name = context.virtual_host.name
        rules = [Rule(entry.path, entry.is_conditional) for entry in entries]
        placements = self._place(rules, at)
        self._report_shadowed([(entry.at, placed) for entry, placed in zip(entries, placements, strict=True)])
        for group in domains.groups:
            for entry, placed in zip(entries, placements, strict=True):
                if placed is not None:
                    self._objects.add(
                        entry, placed, virtual_host=name, bucket=group.name, hosts=group.hosts, guards=group.guards
                    )

    def _add_hostless(self) -> None:
        """Add one list: domains by length of their prefix, the longest first, `*` at last; each with its closing answer."""
        listed: list[tuple[str, str, Entry]] = []
        lists: dict[str, tuple[str, list[Entry]]] = {}
        for index in range(len(self._context.route_config.virtual_hosts)):
            context, domains, at = self._virtual_host(index)
            if domains.prefixes:
                entries = virtual_host_entries(context, self._view, at, self._findings)
                for prefix in domains.prefixes:
                    lists.setdefault(prefix, (context.virtual_host.name, entries))
        if "" not in lists:
            lists[""] = ("", terminal_entries(self._context, self._at, self._findings))
        for prefix in sorted(lists, key=lambda text: (-len(text), text)):
            name, entries = lists[prefix]
            listed += [(prefix, name, entry) for entry in entries]
        rules = [Rule(entry.path, entry.is_conditional, prefix) for prefix, _, entry in listed]
        placements = self._place(rules, self._at)
        self._report_shadowed([(entry.at, placed) for (_, _, entry), placed in zip(listed, placements, strict=True)])
        for (prefix, name, entry), placed in zip(listed, placements, strict=True):
            if placed is not None:
                guards = (self._authority.prefix_guard(prefix),) if prefix else ()
                self._objects.add(entry, placed, virtual_host=name, bucket=f"{prefix}*", guards=guards)

    def _virtual_host(self, index: int) -> tuple[RouteContext, Domains, Where]:
        virtual_hosts = self._context.route_config.virtual_hosts
        at = element(self._at, "virtual_hosts", virtual_hosts, index)
        domains = read_domains(virtual_hosts[index].domains, self._authority)
        for domain in domains.unreachable:
            self._findings.report("RT-SHADOWED", at.item("domains", domain), effect=_UNREACHABLE)
        for domain in domains.broken:
            self._findings.report("CFG-INVALID", at.item("domains", domain), effect="the domain is left out")
        return replace(self._context, virtual_host=virtual_hosts[index]), domains, at

    def _place(self, rules: Sequence[Rule], at: Where) -> list[Placement | None]:
        placements, is_flat = place(rules, self._findings.policy.max_flat_keys)
        if is_flat:
            self._findings.report("RT-FLAT", at)
        return placements

    def _report_shadowed(self, placed: Sequence[tuple[Where | None, Placement | None]]) -> None:
        reached = {at for at, placement in placed if placement is not None}
        for at, placement in placed:
            if at is not None and placement is None and at not in reached:
                self._findings.report("RT-SHADOWED", at)


def _path_view(context: RouteContext) -> PathView:
    ignores_parameters = context.route_config.ignore_path_parameters_in_path_matching
    view = PathView("uri", ";") if ignores_parameters else DECODED
    return view.raw() if context.policy.path_matching == "raw" else view
