"""The store: records in, changes out. `replay` and `finish_snapshot` are the only writers of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.store.bundle import RejectedBundleError, identity, read_bundle
from agent.store.delta import Change, is_settled, replace_unit, settle
from agent.store.directory import placeholder_keys
from agent.store.history import History
from agent.store.image import Image, Provenance, UnitState
from agent.store.reading import Read, Reading
from agent.store.removal import UNLIMITED, removed_count
from schemas.codec import UnreadableRecordError, decode
from schemas.keys import GENESIS_KEY, revision_of
from schemas.records import Genesis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.store.bundle import Reveal
    from agent.store.delta import Event


class MissingGenesisError(LookupError):
    """The topic does not begin with a readable `@genesis` record, so its offsets have no revisions yet."""


class GenesisChangedError(LookupError):
    """The topic was created again: it must be read in full before its records mean anything."""


class Store:
    """A replica of one view's bundles topic.

    Args:
        prefix: the etcd prefix, such as `/apisix`.
        reveal: opens the sealed private keys inside a value; the default leaves them sealed.
        history: how many changes watchers can catch up with.
        image: a restored image; a new one is empty.

    Attributes:
        removal: what one record may take away; set by the journal's head, so that a step taken again decides the same.
    """

    def __init__(
        self,
        prefix: str = "/apisix",
        reveal: Reveal = identity,
        history: History | None = None,
        image: Image | None = None,
    ) -> None:
        self.prefix = prefix
        self.image = image if image is not None else Image()
        self.history = history if history is not None else History()
        self.history.reset(self.image.revision)
        self.placeholders = placeholder_keys(prefix)
        self.removal = UNLIMITED
        self._reveal = reveal
        self._reading: Reading | None = None

    @property
    def revision(self) -> int:
        """The header revision."""
        return self.image.revision

    @property
    def is_reading(self) -> bool:
        """Whether a full re-read is under way."""
        return self._reading is not None

    @property
    def has_read_units(self) -> bool:
        """Whether the re-read under way has seen any unit."""
        return self._reading is not None and self._reading.has_units

    def replay(self, offset: int, key: str, value: bytes | None) -> Change:
        """Take one record of the bundles topic.

        Args:
            offset: its offset; one that was replayed before changes nothing.
            key: `@genesis` or a unit key.
            value: the encoded Genesis or Bundle, None for a tombstone.

        Returns:
            The change; without events if no value changed, and while a full re-read is under way.

        Raises:
            MissingGenesisError: a unit came before the topic's genesis.
            GenesisChangedError: the record is the genesis of another life of the topic.
        """
        if self._reading is not None:
            self._read(self._reading, offset, key, value)
            return Change(self.revision, ())
        if key == GENESIS_KEY:
            return self._begin_life(offset, value)
        provenance = self.image.provenance
        if provenance is None:
            raise MissingGenesisError(f"a unit at offset {offset} comes before any {GENESIS_KEY} record")
        if offset <= provenance.offset:
            return Change(self.revision, ())
        revision = self._advance(provenance._replace(offset=offset))
        self.image.is_ready = True
        change = Change(revision, tuple(self._apply(key, value, revision)))
        if change.events:
            self.history.append(change)
        return change

    def _begin_life(self, offset: int, value: bytes | None) -> Change:
        genesis = self._genesis(value)
        known = self.image.provenance
        if known is None and genesis is not None:
            self._advance(Provenance(genesis.created_ms, genesis.id, offset))
            self.history.reset(self.revision)
        elif known is not None and genesis is not None and genesis.id != known.genesis_id:
            raise GenesisChangedError(f"the topic was created again: genesis {genesis.id}, not {known.genesis_id}")
        elif known is not None and offset > known.offset:
            self._advance(known._replace(offset=offset))
        return Change(self.revision, ())

    def _genesis(self, value: bytes | None) -> Genesis | None:
        try:
            genesis = decode(value or b"", Genesis)
            revision_of(genesis.created_ms, 0)
        except (UnreadableRecordError, ValueError) as error:
            self.image.rejected[GENESIS_KEY] = str(error)
            return None
        self.image.rejected.pop(GENESIS_KEY, None)
        return genesis

    def _advance(self, to: Provenance) -> int:
        """Move to a newer record; add a shift rather than ever go back (law 5)."""
        image = self.image
        revision = revision_of(to.genesis_ms, to.offset) + image.shift
        if revision <= image.revision:
            image.shift += image.revision + 1 - revision
            revision = image.revision + 1
        image.provenance, image.revision = to, revision
        return revision

    def _apply(self, unit_key: str, value: bytes | None, revision: int) -> list[Event]:
        try:
            state = None if value is None else read_bundle(unit_key, value, self.prefix, self._reveal)
        except RejectedBundleError as error:
            self.image.rejected[unit_key] = str(error)
            return []
        known = self.image.units.get(unit_key)
        if state is not None and known is not None and state.seq < known.seq:
            return []
        if reason := self._reason_against([(unit_key, state)]):
            self.image.rejected[unit_key] = reason
            return []
        self.image.rejected.pop(unit_key, None)
        return self._settle(replace_unit(self.image, unit_key, state), revision)

    def _reason_against(self, replaced: Sequence[tuple[str, UnitState | None]]) -> str | None:
        return self.removal.reason_against(self.image, removed_count(self.image, replaced))

    def _settle(self, keys: Iterable[bytes], revision: int) -> list[Event]:
        return [event for key in keys if (event := settle(self.image, key, revision)) is not None]

    def begin_snapshot(self) -> None:
        """Begin a full read: records are kept aside until `finish_snapshot`; an unfinished one is dropped."""
        is_first = self.image.provenance is None
        self._reading = Reading(Store(self.prefix, self._reveal, History(0, 0)) if is_first else None)

    def abandon_snapshot(self) -> None:
        """Drop a full re-read that cannot be finished; the image stays as it was."""
        self._reading = None

    def _read(self, reading: Reading, offset: int, key: str, value: bytes | None) -> None:
        reading.last_offset = max(reading.last_offset, offset)
        if reading.first is not None:
            reading.first._replay_first(reading.early, (offset, key, value))  # noqa: SLF001 - another one of this class
            return
        if key == GENESIS_KEY:
            reading.genesis = self._genesis(value) or reading.genesis
            return
        try:
            state = None if value is None else read_bundle(key, value, self.prefix, self._reveal)
        except RejectedBundleError as error:
            reading.rejected[key] = str(error)
            return
        reading.add(key, Read(offset, state))

    def _replay_first(self, early: list[tuple[int, str, bytes | None]], record: tuple[int, str, bytes | None]) -> None:
        """Take a record of the first read; what comes before any genesis waits for it."""
        offset, key, value = record
        if key != GENESIS_KEY:
            if self.image.provenance is None:
                early.append(record)
            else:
                self.replay(*record)
        elif (genesis := self._genesis(value)) is not None:
            known = self.image.provenance
            if known is None or known.genesis_id != genesis.id:
                begins = early[0][0] - 1 if early else offset
                self._advance(Provenance(genesis.created_ms, genesis.id, begins))
            for waiting in early:
                self.replay(*waiting)
            early.clear()

    def _take_first(self, first: Store) -> list[Change]:
        """Show what the first read came to; nobody has been told anything before, so there is nothing to tell."""
        if first.image.provenance is None:
            self.image.rejected.update(first.image.rejected)
            raise MissingGenesisError(f"a full read of the topic saw no readable {GENESIS_KEY} record")
        self.image = first.image
        self.history.reset(self.revision)
        return []

    def finish_snapshot(self) -> list[Change]:
        """Make the image what the re-read saw; units it did not mention become deletes.

        Records newer than the image keep their own revisions; everything else (units that are gone, records that
        could not be taken before) moves with the last of them, in one revision.

        Raises:
            MissingGenesisError: the re-read saw no readable genesis; the image is unchanged.
        """
        reading, self._reading = self._reading, None
        if reading is not None and reading.first is not None:
            return self._take_first(reading.first)
        if reading is None or reading.genesis is None:
            raise MissingGenesisError(f"a full read of the topic saw no readable {GENESIS_KEY} record")
        was_ready, before = self.image.is_ready, self.revision
        touched = self._take_over(reading)
        changes = self._revise(reading, touched)
        self.image.is_ready = self.image.is_ready or reading.has_units
        if was_ready:
            for change in changes:
                self.history.append(change)
        elif self.revision != before:
            self.history.reset(self.revision)
        return changes

    def _take_over(self, reading: Reading) -> dict[bytes, int]:
        """Put the units that were read in force; tell for each key whose value changes which offset decided it."""
        image, touched = self.image, dict[bytes, int]()
        genesis = reading.genesis
        is_same_life = (
            image.provenance is not None and genesis is not None and image.provenance.genesis_id == genesis.id
        )
        if genesis is not None and not is_same_life:
            image.shift = max(0, image.revision + 1 - genesis.created_ms)
        for unit_key, read in tuple(reading.units.items()):
            known = image.units.get(unit_key)
            if is_same_life and known is not None and read.state is not None and read.state.seq < known.seq:
                continue
            if reason := self._reason_against([(unit_key, read.state)]):
                reading.reject(unit_key, reason)
                continue
            for key in replace_unit(image, unit_key, read.state):
                touched.pop(key, None)
                touched[key] = read.offset
        for unit_key in self._vanished(reading):
            touched.update(dict.fromkeys(replace_unit(image, unit_key, None), reading.last_offset))
        if not is_same_life:
            for unit_key in reading.rejected.keys() & image.units.keys() - reading.units.keys():
                image.units[unit_key] = UnitState(0, image.units[unit_key].objects)
        image.rejected = dict(reading.rejected)
        return {key: offset for key, offset in touched.items() if not is_settled(image, key)}

    def _vanished(self, reading: Reading) -> list[str]:
        """Name the units the re-read did not mention; none, and all rejected, if too much would go with them."""
        kept = reading.units.keys() | reading.rejected.keys()
        vanished = [unit_key for unit_key in self.image.units if unit_key not in kept]
        reason = self._reason_against([(unit_key, None) for unit_key in vanished])
        if reason is None:
            return vanished
        for unit_key in vanished:
            reading.reject(unit_key, f"the topic does not mention it any more, but {reason}")
        return []

    def _revise(self, reading: Reading, touched: dict[bytes, int]) -> list[Change]:
        """Give each key that changes its revision and move the header to the last record that was read."""
        image, genesis = self.image, reading.genesis
        if genesis is None:
            return []
        before = image.revision
        last = Provenance(genesis.created_ms, genesis.id, reading.last_offset)
        if touched or revision_of(last.genesis_ms, last.offset) + image.shift > before:
            self._advance(last)
        image.provenance = last
        by_revision: dict[int, list[bytes]] = {}
        for key, offset in touched.items():
            own = revision_of(genesis.created_ms, offset) + image.shift
            by_revision.setdefault(own if own > before else image.revision, []).append(key)
        return [
            Change(revision, tuple(self._settle(by_revision[revision], revision))) for revision in sorted(by_revision)
        ]
