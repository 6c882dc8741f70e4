from __future__ import annotations

from agent.wire.wheel import SLOTS, Wheel


def test_a_member_is_due_once_a_turn_and_not_at_once():
    wheel: Wheel[str] = Wheel()
    wheel.add("a")
    wheel.turn()
    wheel.add("b")
    assert [wheel.turn() for _ in range(SLOTS)] == [()] * (SLOTS - 2) + [("a",), ("b",)]
    assert (len(wheel), set(wheel.members())) == (2, {"a", "b"})


def test_a_removed_member_is_never_due():
    wheel: Wheel[str] = Wheel()
    slot = wheel.add("a")
    wheel.turn()
    wheel.remove("a", slot)
    assert [wheel.turn() for _ in range(SLOTS)] == [()] * SLOTS
    assert len(wheel) == 0
