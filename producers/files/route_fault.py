"""Routes in a file that no client could use; a control plane is told so (NACK), a file has nobody to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas import xds


class Fault(NamedTuple):
    """What was wrong in a RouteConfiguration, and where."""

    route_configuration: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.route_configuration}: {self.path}: {self.message}"


def mend(route_configuration: xds.Message) -> list[Fault]:
    """Take out what is wrong, in place.

    A route whose match has no path would take every request; where the file has a field there that this build does not
    know, that was its path. A domain chooses one virtual host, whatever its case (Envoy's RouteMatcher): the first one
    keeps it.

    Args:
        route_configuration: an `envoy.config.route.v3.RouteConfiguration`.

    Returns:
        What was taken out, in order.
    """
    name, taken = route_configuration.name, set[str]()
    faults: list[Fault] = []
    for index, virtual_host in enumerate(route_configuration.virtual_hosts):
        path = f"virtual_hosts[{index}]"
        faults += (Fault(name, f"{path}.domains", text) for text in _mend_domains(virtual_host, taken))
        faults += (Fault(name, f"{path}.routes[{route}].match", text) for route, text in _mend_routes(virtual_host))
    return faults


def _mend_domains(virtual_host: xds.Message, taken: set[str]) -> Iterator[str]:
    domains = list(virtual_host.domains)
    del virtual_host.domains[:]
    for domain in domains:
        if domain.lower() in taken:
            yield f"{domain} stands twice; the first virtual host has it"
        else:
            taken.add(domain.lower())
            virtual_host.domains.append(domain)


def _mend_routes(virtual_host: xds.Message) -> Iterator[tuple[int, str]]:
    pathless = [
        index for index, route in enumerate(virtual_host.routes) if not route.match.WhichOneof("path_specifier")
    ]
    for index in reversed(pathless):
        del virtual_host.routes[index]
    return ((index, "no path to match; the route is left out") for index in pathless)
