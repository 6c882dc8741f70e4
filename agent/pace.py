"""How often APISIX is made to build its router: every change of a route or service makes each of its workers do it.

etcd-contract.md section 9 items 3 and 10: fewer, larger event lines. The waiting is done before the records are
replayed, so that what is read, what is watched and the revision in the headers are of one moment all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.store.delta import Change

ROUTER_DIRECTORIES = (b"/routes/", b"/services/")


class RouterPace:
    """When the next records may be replayed.

    Args:
        max_rebuilds_per_s: 0 never waits.
        prefix: the etcd prefix.
    """

    def __init__(self, max_rebuilds_per_s: float, prefix: str) -> None:
        self._interval_s = 1 / max_rebuilds_per_s if max_rebuilds_per_s else 0.0
        self._directories = tuple(prefix.encode() + name for name in ROUTER_DIRECTORIES)
        self._free_at_s = 0.0

    def count(self, changes: Iterable[Change], now_s: float) -> None:
        """Take notice of what was published.

        Args:
            changes: of one publication.
            now_s: the present on any clock that only rises, that of `wait_s`.
        """
        if self._interval_s and any(
            event.key.startswith(self._directories) for change in changes for event in change.events
        ):
            self._free_at_s = now_s + self._interval_s

    def wait_s(self, now_s: float) -> float:
        """Tell how long the next records should wait; 0 not at all."""
        return max(0.0, self._free_at_s - now_s)
