"""The last-known-good state as bytes: a base with the whole image, and journals with what was replayed since.

A base is magic, format version, length, checksum, MessagePack. A journal is magic, format version, the number of
steps the store had taken before, then entries, each with its length and checksum: first whose state it is and the limit
of removals, then the steps that were judged by it. Values are kept as they came: private
keys sealed. Only encoding and decoding is here; files are in state_directory.py.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agent.store.bundle import RejectedBundleError, open_value
from agent.store.delta import Change, replace_unit, value_in_force
from agent.store.image import Carried, Image, KeyValue, Provenance, UnitState
from agent.store.removal import UNLIMITED, RemovalLimit
from agent.store.store import GenesisChangedError, MissingGenesisError, Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.store.bundle import Reveal

FORMAT_VERSION = 1
JOURNAL_VERSION = 3
"""Versions 1 and 2 did not say whose state it is, version 1 had no limit of removals; they are still read."""
_BASE_MAGIC, _JOURNAL_MAGIC = b"MFBASE", b"MFJRNL"
_BASE_HEAD = struct.Struct(">6sHQQ16s")
_JOURNAL_HEAD = struct.Struct(">6sHQ")
_ENTRY_HEAD = struct.Struct(">I8s")


class BrokenStateError(ValueError):
    """A file of the last-known-good state cannot be used; the message says why."""


class Replayed(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A record was replayed."""

    offset: int
    key: str
    value: bytes | None


class SnapshotBegun(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A full re-read began."""


class SnapshotFinished(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A full re-read reached the end of the log."""


class Limited(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What is replayed from here on is judged by this limit of removals."""

    share: float
    minimum: int


class Owned(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Whose state this is: the view, and the etcd prefix it is served under."""

    view: str
    prefix: str


Step = Replayed | SnapshotBegun | SnapshotFinished


class _Base(msgspec.Struct, frozen=True, array_like=True):
    view: str
    prefix: str
    genesis_ms: int
    genesis_id: str
    offset: int
    shift: int
    revision: int
    is_ready: bool
    units: list[tuple[str, int, list[tuple[bytes, bytes]]]]
    objects: list[tuple[bytes, int, int, int, tuple[str, ...]]]
    rejected: dict[str, str]


class Base(NamedTuple):
    """A decoded base; `position` counts the steps the store had taken."""

    image: Image
    position: int


class Journal(NamedTuple):
    """A decoded journal.

    Attributes:
        position: how many steps the store had taken before.
        steps: taken since, under `removal`.
        is_torn: its end was cut off or damaged, which ends a killed agent's journal.
        removal: the limit the steps were judged by.
        owner: whose state it is; None in a journal of an older build.
    """

    position: int
    steps: list[Step]
    is_torn: bool
    removal: RemovalLimit = UNLIMITED
    owner: Owned | None = None


def encode_base(image: Image, view: str, prefix: str, position: int) -> bytes:
    """Encode an image. Slow for a large one: give a copy to another thread."""
    provenance = image.provenance or Provenance(0, "", -1)
    payload = msgspec.msgpack.encode(
        _Base(
            view,
            prefix,
            *provenance,
            image.shift,
            image.revision,
            image.is_ready,
            [
                (unit_key, state.seq, [(key, carried.sealed) for key, carried in state.objects.items()])
                for unit_key, state in image.units.items()
            ],
            [(key, *image.objects[key][1:], image.carriers[key]) for key in image.keys],
            image.rejected,
        )
    )
    head = _BASE_HEAD.pack(_BASE_MAGIC, FORMAT_VERSION, position, len(payload), _checksum(payload, 16))
    return head + payload


def decode_base(data: bytes, view: str, prefix: str, reveal: Reveal) -> Base:
    """Decode a base and open its private keys.

    A unit that cannot be opened is left out and rejected, so that the agent reads the whole log again.

    Raises:
        BrokenStateError: not a base, of another version, cut off, damaged, or of another view or prefix.
    """
    position, stored = _decode_stored(data)
    if (stored.view, stored.prefix) != (view, prefix):
        raise BrokenStateError(f"it holds view {stored.view!r} with prefix {stored.prefix!r}, not {view!r}, {prefix!r}")
    image = Image()
    if stored.offset >= 0:
        image.provenance = Provenance(stored.genesis_ms, stored.genesis_id, stored.offset)
    image.shift, image.revision, image.is_ready = stored.shift, stored.revision, stored.is_ready
    image.rejected = stored.rejected
    closed = {}
    for unit_key, seq, objects in stored.units:
        carried = {}
        for key, sealed in objects:
            try:
                carried[key] = Carried(sealed, open_value(key.decode(), sealed, reveal))
            except RejectedBundleError as error:
                closed[unit_key] = str(error)
                carried[key] = Carried(sealed, b"")
        image.units[unit_key] = UnitState(seq, carried)
    for key, *_, carriers in stored.objects:
        image.carriers[key] = carriers
    for unit_key, reason in closed.items():
        replace_unit(image, unit_key, None)
        image.rejected[unit_key] = reason
    for key, create_revision, mod_revision, version, _ in stored.objects:
        value = value_in_force(image, key)
        if value is not None:
            image.objects[key] = KeyValue(value, create_revision, mod_revision, version)
            image.keys.append(key)
    return Base(image, position)


def position_of(head: bytes) -> int:
    """Read only the position of a base; -1 if these are not the first bytes of one."""
    if len(head) < _BASE_HEAD.size or not head.startswith(_BASE_MAGIC):
        return -1
    position: int = _BASE_HEAD.unpack_from(head)[2]
    return position


def _decode_stored(data: bytes) -> tuple[int, _Base]:
    if len(data) < _BASE_HEAD.size:
        raise BrokenStateError(f"it is cut off after {len(data)} bytes")
    magic, version, position, size, checksum = _BASE_HEAD.unpack_from(data)
    if magic != _BASE_MAGIC:
        raise BrokenStateError("it is no snapshot")
    if version != FORMAT_VERSION:
        raise BrokenStateError(f"it has format version {version}; this build reads {FORMAT_VERSION}")
    payload = memoryview(data)[_BASE_HEAD.size :]
    if len(payload) != size or _checksum(payload, 16) != checksum:
        raise BrokenStateError("its checksum does not fit: it is damaged or cut off")
    try:
        return position, msgspec.msgpack.decode(payload, type=_Base)
    except msgspec.DecodeError as error:
        raise BrokenStateError(f"its content does not decode: {error}") from error


def encode_journal_head(position: int, owner: Owned, removal: RemovalLimit = UNLIMITED) -> bytes:
    """Encode the beginning of a journal: whose it is, and its limit of removals."""
    head = _JOURNAL_HEAD.pack(_JOURNAL_MAGIC, JOURNAL_VERSION, position)
    return head + _encode_entry(owner) + _encode_entry(Limited(*removal))


def encode_steps(steps: Iterable[Step]) -> bytes:
    """Encode entries."""
    return b"".join(map(_encode_entry, steps))


def _encode_entry(entry: Step | Limited | Owned) -> bytes:
    payload = msgspec.msgpack.encode(entry)
    return _ENTRY_HEAD.pack(len(payload), _checksum(payload, 8)) + payload


def decode_journal(data: bytes) -> Journal:
    """Decode a journal as far as it is whole.

    Raises:
        BrokenStateError: its head is damaged or of another version.
    """
    if len(data) < _JOURNAL_HEAD.size:
        raise BrokenStateError(f"it is cut off after {len(data)} bytes")
    magic, version, position = _JOURNAL_HEAD.unpack_from(data)
    if magic != _JOURNAL_MAGIC or not 1 <= version <= JOURNAL_VERSION:
        raise BrokenStateError(f"it is no journal of format version {JOURNAL_VERSION} or older")
    decoder = msgspec.msgpack.Decoder(Step | Limited | Owned)
    owner: Owned | None = None
    removal, steps = UNLIMITED, list[Step]()
    view, at = memoryview(data), _JOURNAL_HEAD.size
    while at + _ENTRY_HEAD.size <= len(data):
        size, checksum = _ENTRY_HEAD.unpack_from(data, at)
        payload = view[at + _ENTRY_HEAD.size : at + _ENTRY_HEAD.size + size]
        if len(payload) != size or _checksum(payload, 8) != checksum:
            break
        entry = decoder.decode(payload)
        if isinstance(entry, Limited):
            removal = RemovalLimit(entry.share, entry.minimum)
        elif isinstance(entry, Owned):
            owner = entry
        else:
            steps.append(entry)
        at += _ENTRY_HEAD.size + size
    return Journal(position, steps, at != len(data), removal, owner)


def take_step(store: Store, step: Step) -> list[Change]:
    """Take one step, live or from a journal.

    Returns:
        The changes that have events.

    Raises:
        MissingGenesisError, GenesisChangedError: as `Store.replay`; the step has changed nothing.
    """
    match step:
        case SnapshotBegun():
            store.begin_snapshot()
            return []
        case SnapshotFinished():
            return store.finish_snapshot()
        case Replayed(offset, key, value):
            change = store.replay(offset, key, value)
            return [change] if change.events else []


def take_steps_again(store: Store, steps: Iterable[Step]) -> None:
    """Bring a store back to where a journal ends; a step that failed then fails again and changes nothing."""
    for step in steps:
        try:
            take_step(store, step)
        except (MissingGenesisError, GenesisChangedError):
            continue


def _checksum(data: bytes | memoryview, size: int) -> bytes:
    return blake2b(data, digest_size=size).digest()
