"""Which accepted resources may be delivered: a resource is warm once every resource it names has been answered.

Two layers hold the same kinds of things. *Accepted* is what the control plane has told and was found valid. *Published*
is what followers of the source have been given. Between the two stands warming (control-planes.md section 5.7): while a
changed cluster waits for its endpoints, or a listener for its routes or secrets, the published one stays in force
together with everything it names. What neither layer names any more is dropped: endpoints, routes and secrets end with
their last reference (section 5.5). All steps cost what changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from producers.source import ResourceChange
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.xds.references import Key
    from producers.xds.response import Entry

# Make before break (law 1): what is named comes before what names it, and goes after it.
ORDER = (xds.SECRET, xds.CLUSTER, xds.CLUSTER_LOAD_ASSIGNMENT, xds.LISTENER, xds.ROUTE_CONFIGURATION)


class Warming:
    """Accepted and published resources, and the names that still wait for an answer."""

    def __init__(self) -> None:
        self.accepted: dict[str, dict[str, Entry]] = defaultdict(dict)
        self.published: dict[str, dict[str, Entry]] = defaultdict(dict)
        self.pending: set[Key] = set()
        self.named: dict[str, set[str]] = defaultdict(set)
        """By type: the names that must be subscribed to."""
        self._reference_counts: Counter[Key] = Counter()
        self._unpublished: dict[Key, None] = {}

    def accept(self, key: Key, entry: Entry) -> None:
        """Take a new or changed resource."""
        type_url, name = key
        before = self.accepted[type_url].get(name)
        self.accepted[type_url][name] = entry
        self.pending.discard(key)
        self._unpublished[key] = None
        self._retain(entry)
        if before is not None:
            self._release(before)

    def settle(self, key: Key) -> None:
        """A name has been answered, or its time is over: nothing waits for it any more."""
        self.pending.discard(key)

    def drop(self, key: Key) -> None:
        """Forget a resource that the control plane no longer has, or that nobody names."""
        type_url, name = key
        before = self.accepted[type_url].pop(name, None)
        if before is not None:
            self._unpublished[key] = None
            self._release(before)

    def publish(self) -> list[ResourceChange]:
        """Move every warm change to the published layer.

        Returns:
            The changes in an order that makes before it breaks.
        """
        changes: list[ResourceChange] = []
        warm = self._warm()
        while warm:
            for key in warm:
                del self._unpublished[key]
                changes.extend(self._published(key))
            warm = self._warm()  # what a change no longer names may have been dropped meanwhile
        puts = [change for change in changes if change.body is not None]
        removals = [change for change in changes if change.body is None]
        puts.sort(key=lambda change: ORDER.index(change.type_url))
        removals.sort(key=lambda change: -ORDER.index(change.type_url))
        return puts + removals

    def everything(self, type_urls: Iterable[str]) -> list[ResourceChange]:
        """Give all published resources of some types."""
        return [
            ResourceChange(type_url, name, entry.message, entry.version_info)
            for type_url in sorted(type_urls, key=ORDER.index)
            for name, entry in self.published[type_url].items()
        ]

    def _warm(self) -> list[Key]:
        return [key for key in self._unpublished if self._is_warm(key)]

    def _is_warm(self, key: Key) -> bool:
        entry = self.accepted[key[0]].get(key[1])
        return entry is None or self.pending.isdisjoint(entry.references)

    def _published(self, key: Key) -> list[ResourceChange]:
        type_url, name = key
        entry = self.accepted[type_url].get(name)
        before = self.published[type_url].pop(name, None)
        if entry is not None:
            self.published[type_url][name] = entry
            self._retain(entry)
        if before is not None:
            self._release(before)
        if (entry and entry.digest) == (before and before.digest):
            return []
        if entry is None:
            return [ResourceChange(type_url, name, None)]
        return [ResourceChange(type_url, name, entry.message, entry.version_info)]

    def _retain(self, entry: Entry) -> None:
        for key in entry.references:
            self._reference_counts[key] += 1
            if self._reference_counts[key] == 1:
                self.named[key[0]].add(key[1])
                self.pending.add(key)

    def _release(self, entry: Entry) -> None:
        for key in entry.references:
            self._reference_counts[key] -= 1
            if not self._reference_counts[key]:
                del self._reference_counts[key]
                self.named[key[0]].discard(key[1])
                self.pending.discard(key)
                self.drop(key)
