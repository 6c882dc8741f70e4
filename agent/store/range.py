"""Range over the keys, now or as they were, placeholders included (contract rules 4 and 5)."""

from __future__ import annotations

from bisect import bisect_left
from enum import IntEnum
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from agent.store.directory import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.store.image import KeyValue
    from agent.store.store import Store


class SortOrder(IntEnum):
    """etcdserverpb.RangeRequest.SortOrder."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    """etcdserverpb.RangeRequest.SortTarget."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class RangeRequest(NamedTuple):
    """etcdserverpb.RangeRequest; `serializable` has no meaning here, every read is one."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: SortOrder = SortOrder.NONE
    sort_target: SortTarget = SortTarget.KEY
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class RangeResult(NamedTuple):
    """What a range found; `total` is what lies in it, before limit and filters."""

    kvs: Sequence[tuple[bytes, KeyValue]]
    total: int
    has_more: bool = False


class CompactedError(LookupError):
    """The revision asked for is older than the history."""


class FutureRevisionError(LookupError):
    """The revision asked for has not happened yet."""


def lies_in(key: bytes, start: bytes, range_end: bytes) -> bool:
    """Tell whether a key lies in an etcd range: the one key, `[start, range_end)`, or with end 0 all from start."""
    if not range_end:
        return key == start
    return key >= start and (range_end == b"\0" or key < range_end)


def read_range(store: Store, request: RangeRequest) -> RangeResult:
    """Answer a Range.

    Raises:
        CompactedError: `request.revision` is older than what the history can undo.
        FutureRevisionError: `request.revision` is above the header revision.
    """
    found = _found(store, request)
    total = len(found)
    if request.count_only:
        return RangeResult((), total)
    kept = _sorted(_filtered(found, request), request)
    has_more = 0 < request.limit < len(kept)
    return RangeResult(kept[: request.limit] if has_more else kept, total, has_more)


def _found(store: Store, request: RangeRequest) -> list[tuple[bytes, KeyValue]]:
    objects = store.image.objects
    undone = _undone(store, request)
    keys = keys_between(store.image.keys, request.key, request.range_end)
    if undone:
        keys = sorted({*keys, *undone})
    placeholders = keys_between(store.placeholders, request.key, request.range_end)
    return [
        (key, kv)
        for key in merge(keys, placeholders)
        if (kv := undone[key] if key in undone else objects.get(key, PLACEHOLDER)) is not None
    ]


def keys_between(keys: Sequence[bytes], start: bytes, range_end: bytes) -> Sequence[bytes]:
    """Cut a range out of keys in byte order."""
    first = bisect_left(keys, start)
    if not range_end:
        return keys[first : first + 1] if first < len(keys) and keys[first] == start else ()
    return keys[first:] if range_end == b"\0" else keys[first : max(first, bisect_left(keys, range_end))]


def _undone(store: Store, request: RangeRequest) -> dict[bytes, KeyValue | None]:
    """Tell what the keys that changed after the revision asked for were then."""
    if request.revision <= 0 or request.revision == store.revision:
        return {}
    if request.revision > store.revision:
        raise FutureRevisionError
    if request.revision < store.history.floor:
        raise CompactedError
    then: dict[bytes, KeyValue | None] = {}
    for change in store.history.after(request.revision):
        for event in change.events:
            if lies_in(event.key, request.key, request.range_end):
                then.setdefault(event.key, event.prev)
    return then


def _filtered(found: list[tuple[bytes, KeyValue]], request: RangeRequest) -> list[tuple[bytes, KeyValue]]:
    bounds = (
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )
    if not any(bounds):
        return found
    min_mod, max_mod, min_create, max_create = bounds
    return [
        (key, kv)
        for key, kv in found
        if kv.mod_revision >= min_mod
        and (not max_mod or kv.mod_revision <= max_mod)
        and kv.create_revision >= min_create
        and (not max_create or kv.create_revision <= max_create)
    ]


def _sorted(found: list[tuple[bytes, KeyValue]], request: RangeRequest) -> list[tuple[bytes, KeyValue]]:
    """Sort as etcd does: a target other than the key sorts ascending even without an order."""
    is_descending = request.sort_order is SortOrder.DESCEND
    match request.sort_target:
        case SortTarget.KEY:
            return found[::-1] if is_descending else found
        case SortTarget.VERSION:
            return sorted(found, key=lambda item: item[1].version, reverse=is_descending)
        case SortTarget.CREATE:
            return sorted(found, key=lambda item: item[1].create_revision, reverse=is_descending)
        case SortTarget.MOD:
            return sorted(found, key=lambda item: item[1].mod_revision, reverse=is_descending)
        case SortTarget.VALUE:
            return sorted(found, key=lambda item: item[1].value, reverse=is_descending)
