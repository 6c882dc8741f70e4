"""VHDS: puts virtual hosts that are discovered one by one into the RouteConfiguration they belong to. Pure.

Source: `envoy.config.route.v3.RouteConfiguration.vhds`, mapping.md section 5. The names are Envoy's: a virtual host is
called `<route configuration>/<virtual host>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas import xds


def heads(name: str) -> Iterator[str]:
    """Give what a virtual host's RouteConfiguration may be called, the longest first: both may hold slashes."""
    parts = name.split("/")
    yield from ("/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))


def merge(route_configuration: xds.Message, virtual_hosts: Iterable[xds.Message]) -> xds.Message:
    """Copy a RouteConfiguration and add virtual hosts to those it lists itself.

    Args:
        route_configuration: an `envoy.config.route.v3.RouteConfiguration`; its `vhds` stays, for whoever reads it to
            tell that nothing is loaded on demand.
        virtual_hosts: `envoy.config.route.v3.VirtualHost`, in an order that depends on their names only.
    """
    merged = type(route_configuration)()
    merged.CopyFrom(route_configuration)
    merged.virtual_hosts.extend(virtual_hosts)
    return merged
