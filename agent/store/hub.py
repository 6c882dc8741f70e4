"""Who is watching what: the feeds of one encoding, each shared by all watchers of its spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent.store.feed import Feed, Lines
from agent.store.watcher import ChangesPublished, SendLines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.store.delta import Change
    from agent.store.feed import Render, WatchSpec
    from agent.store.store import Store
    from agent.store.watcher import Event


class Subscriber(Protocol):
    """A watch, as the hub sees it."""

    def deliver(self, event: Event) -> None:
        """Hand an event to the watcher and do what it orders."""
        ...


class Hub:
    """The feeds of one store in one encoding.

    Args:
        store: what is watched.
        render: makes their lines.

    Attributes:
        published_lines: how many there have been.
    """

    def __init__(self, store: Store, render: Render) -> None:
        self.store = store
        self.published_lines = 0
        self._lines = Lines(render)
        self._feeds: dict[WatchSpec, tuple[Feed, set[Subscriber]]] = {}

    @property
    def watcher_count(self) -> int:
        """How many watches are open."""
        return sum(len(members) for _, members in self._feeds.values())

    def join(self, spec: WatchSpec, member: Subscriber) -> Feed:
        """Enter a watcher; the feed is shared with all of the same spec."""
        if spec not in self._feeds:
            self._feeds[spec] = (Feed(spec, self.store, self._lines), set())
        feed, members = self._feeds[spec]
        members.add(member)
        return feed

    def leave(self, spec: WatchSpec, member: Subscriber) -> None:
        """Take a watcher out; the feed goes with its last one."""
        members = self._feeds[spec][1]
        members.discard(member)
        if not members:
            del self._feeds[spec]

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell every live watcher in one line, or a few if there is much to tell.

        Call it after every step of the store, also one without changes.
        """
        for feed, members in tuple(self._feeds.values()):
            for line, next_revision in feed.slices(changes, self.store.revision + 1):
                feed.next_revision = next_revision
                if line:
                    self.published_lines += 1
                    event = ChangesPublished((SendLines(line),))
                    for member in tuple(members):
                        member.deliver(event)
