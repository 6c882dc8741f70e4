"""Problems of a session, each told once until it changes."""

from __future__ import annotations

from producers.source import SourceProblem
from producers.xds.command import Command, ReportProblem


class Report:
    """What was last reported of each type: a control plane may resend for ever what was rejected."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._last: dict[str, str] = {}

    def problem(self, type_url: str, message: str, remedy: str) -> list[Command]:
        """Report a problem of a type unless it is the one reported last.

        Returns:
            The command, or nothing.
        """
        message = " ".join(message.split())  # names come from outside and may hold anything
        if self._last.get(type_url) == message:
            return []
        self._last[type_url] = message
        place = f"{self._source}: {type_url.rpartition('.')[2] or 'a response without a type'}"
        return [ReportProblem(SourceProblem(place, message, remedy))]

    def clear(self, type_url: str) -> None:
        """A type is well again; the same problem would be news."""
        self._last.pop(type_url, None)
