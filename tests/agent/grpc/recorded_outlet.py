"""A member with a state, and an outlet that keeps the frames that are sent to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.etcd.json_codec import Identity
from agent.etcd.member import Member
from agent.grpc.message import PREFIX_BYTES
from agent.store.store import Store
from schemas.etcd import message_class
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import bundle, genesis

if TYPE_CHECKING:
    from collections.abc import Callable

IDENTITY = Identity(1, 2)


def ready_member() -> Member:
    """A member at the revision after the genesis, with the route 1."""
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, "a", bundle("a", 1, {"/routes/1": b"{}"}))
    return Member(store, IDENTITY, "node", lambda: 0.0)


def split_frames(frames: bytes) -> list[bytes]:
    """Cut frames into their messages."""
    found = []
    while frames:
        end = PREFIX_BYTES + int.from_bytes(frames[1:PREFIX_BYTES])
        assert frames[0] == 0
        found.append(frames[PREFIX_BYTES:end])
        frames = frames[end:]
    return found


class RecordedOutlet:
    """Attributes say what a stream asked for."""

    def __init__(self) -> None:
        self.is_blocked = False
        self.frames: list[bytes] = []
        self.turns: list[Callable[[], None]] = []
        self.watch_count = 0
        self.max_watches = 10
        self.is_aborted = False

    def send(self, frames: bytes) -> None:
        self.frames.append(frames)

    def request_turn(self, call: Callable[[], None]) -> None:
        self.turns.append(call)

    def claim_watch(self) -> bool:
        self.watch_count += 1
        return self.watch_count <= self.max_watches

    def release_watch(self) -> None:
        self.watch_count -= 1

    def abort(self) -> None:
        self.is_aborted = True

    def take(self) -> list[Any]:
        """Give the responses since the last time."""
        data, self.frames = b"".join(self.frames), []
        return [message_class("WatchResponse").FromString(item) for item in split_frames(data)]
