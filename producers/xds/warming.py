"""Which accepted resources may be delivered: a resource is warm once every resource it names has been answered.

Two layers hold the same kinds of things. *Accepted* is what the control plane has told and was found valid. *Published*
is what followers of the source have been given. Between the two stands warming (control-planes.md section 5.7): while a
changed cluster waits for its endpoints, or a listener for its routes or secrets, the published one stays in force
together with everything it names. What neither layer names any more is dropped: endpoints, routes and secrets end with
their last reference (section 5.5). Discovered filters and virtual hosts are not handed on for themselves but in what
uses them. All steps cost what changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from producers.relation import Relation
from producers.source import ResourceChange
from producers.xds import extension, virtual_host
from producers.xds.interest import WILDCARD, Interest
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.xds.references import Key
    from producers.xds.response import Entry

ORDER = (
    xds.SECRET,
    xds.TYPED_EXTENSION_CONFIG,
    xds.CLUSTER,
    xds.CLUSTER_LOAD_ASSIGNMENT,
    xds.LISTENER,
    xds.SCOPED_ROUTE_CONFIGURATION,
    xds.ROUTE_CONFIGURATION,
    xds.VIRTUAL_HOST,
)
"""Make before break (law 1): what is named comes before what names it, and goes after it."""

INNER = frozenset({xds.TYPED_EXTENSION_CONFIG, xds.VIRTUAL_HOST})
"""What is handed on in what uses it only."""


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
        self._users: dict[Key, set[Key]] = defaultdict(set)
        """By reference to discovered filters or virtual hosts: the published resources that they are filled into."""
        self._heads: Relation[str, str] = Relation()
        self._published_heads: Relation[str, str] = Relation()

    def accept(self, key: Key, entry: Entry) -> None:
        """Take a new or changed resource."""
        type_url, name = key
        before = self.accepted[type_url].get(name)
        self.accepted[type_url][name] = entry
        if type_url == xds.VIRTUAL_HOST:
            self._heads.replace(name, frozenset(virtual_host.heads(name)))
        self.pending.discard(key)
        self._unpublished[key] = None
        self._retain(entry)
        if before is not None:
            self._release(before)

    def settle(self, key: Key) -> None:
        """A name has been answered, or its time is over: nothing waits for it any more."""
        self.pending.discard(key)

    def drop(self, key: Key) -> None:
        """Forget a resource that the control plane no longer has."""
        before = self._forget(key)
        if before is not None:
            self._release(before)

    def needed(self, type_url: str) -> set[str]:
        """Give the names of a type that accepted resources refer to, whatever published ones still need."""
        entries = (entry for accepted in self.accepted.values() for entry in accepted.values())
        return {name for entry in entries for referred, name in entry.references if referred == type_url}

    def publish(self) -> list[ResourceChange]:
        """Move every warm change to the published layer.

        Returns:
            The changes in an order that makes before it breaks.
        """
        before: dict[Key, Entry | None] = {}
        warm = self._warm()
        while warm:
            for key in warm:
                del self._unpublished[key]
                before.setdefault(key, self._move(key))
            warm = self._warm()  # what a change no longer names may have been dropped meanwhile
        changed = {key for key, entry in before.items() if _digest(entry) != _digest(self._published(key))}
        changed |= self._filled_with(changed)
        rank = {key: (ORDER.index(key[0]), place) for place, key in enumerate([*before, *(changed - before.keys())])}
        handed_on = sorted((key for key in changed if key[0] not in INNER), key=rank.__getitem__)
        puts = [self._put(key) for key in handed_on if self._published(key) is not None]
        gone = sorted((key for key in handed_on if self._published(key) is None), key=lambda key: -rank[key][0])
        return puts + [ResourceChange(*key, None) for key in gone]

    def everything(self, type_urls: Iterable[str]) -> list[ResourceChange]:
        """Give all published resources of some types."""
        handed_on = sorted(set(type_urls) - INNER, key=ORDER.index)
        return [self._put((type_url, name)) for type_url in handed_on for name in self.published[type_url]]

    def is_filled(self, key: Key) -> bool:
        """Tell whether a published resource uses discovered filters or virtual hosts."""
        entry = self._published(key)
        return entry is not None and bool(_inner(entry))

    def _published(self, key: Key) -> Entry | None:
        return self.published[key[0]].get(key[1])

    def _put(self, key: Key) -> ResourceChange:
        entry = self.published[key[0]][key[1]]
        message, inner = entry.message, {type_url for type_url, _ in _inner(entry)}
        if xds.TYPED_EXTENSION_CONFIG in inner:
            filters = self.published[xds.TYPED_EXTENSION_CONFIG]
            message = extension.fill(message, {name: filled.message for name, filled in filters.items()})
        if xds.VIRTUAL_HOST in inner:
            message = virtual_host.merge(message, self._virtual_hosts(key[1]))
        return ResourceChange(*key, message, entry.version_info)

    def _virtual_hosts(self, route_configuration: str) -> list[xds.Message]:
        interest = Interest(xds.VIRTUAL_HOST, self.named[xds.VIRTUAL_HOST])
        names = sorted(self._published_heads.owners(route_configuration))
        own = [name for name in names if interest.answered(name) == [route_configuration]]
        return [self.published[xds.VIRTUAL_HOST][name].message for name in own]

    def _filled_with(self, changed: Iterable[Key]) -> set[Key]:
        """Give what a change of discovered parts changes too; a discovered filter may use others."""
        found: set[Key] = set()
        waiting = [key for key in changed if key[0] in INNER]
        while waiting:
            key = waiting.pop()
            names = virtual_host.heads(key[1]) if key[0] == xds.VIRTUAL_HOST else (key[1],)
            users = {user for name in names for user in self._users.get((key[0], name), ())} - found
            found |= users
            waiting += [user for user in users if user[0] in INNER]
        return found

    def _warm(self) -> list[Key]:
        """Give the changes that wait for nothing, nor bring in for the first time what does; one step per reference."""
        cold: set[Key] = set()
        users: dict[Key, list[Key]] = defaultdict(list)
        for key in self._unpublished:
            entry = self.accepted[key[0]].get(key[1])
            for reference in entry.references if entry is not None else ():
                if reference in self.pending:
                    cold.add(key)
                for used in filter(self._is_new, self._covered(reference)):
                    users[used].append(key)
        waiting = list(cold)
        while waiting:
            held_up = [key for key in users[waiting.pop()] if key not in cold]
            cold.update(held_up)
            waiting += held_up
        return [key for key in self._unpublished if key not in cold]

    def _is_new(self, key: Key) -> bool:
        return key in self._unpublished and self._published(key) is None

    def _covered(self, reference: Key) -> list[Key]:
        """Give the accepted resources that a reference stands for: one by its name, all of a set, or those below."""
        type_url, name = reference
        accepted = self.accepted[type_url]
        if type_url == xds.VIRTUAL_HOST:
            return [(type_url, other) for other in self._heads.owners(name)]
        if name == WILDCARD and type_url == xds.SCOPED_ROUTE_CONFIGURATION:
            return [(type_url, other) for other in accepted]
        return [reference] if name in accepted else []

    def _move(self, key: Key) -> Entry | None:
        """Take a resource over into the published layer; give what was there before."""
        entry = self.accepted[key[0]].get(key[1])
        before = self.published[key[0]].pop(key[1], None)
        if entry is not None:
            self.published[key[0]][key[1]] = entry
            self._retain(entry)
            for reference in _inner(entry):
                self._users[reference].add(key)
        if key[0] == xds.VIRTUAL_HOST:
            self._published_heads.replace(key[1], frozenset(virtual_host.heads(key[1]) if entry is not None else ()))
        if before is not None:
            for reference in _inner(before):
                if entry is None or reference not in entry.references:
                    self._users[reference].discard(key)
            self._release(before)
        return before

    def _retain(self, entry: Entry) -> None:
        for key in entry.references:
            self._reference_counts[key] += 1
            if self._reference_counts[key] == 1:
                self.named[key[0]].add(key[1])
                self.pending.add(key)

    def _release(self, entry: Entry) -> None:
        """Count what an entry names once less; what nobody names any more goes, and so on from there."""
        waiting = [entry]
        while waiting:
            for key in waiting.pop().references:
                self._reference_counts[key] -= 1
                if not self._reference_counts[key]:
                    del self._reference_counts[key]
                    self.named[key[0]].discard(key[1])
                    self.pending.discard(key)
                    waiting += self._forget_unnamed(key)

    def _forget_unnamed(self, reference: Key) -> list[Entry]:
        interest = Interest(reference[0], self.named[reference[0]])
        unnamed = [key for key in self._covered(reference) if not interest.keys(key[1])]
        return [entry for key in unnamed if (entry := self._forget(key)) is not None]

    def _forget(self, key: Key) -> Entry | None:
        type_url, name = key
        entry = self.accepted[type_url].pop(name, None)
        if entry is not None:
            self._unpublished[key] = None
            if type_url == xds.VIRTUAL_HOST:
                self._heads.replace(name, frozenset())
        return entry


def _digest(entry: Entry | None) -> bytes | None:
    return None if entry is None else entry.digest


def _inner(entry: Entry) -> list[Key]:
    return [reference for reference in entry.references if reference[0] in INNER]
