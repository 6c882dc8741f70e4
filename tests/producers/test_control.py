from __future__ import annotations

from producers.control import Control
from schemas.codec import encode
from schemas.records import Approval, Held, HeldKind


def held(kind: HeldKind, count: int = 1) -> Held:
    return Held("fingerprint", kind, (), count, 10, 0, 1, "why")


def test_what_is_held_is_written_when_it_changes_and_taken_back_when_it_ends():
    control = Control()
    removals, emptied = held(HeldKind.REMOVALS), held(HeldKind.ENDPOINTS)
    assert control.hold([removals]) == {"held/removals": removals}
    assert control.hold([removals, emptied]) == {"held/endpoints": emptied}
    assert control.hold([held(HeldKind.REMOVALS, 2)]) == {
        "held/removals": held(HeldKind.REMOVALS, 2),
        "held/endpoints": None,
    }
    assert control.hold([held(HeldKind.REMOVALS, 2)]) == {}


def test_what_the_topic_holds_is_not_written_again():
    control, removals = Control(), held(HeldKind.REMOVALS)
    control.replay("held/removals", encode(removals))
    assert control.hold([removals]) == {}
    control.replay("held/removals", None)
    assert control.hold([removals]) == {"held/removals": removals}


def test_approvals_wait_in_their_order_until_they_are_taken_back():
    control = Control()
    for fingerprint in "ba":
        control.replay(f"approval/{fingerprint}", encode(Approval(fingerprint, "somebody", 1)))
    assert list(control.approvals) == ["b", "a"]
    control.replay("approval/b", None)
    control.replay("approval/unknown", None)
    assert list(control.approvals) == ["a"]


def test_records_of_a_newer_build_are_left_alone():
    control = Control()
    control.replay("approval/a", b"\xc3\x01newer...")
    control.replay("freeze", b"\xc3\x01newer...")
    assert (control.held, control.approvals) == ({}, {})
