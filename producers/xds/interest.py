"""Which names of a type are wanted, and which of them a resource of a response stands for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from producers.xds.virtual_host import heads
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

WILDCARD = "*"
XDSTP = "xdstp:"


class Interest:
    """The names subscribed to.

    A name of the `xdstp:` scheme is opaque but for the order of its context parameters (control-planes.md section
    5.10). A resource that comes under an alias or another spelling is known by the name it was asked for, because that
    is how it is referred to. Virtual hosts are asked for by the name of their RouteConfiguration and come as
    `<route configuration>/<virtual host>` (Envoy's VhdsSubscription matches by that prefix).
    """

    def __init__(self, type_url: str, names: AbstractSet[str] | None) -> None:
        """Take the names of a type that are subscribed to; None, or `*` among them, for all there are."""
        self._names = None if names is None or WILDCARD in names else names
        self._is_by_prefix = type_url == xds.VIRTUAL_HOST

    def answered(self, name: str, aliases: Iterable[str] = ()) -> list[str]:
        """Give the subscribed names that a resource answers; none means that nobody asked for it."""
        if self._names is None or name in self._names:
            return [name]
        found = {wanted for spelling in (name, *aliases) for wanted in self._matching(spelling)}
        return sorted(found)

    def keys(self, name: str, aliases: Iterable[str] = ()) -> list[str]:
        """Give the names under which a resource is kept; none means that nobody asked for it."""
        answered = self.answered(name, aliases)
        return [name] if answered and self._is_by_prefix else answered

    def _matching(self, spelling: str) -> Iterator[str]:
        names = self._names or frozenset()
        if spelling in names:
            yield spelling
        elif self._is_by_prefix:
            yield from [head for head in heads(spelling) if head in names][:1]
        elif spelling.startswith(XDSTP):
            yield from (wanted for wanted in names if same_name(wanted, spelling))


def same_name(one: str, other: str) -> bool:
    """Tell whether two names mean one resource: context parameters of `xdstp:` names come in any order."""
    if one == other:
        return True
    return one.startswith(XDSTP) and other.startswith(XDSTP) and _normal(one) == _normal(other)


def _normal(name: str) -> tuple[object, ...]:
    try:
        parts = urlsplit(name)
    except ValueError:  # brackets that are no IPv6 address
        return (name,)
    parameters = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return parts.netloc, parts.path, parameters, parts.fragment
