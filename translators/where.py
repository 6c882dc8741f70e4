"""Where in the xDS input a finding lies, in the input's own words."""

from __future__ import annotations

from typing import NamedTuple


class Where(NamedTuple):
    """A place in a resource: `route_config[9080].virtual_hosts[reviews].routes[0].match`.

    Attributes:
        type_url: type of the top-level resource.
        name: name of the top-level resource.
        path: field path inside it; list elements by name where they have one that is unique, else by index.
    """

    type_url: str
    name: str
    path: str = ""

    def field(self, name: str) -> Where:
        """Go into a field."""
        return Where(self.type_url, self.name, f"{self.path}.{name}" if self.path else name)

    def item(self, field: str, key: str | int) -> Where:
        """Go into an element of a repeated or map field."""
        return Where(self.type_url, self.name, f"{self.path}.{field}[{key}]" if self.path else f"{field}[{key}]")
