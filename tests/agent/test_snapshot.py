from __future__ import annotations

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from agent.snapshot import (
    Base,
    BrokenStateError,
    Owned,
    Replayed,
    SnapshotBegun,
    SnapshotFinished,
    decode_base,
    decode_journal,
    encode_base,
    encode_journal_head,
    encode_steps,
    position_of,
    take_steps_again,
)
from agent.store.bundle import identity
from agent.store.removal import UNLIMITED, RemovalLimit
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis

SEALED = b'{"key":"mfseal1.AAAA"}'
STEPS = [
    Replayed(0, GENESIS_KEY, genesis()),
    Replayed(1, "a", bundle("a", 1, {"/routes/1": b"{}"})),
    SnapshotBegun(),
    SnapshotFinished(),
    Replayed(2, "a", None),
]
JOURNAL_HEAD_BYTES = 16
OWNER = Owned("shop", "/apisix")
JOURNAL = encode_journal_head(7, OWNER) + encode_steps(STEPS)


def reveal(value: bytes) -> bytes:
    return value.replace(b"mfseal1.AAAA", b"open")


def refuse(value: bytes) -> bytes:
    raise ValueError("wrong key")


def sealed_store() -> Store:
    """An ssl that only one unit carries, one that two carry, and a route."""
    store = Store(reveal=reveal)
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, "a", bundle("a", 1, {"/ssls/1": SEALED, "/routes/1": b"{}"}))
    store.replay(2, "b", bundle("b", 2, {"/routes/1": b"{}"}))
    store.replay(3, "c", b"no")
    return store


def decode(data: bytes, opener=reveal) -> Base:
    return decode_base(data, "shop", "/apisix", opener)


def test_a_base_brings_back_the_image():
    store = sealed_store()
    found = decode(encode_base(store.image, "shop", "/apisix", 4))
    assert found.position == 4
    for name in type(store.image).__slots__:
        assert getattr(found.image, name) == getattr(store.image, name), name


def test_an_empty_image_comes_back_empty():
    found = decode(encode_base(Store().image, "shop", "/apisix", 0))
    assert (found.image.provenance, found.image.is_ready, found.image.units) == (None, False, {})


def test_private_keys_stay_sealed_on_the_disk():
    data = encode_base(sealed_store().image, "shop", "/apisix", 0)
    assert SEALED in data
    assert b'"open"' not in data


def test_a_unit_that_no_longer_opens_is_left_out_and_reported():
    found = decode(encode_base(sealed_store().image, "shop", "/apisix", 0), refuse)
    assert found.image.objects.keys() == {b"/apisix/routes/1"}
    assert found.image.carriers == {b"/apisix/routes/1": ("b",)}
    assert found.image.keys == [b"/apisix/routes/1"]
    assert found.image.rejected.keys() == {"a", "c"}
    assert "wrong key" not in found.image.rejected["a"]
    assert found.image.revision == CREATED_MS + 3


@pytest.mark.parametrize(("view", "prefix"), [("other", "/apisix"), ("shop", "/other")])
def test_a_base_of_another_view_is_refused(view: str, prefix: str):
    with pytest.raises(BrokenStateError, match="it holds view 'shop'"):
        decode_base(encode_base(Store().image, "shop", "/apisix", 0), view, prefix, identity)


BASE = encode_base(sealed_store().image, "shop", "/apisix", 4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off after 0 bytes"),
        (b"X" + BASE[1:], "no snapshot"),
        (BASE[:6] + b"\0\2" + BASE[8:], "format version 2; this build reads 1"),
        (BASE[:-1], "checksum"),
        (BASE + b"x", "checksum"),
        (BASE[:-1] + b"\xff", "checksum"),
    ],
)
def test_a_damaged_base_says_what_is_wrong(data: bytes, reason: str):
    with pytest.raises(BrokenStateError, match=reason):
        decode(data)


def test_the_position_is_read_from_the_head():
    assert position_of(BASE[:64]) == 4
    assert position_of(b"") == -1
    assert position_of(b"x" * 64) == -1


def test_a_journal_brings_back_its_steps():
    assert decode_journal(JOURNAL) == (7, STEPS, False, UNLIMITED, OWNER)


def test_steps_that_failed_fail_again():
    store = Store()
    take_steps_again(store, [Replayed(0, "a", None), SnapshotFinished(), *STEPS[:2]])
    assert store.image.objects.keys() == {b"/apisix/routes/1"}


@pytest.mark.parametrize("data", [b"", b"x" * 16, JOURNAL[:15], b"X" + JOURNAL[1:], JOURNAL[:7] + b"\7" + JOURNAL[8:]])
def test_a_journal_without_its_head_is_refused(data: bytes):
    with pytest.raises(BrokenStateError):
        decode_journal(data)


@seed(2)
@given(st.integers(16, len(JOURNAL)))
def test_a_torn_journal_gives_its_whole_steps(size: int):
    found = decode_journal(JOURNAL[:size])
    assert found.steps == STEPS[: len(found.steps)]
    is_head_only = size == JOURNAL_HEAD_BYTES
    assert found.is_torn != (
        is_head_only or JOURNAL[:size] == encode_journal_head(7, OWNER) + encode_steps(found.steps)
    )


def test_a_journal_without_a_limit_is_one_of_version_1():
    assert decode_journal(JOURNAL[:7] + b"\1" + JOURNAL[8:JOURNAL_HEAD_BYTES] + encode_steps(STEPS)) == (
        7,
        STEPS,
        False,
        UNLIMITED,
        None,
    )


def test_a_journal_says_what_limit_its_steps_were_judged_by():
    limit = RemovalLimit(0.5, 20)
    assert decode_journal(encode_journal_head(7, OWNER, limit) + encode_steps(STEPS)).removal == limit


@seed(2)
@settings(max_examples=200)
@given(st.integers(16, len(JOURNAL) - 1), st.integers(1, 255))
def test_a_damaged_journal_never_gives_a_damaged_step(at: int, change: int):
    damaged = bytearray(JOURNAL)
    damaged[at] ^= change
    found = decode_journal(bytes(damaged))
    assert found.is_torn
    assert found.steps == STEPS[: len(found.steps)]
