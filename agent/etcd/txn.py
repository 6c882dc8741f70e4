"""The comparisons of a txn, as etcd's apply code makes them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from agent.store.image import KeyValue
from agent.store.range import RangeRequest, read_range

if TYPE_CHECKING:
    from agent.store.store import Store

MAX_TXN_OPERATIONS = 128
"""etcd's --max-txn-ops."""
_ABSENT = KeyValue(b"", 0, 0, 0)


class CompareResult(IntEnum):
    """etcdserverpb.Compare.CompareResult."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class CompareTarget(IntEnum):
    """etcdserverpb.Compare.CompareTarget."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


class Compare(NamedTuple):
    """etcdserverpb.Compare; `number` is what its target is compared with, unless that is the value."""

    key: bytes
    result: CompareResult = CompareResult.EQUAL
    target: CompareTarget = CompareTarget.VERSION
    number: int = 0
    value: bytes = b""
    range_end: bytes = b""


def holds(store: Store, compare: Compare) -> bool:
    """Tell whether a comparison holds for every key in its range; where there is none, for an absent one."""
    found = [kv for _, kv in read_range(store, RangeRequest(compare.key, compare.range_end)).kvs]
    if not found:
        return compare.target is not CompareTarget.VALUE and _holds(_ABSENT, compare)
    return all(_holds(kv, compare) for kv in found)


def _holds(kv: KeyValue, compare: Compare) -> bool:
    order = _order(kv, compare)
    match compare.result:
        case CompareResult.EQUAL:
            return order == 0
        case CompareResult.NOT_EQUAL:
            return order != 0
        case CompareResult.GREATER:
            return order > 0
        case CompareResult.LESS:
            return order < 0


def _order(kv: KeyValue, compare: Compare) -> int:
    """Say whether the key's side is larger (1), equal (0) or smaller (-1)."""
    if compare.target is CompareTarget.VALUE:
        return (kv.value > compare.value) - (kv.value < compare.value)
    numbers = {
        CompareTarget.VERSION: kv.version,
        CompareTarget.CREATE: kv.create_revision,
        CompareTarget.MOD: kv.mod_revision,
        CompareTarget.LEASE: 0,
    }
    number = numbers[compare.target]
    return (number > compare.number) - (number < compare.number)
