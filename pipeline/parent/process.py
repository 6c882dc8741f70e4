"""The parent as a process: it forks children onto the sockets it holds, hears them, and passes signals on.

It accepts nothing and imports nothing but a few modules of the standard library. Each child has a channel, one end of
a socket pair: the child says on it what it would tell systemd, and learns from its closing that the parent is gone.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from pipeline.backoff import Backoff
from pipeline.notification import CHANNEL, FIRST_FD, PREDECESSOR, PREPARED, READY, STOPPING, send
from pipeline.parent.succession import (
    Begun,
    ChildEnded,
    ChildPrepared,
    ChildReady,
    DelayPassed,
    Exit,
    ReloadAsked,
    Say,
    StartChild,
    StopAsked,
    StopChild,
    Succession,
    WaitFor,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.parent.succession import Command, Event

BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 15.0
MAX_DRAIN_S = 10.0
"""A child that was asked to end and has not is killed: it may hold what its successor waits for."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def run(fds: Sequence[int], form: str, command: Sequence[str]) -> int:
    """Keep a child serving until a signal or its failure to start ends it.

    Args:
        fds: the listening sockets.
        form: of the log, `text` or `json`.
        command: of a child; it finds the sockets as systemd would pass them.

    Returns:
        The exit code.
    """
    return Parent(fds, form, command).run()


def _jitter() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Parent:
    """Does what the succession decides."""

    def __init__(self, fds: Sequence[int], form: str, command: Sequence[str]) -> None:
        self._fds = fds
        self._form = form
        self._command = list(command)
        self._succession = Succession(Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S, _jitter))
        self._channels: dict[int, socket.socket] = {}
        self._kill_at_s: dict[int, float] = {}
        self._due_s: float | None = None
        self._code: int | None = None
        self._notify_address = os.environ.pop("NOTIFY_SOCKET", "")
        self._woken, self._waker = socket.socketpair()

    def run(self) -> int:
        """Work until the succession exits."""
        for fd in self._fds:
            os.set_inheritable(fd, False)  # noqa: FBT003 - takes no name
        self._woken.settimeout(0)
        self._waker.settimeout(0)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)  # the wake-up descriptor tells which
        self._take(Begun())
        while self._code is None:
            self._turn()
        return self._code

    def _turn(self) -> None:
        """Wait for the next thing to happen and take it."""
        channels = {channel.fileno(): pid for pid, channel in self._channels.items()}
        poll = select.poll()
        for fd in (self._woken.fileno(), *channels):
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(self._timeout_ms()):
            if fd in channels:
                self._hear(channels[fd])
        self._take_signals()
        self._take_time()

    def _timeout_ms(self) -> int | None:
        times = [*self._kill_at_s.values(), *([] if self._due_s is None else [self._due_s])]
        return max(0, int((min(times) - time.monotonic()) * 1000) + 1) if times else None

    def _hear(self, pid: int) -> None:
        """Take what a child says; what concerns the service as a whole is passed on to systemd."""
        try:
            lines = self._channels[pid].recv(4096).decode("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        if not lines:
            self._channels.pop(pid).close()
            return
        if PREPARED in lines:
            self._take(ChildPrepared(pid))
        if READY in lines:
            self._take(ChildReady(pid))
        if pid == self._succession.current:
            self._tell_system([line for line in lines if line not in {PREPARED, STOPPING}])

    def _take_signals(self) -> None:
        try:
            numbers = self._woken.recv(256)
        except BlockingIOError:
            return
        self._reap()
        if signal.SIGHUP in numbers:
            self._take(ReloadAsked())
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._tell_system([STOPPING])
            self._take(StopAsked())

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self._channels:
                self._hear(pid)  # its last words
            if pid in self._channels:
                self._channels.pop(pid).close()
            self._kill_at_s.pop(pid, None)
            self._take(ChildEnded(pid, os.waitstatus_to_exitcode(status)))

    def _take_time(self) -> None:
        now_s = time.monotonic()
        for pid in [pid for pid, at_s in self._kill_at_s.items() if at_s <= now_s]:
            del self._kill_at_s[pid]
            self._say("WARNING", f"process {pid} did not end within {MAX_DRAIN_S:.0f} s and is killed")
            os.kill(pid, signal.SIGKILL)
        if self._due_s is not None and self._due_s <= now_s:
            self._due_s = None
            self._take(DelayPassed())

    def _take(self, event: Event) -> None:
        for command in self._succession.receive(event):
            self._execute(command)

    def _execute(self, command: Command) -> None:
        match command:
            case StartChild(has_predecessor):
                self._succession.started(self._start(has_predecessor=has_predecessor))
            case StopChild(pid):
                self._kill_at_s[pid] = time.monotonic() + MAX_DRAIN_S
                os.kill(pid, signal.SIGTERM)
            case WaitFor(delay_s):
                self._due_s = time.monotonic() + delay_s
            case Say(level, text):
                self._say(level, text)
            case Exit(code):
                self._code = code

    def _start(self, *, has_predecessor: bool) -> int:
        """Fork a child; it does nothing of ours but become the command."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                self._become(theirs.fileno(), has_predecessor=has_predecessor)
            except BaseException as error:  # noqa: BLE001 - a forked copy of the parent must never go on as one
                os.write(2, f"meshferry: {self._command[0]}: {error}\n".encode())
            finally:
                os._exit(127)
        theirs.close()
        ours.settimeout(0)
        self._channels[pid] = ours
        return pid

    def _become(self, channel_fd: int, *, has_predecessor: bool) -> None:
        """Lay the descriptors as systemd does, in a process group that a terminal's signals do not reach."""
        os.setpgid(0, 0)
        wanted = [os.dup(fd) for fd in (*self._fds, channel_fd)]
        low = FIRST_FD + len(wanted)
        wanted = [_above(fd, low) for fd in wanted]
        for position, fd in enumerate(wanted):
            os.dup2(fd, FIRST_FD + position, inheritable=True)
        os.environ.update(
            {
                "LISTEN_PID": str(os.getpid()),
                "LISTEN_FDS": str(len(self._fds)),
                CHANNEL: str(low - 1),
                PREDECESSOR: "1" if has_predecessor else "",
            }
        )
        os.environ.pop("LISTEN_FDNAMES", None)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(self._command[0], self._command, os.environ)  # noqa: S606 - no shell is wanted

    def _tell_system(self, lines: Sequence[str]) -> None:
        if lines and self._notify_address:
            send(self._notify_address, "\n".join(lines))

    def _say(self, level: str, text: str) -> None:
        clock = time.localtime()
        if self._form == "json":
            import json  # noqa: PLC0415 - rarely needed, and not small

            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", clock)
            line = json.dumps({"time": stamp, "level": level, "logger": "meshferry.parent", "message": text})
        else:
            line = f"{time.strftime('%H:%M:%S', clock)} {level:7} agent: {text}"
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _above(fd: int, low: int) -> int:
    """Give a copy of a descriptor that `dup2` onto the first ones cannot hit."""
    while fd < low:
        fd = os.dup(fd)
    return fd
