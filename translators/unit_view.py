"""A unit with its resources parsed, looked at by role and type."""

from __future__ import annotations

from schemas import xds
from schemas.records import Role, Unit


class UnitView:
    """Read access to the messages of a unit. Bodies are parsed when asked for, once."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._parsed: dict[int, xds.Message] = {}
        self._indices: dict[tuple[Role, str], list[int]] = {}
        for index, resource in enumerate(unit.resources):
            self._indices.setdefault((resource.role, resource.type_url), []).append(index)

    def param(self, name: str) -> str:
        """Give a part of the unit key, unescaped; empty when the unit has no such part."""
        return self.unit.params.get(name, "")

    def all(self, role: Role, type_url: str) -> list[tuple[str, xds.Message]]:
        """Give (name, message) of every resource of a role and type, in the unit's order."""
        return [
            (self.unit.resources[index].name, self._message(index)) for index in self._indices.get((role, type_url), ())
        ]

    def bodies(self, role: Role, type_url: str) -> tuple[bytes, ...]:
        """Give what the messages of a role and type are parsed from, in the unit's order."""
        return tuple([self.unit.resources[index].body for index in self._indices.get((role, type_url), ())])

    def subject(self, type_url: str) -> xds.Message | None:
        """Give the first subject of a type."""
        found = self.all(Role.SUBJECT, type_url)
        return found[0][1] if found else None

    def references(self, type_url: str) -> dict[str, xds.Message]:
        """Give the referenced resources of a type by name."""
        return dict(self.all(Role.REFERENCE, type_url))

    def _message(self, index: int) -> xds.Message:
        if index not in self._parsed:
            resource = self.unit.resources[index]
            self._parsed[index] = xds.parse(resource.type_url, resource.body)
        return self._parsed[index]
