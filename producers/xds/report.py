"""Problems of a session, each told once until it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.source import SourceProblem
from producers.xds.command import Command, ReportProblem

if TYPE_CHECKING:
    from collections.abc import Collection


MAX_FOREIGN_TYPES = 20
"""Of how many types that nobody asks for it is told that they came; there is no end of names for them."""


class Report:
    """What was last reported of each type: a control plane may resend for ever what was rejected."""

    def __init__(self, source: str, types: Collection[str] = ()) -> None:
        """Start with nothing reported.

        Args:
            source: the control plane's address, for people.
            types: type URLs that are asked for.
        """
        self._source = source
        self._types = types
        self._last: dict[str, str] = {}

    def problem(self, type_url: str, message: str, remedy: str) -> list[Command]:
        """Report a problem of a type unless it is the one reported last.

        Returns:
            The command, or nothing.
        """
        message = " ".join(message.split())  # names come from outside and may hold anything
        if self._last.get(type_url) == message or self._is_one_too_many(type_url):
            return []
        self._last[type_url] = message
        place = f"{self._source}: {type_url.rpartition('.')[2] or 'a response without a type'}"
        return [ReportProblem(SourceProblem(place, message, remedy))]

    def _is_one_too_many(self, type_url: str) -> bool:
        if type_url in self._types or type_url in self._last:
            return False
        return len(self._last.keys() - set(self._types)) >= MAX_FOREIGN_TYPES

    def clear(self, type_url: str) -> None:
        """A type is well again; the same problem would be news."""
        self._last.pop(type_url, None)
