from __future__ import annotations

from typing import TYPE_CHECKING

from agent.store.feed import WatchSpec
from agent.store.hub import Hub
from agent.store.store import Store
from agent.store.watcher import ChangesPublished, Event, SendLines
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import bundle, genesis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.store.delta import Change

ALL = WatchSpec(b"\0", b"\0")


class Member:
    def __init__(self) -> None:
        self.told: list[Event] = []

    def deliver(self, event: Event) -> None:
        self.told.append(event)


def test_members_of_a_spec_are_told_the_same_line_until_they_leave():
    rendered: list[int] = []

    def render(_: WatchSpec, changes: Sequence[Change]) -> bytes:
        rendered.append(len(changes))
        return b"line"

    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    hub, members = Hub(store, render), [Member(), Member()]
    for member in members:
        hub.join(ALL, member)
    other = Member()
    hub.join(WatchSpec(b"/elsewhere"), other)
    assert hub.watcher_count == 3
    hub.publish([store.replay(1, "a", bundle("a", 1, {"/routes/1": b"{}"}))])
    hub.leave(ALL, members[0])
    hub.publish([store.replay(2, "a", bundle("a", 2, {"/routes/1": b'{"a":1}'}))])
    assert [len(member.told) for member in (*members, other)] == [1, 2, 0]
    assert members[0].told == [ChangesPublished((SendLines(b"line"),))]
    assert rendered == [1, 1]
    hub.leave(ALL, members[1])
    assert hub.watcher_count == 1
