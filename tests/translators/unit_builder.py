"""Cut units for tests: resources given as proto3 JSON, put together as producers do."""

from __future__ import annotations

from typing import Any

from schemas import xds
from schemas.records import Resource, Role, Unit, UnitKind

LISTENER = {
    "name": "web",
    "address": {"socket_address": {"address": "0.0.0.0", "port_value": 8080}},  # noqa: S104 - data
    "filter_chains": [{"name": "main"}],
}


def message(type_url: str, data: dict[str, Any]) -> xds.Message:
    """Build a message from proto3 JSON."""
    return xds.from_json(data, xds.message_class(type_url)())


def resource(role: Role, type_url: str, built: xds.Message) -> Resource:
    """Wrap a message."""
    return Resource(role, type_url, built.name, xds.canonical_bytes(built))


def http_unit(
    virtual_hosts: list[dict[str, Any]],
    *,
    is_hostless: bool = False,
    listener: dict[str, Any] | None = None,
    chain: int = 0,
    route_config: dict[str, Any] | None = None,
    hcm: dict[str, Any] | None = None,
    clusters: tuple[str, ...] = (),
    siblings: list[dict[str, Any]] | None = None,
) -> Unit:
    """Cut a unit of the kind `http`.

    Args:
        virtual_hosts: with the domains of the unit only.
        is_hostless: the unit of the scope's host-less bucket.
        listener: instead of a plain one on port 8080.
        chain: which chain is the unit's; -1 = the default chain.
        route_config: further fields of the RouteConfiguration.
        hcm: further fields of the HttpConnectionManager.
        clusters: names of known clusters.
        siblings: neighbouring listeners.
    """
    built = message(xds.LISTENER, listener or LISTENER)
    own = built.default_filter_chain if chain < 0 else built.filter_chains[chain]
    terminal = own.filters.add()
    terminal.name = "envoy.filters.network.http_connection_manager"
    terminal.typed_config.CopyFrom(xds.pack(message(xds.HTTP_CONNECTION_MANAGER, hcm or {})))
    data = {"name": "routes", **(route_config or {}), "virtual_hosts": virtual_hosts}
    config = message(xds.ROUTE_CONFIGURATION, data)
    name = "*" if is_hostless else virtual_hosts[0]["name"]
    chain_name = own.name or "default"
    return Unit(
        UnitKind.HTTP,
        f"http/{built.name}/{chain_name}/{config.name}/{name}",
        {"listener": built.name, "chain": chain_name, "route_config": config.name, "virtual_host": name},
        (
            resource(Role.SUBJECT, xds.LISTENER, built),
            resource(Role.SUBJECT, xds.ROUTE_CONFIGURATION, config),
            *(resource(Role.REFERENCE, xds.CLUSTER, message(xds.CLUSTER, {"name": c})) for c in clusters),
            *(resource(Role.SIBLING, xds.LISTENER, message(xds.LISTENER, s)) for s in siblings or []),
        ),
    )


def units_of(route_config: dict[str, Any], **options: Any) -> list[Unit]:
    """Cut a RouteConfiguration: a unit per virtual host with host-type domains, and the host-less unit."""
    rest = {key: value for key, value in route_config.items() if key != "virtual_hosts"}
    units, hostless = [], []
    for virtual_host in route_config["virtual_hosts"]:
        open_ended = [d for d in virtual_host["domains"] if d.endswith("*") or d.startswith("*:")]
        hosts = [domain for domain in virtual_host["domains"] if domain not in open_ended]
        if hosts:
            units.append(http_unit([{**virtual_host, "domains": hosts}], route_config=rest, **options))
        if open_ended:
            hostless.append({**virtual_host, "domains": open_ended})
    units.append(http_unit(hostless, is_hostless=True, route_config=rest, **options))
    return units
