from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.wire.listening_socket import ListenError, is_passed, listen, passed_sockets

ROOT = Path(__file__).parents[3]
TAKE = """
import os, sys
from agent.wire.listening_socket import ListenError, passed_sockets
copies = [os.dup(int(fd)) for fd in sys.argv[1].split(",")]
for place, copy in enumerate(copies):
    os.dup2(copy, 3 + place)
os.environ.update(LISTEN_PID=str(os.getpid()), **dict(pair.split("=") for pair in sys.argv[2:]))
try:
    for found in passed_sockets(os.environ, os.getpid()):
        print(found.getsockname()[1], found.get_inheritable(), found.getblocking())
except ListenError as error:
    print(error)
"""


def taken(*held: socket.socket, **environment: str) -> list[str]:
    """What a process says that got these sockets from descriptor 3 on."""
    fds = [one.fileno() for one in held]
    arguments = [",".join(map(str, fds)), *(f"{name}={value}" for name, value in environment.items())]
    command = [sys.executable, "-c", TAKE, *arguments]
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, pass_fds=fds)
    return found.stdout.splitlines()


@pytest.fixture
def two():
    with closing(socket.create_server(("127.0.0.1", 0))) as one, closing(socket.create_server(("127.0.0.1", 0))) as two:
        yield one, two


def port(held: socket.socket) -> int:
    return held.getsockname()[1]


def test_all_sockets_are_taken_without_names(two):
    assert taken(*two, LISTEN_FDS="2") == [f"{port(one)} False False" for one in two]


def test_the_socket_named_etcd_is_taken_and_no_other(two):
    assert taken(*two, LISTEN_FDS="2", LISTEN_FDNAMES="metrics:etcd") == [f"{port(two[1])} False False"]


def test_names_that_say_nothing_take_all(two):
    assert len(taken(*two, LISTEN_FDS="2", LISTEN_FDNAMES="unknown:unknown")) == 2


def test_a_socket_that_does_not_listen_is_refused():
    with closing(socket.socket()) as deaf:
        (said,) = taken(deaf, LISTEN_FDS="1")
    assert said.startswith(
        "LISTEN_FDS: descriptor 3 is not a listening TCP socket; give the socket unit `ListenStream="
    )


def test_a_unix_socket_is_refused(tmp_path):
    with closing(socket.socket(socket.AF_UNIX)) as local:
        local.bind(str(tmp_path / "socket"))
        local.listen()
        assert "descriptor 3 is not a listening TCP socket" in taken(local, LISTEN_FDS="1")[0]


def test_a_descriptor_that_is_no_socket_is_refused():
    reader, writer = os.pipe()
    os.close(writer)
    with closing(os.fdopen(reader)) as pipe:
        (said,) = taken(pipe, LISTEN_FDS="1")
    assert said == "LISTEN_FDS: descriptor 3 is no socket: Socket operation on non-socket"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"LISTEN_FDS": "one"}, "LISTEN_FDS=one: not a number of descriptors"),
        ({"LISTEN_FDS": "-1"}, "LISTEN_FDS=-1: not a number of descriptors"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "etcd"}, "LISTEN_FDNAMES=etcd: 1 names for 2 descriptors"),
    ],
)
def test_variables_that_make_no_sense_are_named(environment, message):
    with pytest.raises(ListenError, match=re.escape(message)):
        passed_sockets({"LISTEN_PID": "7", **environment}, 7)


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "8", "LISTEN_FDS": "1"}, {"LISTEN_PID": "7", "LISTEN_FDS": "0"}],
)
def test_sockets_for_nobody_or_another_process_are_left_alone(environment):
    assert not is_passed(environment, 7)
    assert passed_sockets(environment, 7) == []


def test_an_own_socket_listens_on_every_address_of_a_name():
    held = listen("", 0)
    assert {one.family for one in held} <= {socket.AF_INET, socket.AF_INET6}
    assert all(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for one in held)
    for one in held:
        one.close()


def test_an_address_that_is_taken_or_unknown_is_refused_with_a_remedy(two):
    with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port(two[0])}: Address already in use: choose"):
        listen("127.0.0.1", port(two[0]))
    with pytest.raises(ListenError, match=r"cannot listen on no.such.host.invalid:1: .*: choose another address"):
        listen("no.such.host.invalid", 1)
