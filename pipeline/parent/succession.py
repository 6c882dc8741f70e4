"""Who serves, who comes next, who drains: events in, commands out; no process, no clock, no signal.

A child is PREPARED once it only waits for what its predecessor holds, and READY once it accepts connections.
See etcd-contract.md section 12 item 1 and docs/agent.md.
"""

from __future__ import annotations

from signal import SIGTERM
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.backoff import Backoff

FINAL_CODES = frozenset({64, 78})
"""Usage and bad configuration: trying again cannot help (pipeline/cli/exit_code.py)."""


class Begun(NamedTuple):
    """The parent is set up."""


class ChildPrepared(NamedTuple):
    """A child waits for its predecessor to let go."""

    pid: int


class ChildReady(NamedTuple):
    """A child serves."""

    pid: int


class ChildEnded(NamedTuple):
    """A child is gone; a negative code is the signal that killed it."""

    pid: int
    code: int


class ReloadAsked(NamedTuple):
    """Another child is to take over, with the settings and the code as they are now."""


class StopAsked(NamedTuple):
    """Everything is to end."""


class DelayPassed(NamedTuple):
    """The time of a `WaitFor` is over."""


class StartChild(NamedTuple):
    """Start a child; the pid it gets is returned to `started`."""

    has_predecessor: bool


class StopChild(NamedTuple):
    """Ask a child to end, and kill it if it does not."""

    pid: int


class WaitFor(NamedTuple):
    """Come back with `DelayPassed`."""

    delay_s: float


class Say(NamedTuple):
    """Tell the operator."""

    level: str
    text: str


class Exit(NamedTuple):
    """End the parent."""

    code: int


Event = Begun | ChildPrepared | ChildReady | ChildEnded | ReloadAsked | StopAsked | DelayPassed
Command = StartChild | StopChild | WaitFor | Say | Exit


class Succession:
    """The children of one parent.

    Args:
        backoff: delays between attempts of a child that dies again and again before it was ready.

    Attributes:
        current: the child that serves or is to serve; 0 when there is none.
        successor: the child that is to take over; 0 when there is none.
        retiring: children that were asked to end.
    """

    def __init__(self, backoff: Backoff) -> None:
        self.current = 0
        self.successor = 0
        self.retiring: set[int] = set()
        self._backoff = backoff
        self._is_ready = False
        self._has_served = False
        self._early_death_count = 0
        self._is_stopping = False
        self._code = 0

    def started(self, pid: int) -> None:
        """Take in the child that a `StartChild` has led to."""
        if self.current:
            self.successor = pid
        else:
            self.current, self._is_ready = pid, False

    def receive(self, event: Event) -> list[Command]:
        """Take an event; returns what to do, in order."""
        actions: dict[type, Callable[..., list[Command]]] = {
            Begun: self._begin,
            ChildPrepared: self._succeed,
            ChildReady: self._take_ready,
            ChildEnded: self._take_end,
            ReloadAsked: self._reload,
            StopAsked: self._stop,
            DelayPassed: self._begin,
        }
        return actions[type(event)](event)

    def _begin(self, _: Begun | DelayPassed) -> list[Command]:
        if self.current or self._is_stopping:
            return []
        return [StartChild(has_predecessor=bool(self.retiring))]

    def _reload(self, _: ReloadAsked) -> list[Command]:
        """Begin a handover; one that is under way begins anew, for it may have read what was there before."""
        if self._is_stopping:
            return []
        commands: list[Command] = []
        if self.successor:
            commands.append(self._retire(self.successor))
            self.successor = 0
        return [*commands, StartChild(has_predecessor=bool(self.current or self.retiring))]

    def _succeed(self, event: ChildPrepared) -> list[Command]:
        if event.pid != self.successor:
            return []
        retired = self._retire(self.current)
        self.current, self.successor, self._is_ready = event.pid, 0, False
        return [retired]

    def _take_ready(self, event: ChildReady) -> list[Command]:
        if event.pid == self.current and not self._is_ready:
            self._is_ready = self._has_served = True
            self._early_death_count = 0
            self._backoff.reset()
        return []

    def _take_end(self, event: ChildEnded) -> list[Command]:
        pid, code = event
        if pid in self.retiring:
            self.retiring.discard(pid)
            if self._is_stopping:
                self._code = self._code or _exit_code(code)
            return self._end_if_alone()
        if pid == self.successor:
            self.successor = 0
            return [Say("ERROR", f"the new process {_how(code)} before it could take over; the old one goes on")]
        if pid != self.current:
            return []
        was_ready, self.current = self._is_ready, 0
        if self.successor:  # it was to take over from one that is gone now
            self.current, self.successor, self._is_ready = self.successor, 0, False
            return [Say("WARNING", f"process {pid} {_how(code)}; the new one takes over")]
        return self._restart(pid, code, was_ready=was_ready)

    def _restart(self, pid: int, code: int, *, was_ready: bool) -> list[Command]:
        if not was_ready and (code in FINAL_CODES or (code >= 0 and not self._has_served)):
            return [Exit(code)]
        said = Say("WARNING", f"process {pid} {_how(code)}; another one is started, connections wait for it")
        self._early_death_count = 0 if was_ready else self._early_death_count + 1
        if self._early_death_count <= 1:
            return [said, StartChild(has_predecessor=bool(self.retiring))]
        return [said, WaitFor(self._backoff.next_s())]

    def _stop(self, _: StopAsked) -> list[Command]:
        if self._is_stopping:
            return []
        self._is_stopping = True
        stopped: list[Command] = [self._retire(pid) for pid in (self.successor, self.current) if pid]
        self.current = self.successor = 0
        return [*stopped, *self._end_if_alone()]

    def _retire(self, pid: int) -> StopChild:
        self.retiring.add(pid)
        return StopChild(pid)

    def _end_if_alone(self) -> list[Command]:
        return [Exit(self._code)] if self._is_stopping and not self.retiring else []


def _how(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def _exit_code(code: int) -> int:
    """Give the parent's own code for that of a child it has stopped: a shell's for one that had to be killed."""
    if code == -SIGTERM:
        return 0  # it was asked before it could listen
    return code if code >= 0 else 128 - code
