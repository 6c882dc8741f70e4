from __future__ import annotations

import pytest

from agent.etcd.txn import Compare, CompareResult, CompareTarget, holds
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis

R = CREATED_MS
KEY, ABSENT = b"/apisix/routes/1", b"/apisix/routes/9"
EQUAL, GREATER, LESS, NOT_EQUAL = CompareResult
VERSION, CREATE, MOD, VALUE, LEASE = CompareTarget


@pytest.fixture
def store() -> Store:
    made = Store()
    made.replay(0, GENESIS_KEY, genesis())
    made.replay(1, "a", bundle("a", 1, {"/routes/1": b'{"a":1}'}))
    made.replay(2, "a", bundle("a", 2, {"/routes/1": b'{"a":2}'}))
    return made


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare(KEY, EQUAL, VERSION, 2), True),
        (Compare(KEY, LESS, VERSION, 2), False),
        (Compare(KEY, EQUAL, CREATE, R + 1), True),
        (Compare(KEY, GREATER, MOD, R + 1), True),
        (Compare(KEY, NOT_EQUAL, MOD, R + 2), False),
        (Compare(KEY, EQUAL, VALUE, value=b'{"a":2}'), True),
        (Compare(KEY, LESS, VALUE, value=b'{"a":3}'), True),
        (Compare(KEY, EQUAL, LEASE), True),
        (Compare(ABSENT, EQUAL, CREATE), True),
        (Compare(ABSENT, GREATER, VERSION), False),
        (Compare(ABSENT, NOT_EQUAL, VALUE, value=b"x"), False),
        (Compare(b"/apisix/routes/", GREATER, CREATE, 1, range_end=b"/apisix/routes0"), False),
        (Compare(b"/apisix/routes/", GREATER, CREATE, 0, range_end=b"/apisix/routes0"), True),
    ],
)
def test_comparisons(store: Store, compare: Compare, expected: bool):  # noqa: FBT001 - a column of the table
    assert holds(store, compare) is expected
