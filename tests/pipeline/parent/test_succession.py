from __future__ import annotations

import signal
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backoff import Backoff
from pipeline.parent.succession import (
    Begun,
    ChildEnded,
    ChildPrepared,
    ChildReady,
    Command,
    DelayPassed,
    Event,
    Exit,
    ReloadAsked,
    Say,
    StartChild,
    StopAsked,
    StopChild,
    Succession,
    WaitFor,
)


class Playbook:
    """A succession whose children get the pids 1, 2, 3, …; what is only said is left out."""

    def __init__(self) -> None:
        self.succession = Succession(Backoff(1.0, 8.0, lambda: 1.0))
        self.said: list[str] = []
        self._pids = count(1)

    def __call__(self, event: Event) -> list[Command]:
        commands = self.succession.receive(event)
        for command in commands:
            if isinstance(command, StartChild):
                self.succession.started(next(self._pids))
            elif isinstance(command, Say):
                self.said.append(command.text)
        return [command for command in commands if not isinstance(command, Say)]


START, SUCCEED = StartChild(has_predecessor=False), StartChild(has_predecessor=True)


@pytest.fixture
def play() -> Playbook:
    """With a child, 1, that is not ready yet."""
    made = Playbook()
    assert made(Begun()) == [START]
    return made


@pytest.mark.parametrize("code", [1, 64, 69, 78])
def test_a_child_that_cannot_start_gives_its_exit_code(play: Playbook, code: int):
    assert play(ChildEnded(1, code)) == [Exit(code)]


def test_a_child_that_was_ready_is_replaced_at_once_however_often(play: Playbook):
    for pid in range(1, 20):
        play(ChildReady(pid))
        assert play(ChildEnded(pid, -signal.SIGKILL)) == [START]
    assert play.said[0] == "process 1 was killed by signal 9; another one is started, connections wait for it"


def test_children_that_die_again_and_again_before_they_are_ready_are_started_more_and_more_rarely(play: Playbook):
    play(ChildReady(1))
    assert play(ChildEnded(1, 1)) == [START]
    assert play(ChildEnded(2, 1)) == [START]
    for pid, delay_s in ((3, 1.0), (4, 2.0), (5, 4.0), (6, 8.0), (7, 8.0)):
        assert play(ChildEnded(pid, 1)) == [WaitFor(delay_s)]
        assert play(DelayPassed()) == [START]
    play(ChildReady(8))
    assert play(ChildEnded(8, 1)) == [START]


@pytest.mark.parametrize("code", [64, 78])
def test_a_configuration_error_is_never_tried_again(play: Playbook, code: int):
    play(ChildReady(1))
    assert play(ChildEnded(1, -signal.SIGSEGV)) == [START]
    assert play(ChildEnded(2, code)) == [Exit(code)]


def test_a_reload_asks_the_old_one_to_go_when_the_new_one_waits_for_it(play: Playbook):
    play(ChildReady(1))
    assert play(ReloadAsked()) == [SUCCEED]
    assert play(ChildPrepared(2)) == [StopChild(1)]
    assert play(ChildReady(2)) == []
    assert play(ChildEnded(1, 0)) == []
    assert play(ChildEnded(2, -signal.SIGKILL)) == [START]


def test_a_new_one_that_cannot_start_leaves_the_old_one(play: Playbook):
    play(ChildReady(1))
    play(ReloadAsked())
    assert play(ChildEnded(2, 78)) == []
    assert play.said == ["the new process ended with code 78 before it could take over; the old one goes on"]
    assert play(ChildEnded(1, 1)) == [START]


def test_a_new_one_takes_over_from_one_that_dies_meanwhile(play: Playbook):
    play(ChildReady(1))
    play(ReloadAsked())
    assert play(ChildEnded(1, -signal.SIGKILL)) == []
    assert play(ChildPrepared(2)) == []
    assert play(ChildReady(2)) == []
    assert play(ChildEnded(2, 1)) == [START]


def test_a_new_one_that_dies_after_the_old_one_was_asked_is_replaced_and_still_has_a_predecessor(play: Playbook):
    play(ChildReady(1))
    play(ReloadAsked())
    play(ChildPrepared(2))
    assert play(ChildEnded(2, -signal.SIGKILL)) == [SUCCEED]


def test_a_reload_during_a_reload_begins_it_anew(play: Playbook):
    play(ChildReady(1))
    play(ReloadAsked())
    assert play(ReloadAsked()) == [StopChild(2), SUCCEED]
    assert play(ChildPrepared(2)) == []
    assert play(ChildEnded(2, 0)) == []
    assert play(ChildPrepared(3)) == [StopChild(1)]


def test_a_reload_does_not_wait_for_the_delay_of_a_crash_loop(play: Playbook):
    play(ChildReady(1))
    for pid in (1, 2, 3):
        commands = play(ChildEnded(pid, 1))
    assert commands == [WaitFor(1.0)]
    assert play(ReloadAsked()) == [START]
    assert play(DelayPassed()) == []


def test_a_stop_ends_every_child_and_then_the_parent(play: Playbook):
    play(ChildReady(1))
    play(ReloadAsked())
    assert play(StopAsked()) == [StopChild(2), StopChild(1)]
    assert play(StopAsked()) == play(ReloadAsked()) == play(DelayPassed()) == []
    assert play(ChildEnded(1, 0)) == []
    assert play(ChildEnded(2, -signal.SIGTERM)) == [Exit(0)]


def test_a_stop_gives_the_code_of_a_child_that_ends_badly(play: Playbook):
    assert play(StopAsked()) == [StopChild(1)]
    assert play(ChildEnded(1, -signal.SIGKILL)) == [Exit(137)]


def test_a_stop_without_a_child_ends_at_once(play: Playbook):
    play(ChildReady(1))
    for pid in (1, 2, 3):
        play(ChildEnded(pid, 1))
    assert play(StopAsked()) == [Exit(0)]


@given(st.lists(st.tuples(st.sampled_from("prelds"), st.integers(1, 6), st.sampled_from([0, 1, -9, -15])), max_size=60))
def test_there_is_always_a_child_or_a_delay_and_after_a_stop_only_an_end(steps: list[tuple[str, int, int]]):
    play = Playbook()
    play(Begun())
    play(ChildReady(1))
    is_waiting = is_stopped = False
    alive = {1}
    next_pid = 2
    for kind, pid, code in steps:
        if kind in "pe" and pid not in alive:
            continue
        event = {
            "p": ChildPrepared(pid),
            "r": ReloadAsked(),
            "e": ChildEnded(pid, code),
            "l": ChildReady(pid),
            "d": DelayPassed(),
            "s": StopAsked(),
        }[kind]
        if kind == "d" and not is_waiting:
            continue
        is_waiting = is_waiting and kind != "d"
        is_stopped = is_stopped or kind == "s"
        if kind == "e":
            alive.discard(pid)
        for command in play(event):
            assert not (is_stopped and isinstance(command, StartChild | WaitFor))
            if isinstance(command, StartChild):
                alive.add(next_pid)
                next_pid += 1
            elif isinstance(command, StopChild):
                assert command.pid in alive
            elif isinstance(command, WaitFor):
                is_waiting = True
            elif isinstance(command, Exit):
                assert is_stopped
                assert not alive
                return
        assert alive or is_waiting
        succession = play.succession
        assert {pid for pid in (succession.current, succession.successor) if pid} | succession.retiring == alive
