from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.etcd.json_codec import Identity
from agent.store.feed import MAX_SLICE_BYTES, WatchSpec
from agent.store.store import Store
from agent.store.watcher import ChangesPublished, Event, SendLines
from agent.wire.front import Front, Readiness
from agent.wire.request import Request
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis
from tests.conformance.watch_client import parse_line

if TYPE_CHECKING:
    from agent.store.delta import Change
    from tests.conformance.validators import Line

ALL = WatchSpec(b"\0", b"\0")


class Member:
    def __init__(self) -> None:
        self.told: list[bytes] = []

    def deliver(self, event: Event) -> None:
        assert isinstance(event, ChangesPublished)
        (command,) = event.commands
        assert isinstance(command, SendLines)
        self.told.append(command.lines)

    def beat(self) -> None: ...

    def abort(self) -> None: ...


def get(path: bytes) -> Request:
    return Request(b"GET", path, b"", is_keep_alive=True, is_old=False)


@pytest.fixture
def front() -> Front:
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    return Front(store, Identity(1, 2), lambda: Readiness(is_ready=False, reason="no state yet"))


def test_watchers_of_one_spec_share_their_lines(front: Front):
    members = [Member(), Member()]
    assert front.join(ALL, members[0]) is front.join(ALL, members[1])
    change = front.store.replay(1, "a", bundle("a", 1, {"/routes/1": b"{}"}))
    front.publish([change])
    assert members[0].told[0] is members[1].told[0]
    assert members[0].told[0].endswith(b"}\n\r\n")


def replay(front: Front, first: int, *values: bytes | None) -> list[Change]:
    """One record for each value, each of its own unit; None is the tombstone of the unit before it."""
    return [
        front.store.replay(at, f"{at}", bundle(f"{at}", at, {f"/routes/{at}": value}))
        if value is not None
        else front.store.replay(at, f"{at - 1}", None)
        for at, value in enumerate(values, first)
    ]


def parsed(delivery: bytes) -> Line:
    """Read a delivery as the one chunk with the one line it must be."""
    size, _, rest = delivery.partition(b"\r\n")
    assert rest.endswith(b"\n\r\n")
    assert len(rest) == int(size, 16) + 2
    return parse_line(rest[:-2])


def test_what_is_published_together_is_one_line_with_the_last_revision(front: Front):
    member = Member()
    front.join(ALL, member)
    front.publish(replay(front, 1, b"{}", b"{}", None, b"{}"))
    (line,) = map(parsed, member.told)
    assert line.header_revision == CREATED_MS + 4
    assert [(event.key[-1:], event.value, event.mod_revision - CREATED_MS) for event in line.events] == [
        (b"1", b"{}", 1),
        (b"2", b"{}", 2),
        (b"2", None, 3),
        (b"4", b"{}", 4),
    ]


def test_every_publication_is_a_line_of_its_own(front: Front):
    member = Member()
    front.join(ALL, member)
    front.publish(replay(front, 1, b"{}", b"{}"))
    front.publish(replay(front, 3, b"{}"))
    assert [parsed(told).header_revision - CREATED_MS for told in member.told] == [2, 3]


def test_a_large_publication_is_cut_between_revisions(front: Front):
    member = Member()
    feed = front.join(ALL, member)
    big = b'{"a":"%b"}' % (b"x" * (MAX_SLICE_BYTES // 2))
    front.publish(replay(front, 1, big, big, big, b"{}"))
    lines = [parsed(told) for told in member.told]
    assert [[event.mod_revision - CREATED_MS for event in line.events] for line in lines] == [[1, 2], [3, 4]]
    assert [line.header_revision - CREATED_MS for line in lines] == [2, 4]
    assert feed.next_revision == CREATED_MS + 5


def test_a_watcher_is_told_only_of_its_range_and_with_its_own_last_revision(front: Front):
    member = Member()
    front.join(WatchSpec(b"/apisix/routes/1"), member)
    front.publish(replay(front, 1, b"{}", b"{}"))
    (line,) = map(parsed, member.told)
    assert (line.header_revision, [event.key for event in line.events]) == (CREATED_MS + 1, [b"/apisix/routes/1"])
    front.publish(replay(front, 3, b"{}"))
    assert len(member.told) == 1


def test_a_publication_without_changes_moves_the_feed_on(front: Front):
    feed = front.join(ALL, Member())
    front.store.replay(1, "a", None)
    front.publish([])
    assert feed.next_revision == front.store.revision + 1


def test_a_feed_goes_with_its_last_watcher(front: Front):
    one, two = Member(), Member()
    feed = front.join(ALL, one)
    front.join(ALL, two)
    assert front.watcher_count == 2
    front.leave(ALL, one)
    assert front.join(ALL, one) is feed
    front.leave(ALL, one)
    front.leave(ALL, two)
    assert front.watcher_count == 0
    assert front.join(ALL, one) is not feed


def test_health_says_why_not(front: Front):
    assert front.answer(get(b"/health")).body == b'{"health":"false","reason":"no state yet"}'
    assert front.answer(get(b"/readyz")).status == 503
    assert front.answer(get(b"/livez")).status == 200
