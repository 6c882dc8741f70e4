"""When accepted resources are handed on, and what a delivery may say about absence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.source import Changes, Note, ResourceChange
from producers.xds import extension
from producers.xds.command import Command, DeliverChanges
from producers.xds.subscription import NOTHING, Subscription
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from producers.xds.warming import Warming


class Delivery:
    """Nothing until the initial fetch is settled; then everything, once; then the differences.

    Settled means that clusters and listeners have been answered, and each name they refer to has been or is overdue. A
    control plane that is silent about clusters or listeners as such has not been heard, whatever time it is given.
    A complete set removes downstream what it does not hold, so it covers only the types of which the control plane has
    told everything; of route configurations also the virtual hosts that they have by discovery. A type that becomes
    whole later (it was silent, or held a bad resource whose last good version may be in the log) gets a complete set of
    its own then.
    """

    def __init__(self, subscriptions: Mapping[str, Subscription], warming: Warming, source: str) -> None:
        self._subscriptions = subscriptions
        self._warming = warming
        self._source = source
        self._is_started = False
        self._covered: frozenset[str] = NOTHING

    def next_commands(self) -> list[Command]:
        """Give what can be delivered now."""
        if not self._is_started and not self._is_settled():
            return []
        changes = self._warming.publish()
        fresh = frozenset(filter(self._is_whole, self._subscriptions)) - self._covered
        if fresh or not self._is_started:
            return [self._complete(fresh, changes)]
        return [DeliverChanges(self._changes(changes, is_complete=False))] if changes else []

    def _is_settled(self) -> bool:
        wildcards = [subscription for subscription in self._subscriptions.values() if subscription.rule.is_wildcard]
        return not self._warming.pending and all(subscription.is_answered for subscription in wildcards)

    def _complete(self, fresh: frozenset[str], changes: list[ResourceChange]) -> DeliverChanges:
        """Deliver all resources of the types that are whole for the first time, and what else has changed."""
        self._is_started = True
        self._covered |= fresh
        rest = [change for change in changes if change.type_url not in fresh]
        covers = None if len(fresh) == len(self._subscriptions) else fresh
        return DeliverChanges(self._changes([*self._warming.everything(fresh), *rest], is_complete=True, covers=covers))

    def _is_whole(self, type_url: str) -> bool:
        """Tell whether absence of a resource of this type means that it does not exist."""
        subscription = self._subscriptions[type_url]
        if subscription.rule.is_wildcard:
            return subscription.is_known
        is_filled = type_url != xds.ROUTE_CONFIGURATION or self._is_answered(xds.VIRTUAL_HOST)
        return self._is_answered(type_url) and is_filled and all(map(self._is_whole, subscription.rule.parents))

    def _is_answered(self, type_url: str) -> bool:
        """Tell whether all names of a type have been answered, if only by there being none."""
        return not self._warming.named[type_url] or self._subscriptions[type_url].is_known

    def _changes(
        self, changes: list[ResourceChange], *, is_complete: bool, covers: frozenset[str] | None = None
    ) -> Changes:
        notes = tuple(note for change in changes if change.body is not None for note in self._notes(change))
        return Changes(tuple(changes), is_complete, self._source, covers, notes)

    def _notes(self, change: ResourceChange) -> Iterator[Note]:
        key = (change.type_url, change.name)
        unknown_fields: Iterable[str] = self._warming.published[change.type_url][change.name].unknown_fields
        if self._warming.is_filled(key):
            unknown_fields = xds.unknown_field_paths(change.body)
            for name in extension.pending(change.body):
                yield Note("EXT-PENDING", *key, name, "the configuration of this filter is not known")
        for path in unknown_fields:
            yield Note(
                "CFG-UNKNOWN-FIELD", *key, path, "a field this build does not know; it is carried but has no effect"
            )
