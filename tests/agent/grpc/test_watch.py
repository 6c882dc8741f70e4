from __future__ import annotations

from typing import Any

import pytest

from agent.etcd.errors import EtcdError
from agent.grpc import watch as watch_module
from agent.grpc.watch import PROGRESS_BEATS, WatchStream, renderer, with_watch_id
from agent.store.hub import Hub
from agent.store.store import Store
from agent.store.watcher import MAX_MISSED_HEARTBEATS
from schemas.etcd import message_class
from tests.agent.grpc.recorded_outlet import IDENTITY, RecordedOutlet, ready_member, split_frames
from tests.agent.memory_log import CREATED_MS, bundle

R = CREATED_MS
ALL = {"key": b"/apisix/", "range_end": b"/apisix0"}


class Bed:
    """A stream on a member."""

    def __init__(self) -> None:
        self.store = ready_member().store
        self.hub = Hub(self.store, renderer(IDENTITY))
        self.outlet = RecordedOutlet()
        self.stream = WatchStream(self.hub, IDENTITY, self.outlet)
        self._offset = 1

    def create(self, **fields: Any) -> list[Any]:
        return self.ask(create_request=message_class("WatchCreateRequest")(**(ALL | fields)))

    def ask(self, **fields: Any) -> list[Any]:
        self.stream.take(message_class("WatchRequest")(**fields).SerializeToString())
        return self.outlet.take()

    def cancel(self, watch_id: int) -> list[Any]:
        return self.ask(cancel_request=message_class("WatchCancelRequest")(watch_id=watch_id))

    def progress(self) -> list[Any]:
        return self.ask(progress_request=message_class("WatchProgressRequest")())

    def change(self, *objects: dict[str, bytes] | None) -> list[Any]:
        changes = []
        for item in objects:
            self._offset += 1
            value = None if item is None else bundle("b", self._offset, item)
            changes.append(self.store.replay(self._offset, "b", value))
        self.hub.publish(changes)
        return self.outlet.take()

    def take_turns(self) -> list[Any]:
        while self.outlet.turns:
            self.outlet.turns.pop(0)()
        return self.outlet.take()


@pytest.fixture
def bed() -> Bed:
    return Bed()


def route(name: str = "2", value: bytes = b"{}") -> dict[str, bytes]:
    return {f"/routes/{name}": value}


def test_created_then_events(bed: Bed):
    (created,) = bed.create()
    assert (created.created, created.watch_id, created.header.revision, len(created.events)) == (True, 0, R + 1, 0)
    (told,) = bed.change(route(), None)
    assert (told.header.revision, told.header.cluster_id, told.watch_id) == (R + 3, 1, 0)
    put, delete = told.events
    assert (put.type, put.kv.key, put.kv.value, put.kv.mod_revision) == (0, b"/apisix/routes/2", b"{}", R + 2)
    assert (delete.type, delete.kv.key, delete.kv.value, delete.kv.mod_revision) == (1, put.kv.key, b"", R + 3)
    assert not delete.HasField("prev_kv")


def test_ids_are_given_from_0_and_may_be_chosen(bed: Bed):
    assert [bed.create(watch_id=asked)[0].watch_id for asked in (0, 1, 0, 7, 0)] == [0, 1, 2, 7, 3]
    assert bed.hub.watcher_count == 5


def test_every_watch_of_a_stream_is_told_under_its_own_id(bed: Bed):
    for watch_id in (0, 5, 1 << 40):
        bed.create(watch_id=watch_id)
    told = bed.change(route())
    assert {item.watch_id for item in told} == {0, 5, 1 << 40}
    assert len({tuple(event.kv.key for event in item.events) for item in told}) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"watch_id": 5}, "duplicate watch ID"), ({"key": b"b", "range_end": b"a"}, "watcher range is empty")],
)
def test_refusals_have_the_watch_id_minus_1(bed: Bed, fields: dict[str, Any], reason: str):
    bed.create(watch_id=5)
    (refused,) = bed.create(**fields)
    assert (refused.created, refused.canceled, refused.watch_id) == (True, True, -1)
    assert reason in refused.cancel_reason
    assert bed.outlet.watch_count == 1


def test_a_connection_has_only_so_many_watches(bed: Bed):
    bed.outlet.max_watches = 1
    bed.create()
    (refused,) = bed.create()
    assert (refused.canceled, refused.watch_id) == (True, -1)


def test_a_canceled_watch_is_confirmed_and_told_nothing_more(bed: Bed):
    bed.create()
    (canceled,) = bed.cancel(0)
    assert (canceled.canceled, canceled.watch_id, canceled.compact_revision) == (True, 0, 0)
    assert bed.cancel(0) == bed.change(route()) == []
    assert bed.outlet.watch_count == bed.hub.watcher_count == 0
    assert bed.create()[0].watch_id == 1


def test_filters_and_prev_kv(bed: Bed):
    bed.create(watch_id=1, filters=[0])
    bed.create(watch_id=2, filters=[1], prev_kv=True)
    bed.change(route())
    told = {item.watch_id: item for item in bed.change(route(value=b'{"a":1}'), None)}
    assert [event.type for event in told[1].events] == [1]
    (put,) = told[2].events
    assert (put.kv.value, put.prev_kv.value, put.prev_kv.mod_revision) == (b'{"a":1}', b"{}", R + 2)


def test_a_start_that_is_gone_is_compacted_and_one_to_come_is_waited_for(bed: Bed):
    created, compacted = bed.create(start_revision=1)
    assert created.created
    assert (compacted.canceled, compacted.compact_revision, compacted.header.revision) == (True, R + 2, 0)
    assert bed.hub.watcher_count == 0
    (created,) = bed.create(start_revision=R + 3, watch_id=9)
    assert bed.change(route()) == []
    assert bed.change(route(value=b'{"a":1}')) == []
    (told,) = bed.take_turns()
    assert [event.kv.mod_revision for event in told.events] == [R + 3]


def test_catch_up_comes_right_behind_created(bed: Bed):
    bed.change(route())
    created, told = bed.create(start_revision=R + 2, watch_id=3)
    assert (created.created, told.watch_id, told.events[0].kv.mod_revision) == (True, 3, R + 2)


def test_progress_is_told_when_asked_and_when_nothing_happens(bed: Bed):
    bed.create(progress_notify=True)
    (progress,) = bed.progress()
    assert (progress.watch_id, progress.header.revision, len(progress.events)) == (-1, R + 1, 0)
    for _ in range(PROGRESS_BEATS - 1):
        bed.stream.beat()
    assert bed.outlet.take() == []
    bed.stream.beat()
    (progress,) = bed.outlet.take()
    assert (progress.watch_id, progress.header.revision) == (0, R + 1)


def test_progress_waits_until_every_watch_has_been_told(bed: Bed):
    bed.create()
    bed.outlet.is_blocked = True
    bed.stream.block()
    assert bed.progress() == bed.change(route()) == []
    bed.outlet.is_blocked = False
    bed.stream.unblock()
    told, progress = bed.outlet.take()
    assert (len(told.events), progress.watch_id, progress.header.revision) == (1, -1, R + 2)


def test_a_stream_that_is_blocked_again_leaves_the_other_watches_waiting(bed: Bed):
    for watch_id in (1, 2):
        bed.create(watch_id=watch_id)
    bed.stream.block()
    bed.change(route())
    bed.outlet.is_blocked = True
    bed.stream.unblock()
    assert bed.outlet.take() == []
    bed.outlet.is_blocked = False
    bed.stream.unblock()
    assert [told.watch_id for told in bed.outlet.take()] == [1, 2]


def test_a_stream_that_takes_nothing_is_closed(bed: Bed):
    bed.create()
    bed.stream.block()
    for _ in range(MAX_MISSED_HEARTBEATS):
        assert not bed.outlet.is_aborted
        bed.stream.beat()
    assert bed.outlet.is_aborted


def test_a_stream_that_ends_frees_its_watches(bed: Bed):
    bed.create()
    bed.create()
    bed.stream.close()
    assert bed.outlet.watch_count == bed.hub.watcher_count == 0


def test_one_revision_that_is_too_large_comes_in_fragments_if_they_are_wanted(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watch_module, "MAX_FRAGMENT_BYTES", 100)
    bed.create(watch_id=1)
    bed.create(watch_id=2, fragment=True)
    told = bed.change({f"/routes/{number}": b'{"a":"%b"}' % (b"x" * 40) for number in range(5)})
    whole = [item for item in told if item.watch_id == 1]
    parts = [item for item in told if item.watch_id == 2]
    assert [len(item.events) for item in whole] == [5]
    assert len(parts) > 1
    assert [item.fragment for item in parts] == [True] * (len(parts) - 1) + [False]
    assert [event for item in parts for event in item.events] == list(whole[0].events)
    assert {item.header.revision for item in parts} == {R + 2}


@pytest.mark.parametrize("watch_id", [1, 127, 128, (1 << 63) - 1, -5])
def test_an_id_is_a_field_that_follows(watch_id: int):
    response = message_class("WatchResponse")
    data = response(created=True).SerializeToString()
    frames = b"\0" + len(data).to_bytes(4) + data
    found = [response.FromString(item) for item in split_frames(with_watch_id(frames * 2, watch_id))]
    assert [(item.watch_id, item.created) for item in found] == [(watch_id, True)] * 2


def test_nothing_is_watched_before_there_is_a_state_and_what_cannot_be_read_is_refused(bed: Bed):
    with pytest.raises(EtcdError, match="error unmarshalling"):
        bed.stream.take(b"\xff")
    bed.hub.store = Store()
    with pytest.raises(EtcdError, match="no state yet"):
        bed.create()
    assert bed.ask() == []
