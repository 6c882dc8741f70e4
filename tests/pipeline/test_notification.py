from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pipeline.notification import CHANNEL, PREDECESSOR, READY, Notifier, forget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def system(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(5)
        yield made


def test_systemd_is_told_at_its_path(system: socket.socket):
    notifier = Notifier({"NOTIFY_SOCKET": system.getsockname()}, 7)
    notifier.tell(READY, "STATUS=serving")
    assert system.recv(100) == b"READY=1\nSTATUS=serving"


def test_systemd_is_told_at_its_abstract_name():
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as made:
        made.bind(f"\0meshferry-test-{os.getpid()}")
        made.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@meshferry-test-{os.getpid()}"}, 7).tell(READY)
        assert made.recv(100) == b"READY=1"


def test_nobody_to_tell_and_one_that_is_gone_are_no_failure(tmp_path: Path):
    Notifier({}, 7).tell(READY)
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, 7).tell(READY)


def test_a_parent_is_told_instead_of_systemd(system: socket.socket):
    ours, theirs = socket.socketpair()
    environment = {CHANNEL: str(theirs.detach()), PREDECESSOR: "1", "NOTIFY_SOCKET": system.getsockname()}
    notifier = Notifier(environment, 7)
    assert notifier.channel is not None
    with closing(ours), closing(notifier.channel):
        assert notifier.has_predecessor
        notifier.tell(READY)
        assert ours.recv(100) == b"READY=1\n"
        ours.close()
        notifier.tell(READY)  # nobody hears it
    system.settimeout(0)
    with pytest.raises(BlockingIOError):
        system.recv(100)


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon", "WATCHDOG_PID": "7"}, 0.0),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(environment: dict[str, str], watchdog_s: float):
    assert Notifier(environment, 7).watchdog_s == watchdog_s


def test_what_is_meant_for_this_process_is_forgotten(monkeypatch: pytest.MonkeyPatch):
    for name in ("NOTIFY_SOCKET", CHANNEL, "LISTEN_FDS", "KEPT"):
        monkeypatch.setenv(name, "x")
    forget(("LISTEN_FDS", "LISTEN_PID"))
    assert [name for name in ("NOTIFY_SOCKET", CHANNEL, "LISTEN_FDS", "KEPT") if name in os.environ] == ["KEPT"]
