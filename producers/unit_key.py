"""Which units exist and in which order they are written (architecture.md law 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from schemas.keys import any_host_key, unit_key
from schemas.records import UnitKind

if TYPE_CHECKING:
    from schemas.records import Unit

ANY_HOST: Final = "*"
VIEW: Final = "view"
RANKS: Final = {
    UnitKind.SECRET: 0,
    UnitKind.CLUSTER: 1,
    UnitKind.TLS: 2,
    UnitKind.HTTP: 3,
    UnitKind.STREAM: 3,
    UnitKind.VIEW: 4,
}
"""Make before break: what others refer to comes first; removals go the other way."""
PARAMS: Final = {
    UnitKind.SECRET: ("secret",),
    UnitKind.CLUSTER: ("cluster",),
    UnitKind.TLS: ("snis",),
    UnitKind.HTTP: ("listener", "chain", "route_config", "virtual_host"),
    UnitKind.STREAM: ("listener",),
    UnitKind.VIEW: ("view",),
}

SCOPED_PARAMS: Final = ("listener", "chain", "scope", "route_config", "virtual_host")
"""Of a unit of the kind `http` whose chain chooses the route configuration by the request."""


class UnitName(NamedTuple):
    """A unit by its kind and the parts of its key."""

    kind: UnitKind
    parts: tuple[str, ...]
    is_any_host: bool = False
    """The last part is the bare `*` of all prefix-wildcard and `*` domains, not a virtual host of that name."""

    @property
    def key(self) -> str:
        """The record key."""
        if self.kind is UnitKind.VIEW:
            return VIEW
        if self.is_any_host:
            return any_host_key(*self.parts[:-1])
        return unit_key(self.kind, *self.parts)

    @property
    def params(self) -> dict[str, str]:
        """The parts of the key by name."""
        names = SCOPED_PARAMS if len(self.parts) == len(SCOPED_PARAMS) else PARAMS[self.kind]
        return dict(zip(names, self.parts, strict=True))

    @property
    def order(self) -> tuple[int, str]:
        """Sorts units into the order of writing."""
        return RANKS[self.kind], self.key

    @property
    def scope(self) -> tuple[str, ...]:
        """Listener, chain and, if any, scope of a unit of the kind `http`."""
        return self.parts[:-2]


def name_of(unit: Unit) -> UnitName:
    """Give the name of a unit that was read back."""
    names = SCOPED_PARAMS if "scope" in unit.params else PARAMS[unit.kind]
    parts = tuple(unit.params.get(param, "") for param in names)
    return UnitName(unit.kind, parts, unit.kind is UnitKind.HTTP and unit.key.endswith("/" + ANY_HOST))
