from __future__ import annotations

import pytest

from agent.etcd.json_codec import Identity
from agent.store.feed import WatchSpec
from agent.store.store import Store
from agent.store.watcher import ChangesPublished, Event, SendLines
from agent.wire.front import Front, Readiness
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import bundle, genesis

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


def test_changes_of_one_turn_are_one_delivery_with_a_line_each(front: Front):
    member = Member()
    front.join(ALL, member)
    front.publish(
        [front.store.replay(at, f"{at}", bundle(f"{at}", at, {f"/routes/{at}": b"{}"})) for at in range(1, 4)]
    )
    assert [told.count(b'"events"') for told in member.told] == [3]


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
    assert front.answer(b"GET", b"/health", b"").body == b'{"health":"false","reason":"no state yet"}'
    assert front.answer(b"GET", b"/readyz", b"").status == 503
    assert front.answer(b"GET", b"/livez", b"").status == 200
