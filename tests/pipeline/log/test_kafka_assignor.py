from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from pipeline.log.kafka_assignor import LeadAssignor

if TYPE_CHECKING:
    import pytest


def joined(members: dict[str, LeadAssignor]) -> list[str]:
    """Let members rejoin the group, over the wire format, and tell who was assigned the topic."""
    claims = {
        name: ConsumerProtocolMemberMetadata.decode(member.metadata({"t"}).encode()) for name, member in members.items()
    }
    leading = []
    for name, assignment in next(iter(members.values())).assign(None, claims).items():
        decoded = ConsumerProtocolMemberAssignment.decode(assignment.encode())
        members[name].on_assignment(decoded)
        if decoded.partitions():
            leading.append(name)
    return leading


def test_the_first_of_new_members_leads():
    assert joined({"b": LeadAssignor(), "a": LeadAssignor()}) == ["a"]


def test_who_leads_goes_on_leading_whoever_joins():
    members = {"m": LeadAssignor()}
    assert joined(members) == ["m"]
    for newcomer in ("a", "z", "b"):
        members[newcomer] = LeadAssignor()
        assert joined(members) == ["m"]


def test_the_lead_passes_to_another_when_the_leader_is_gone():
    members = {name: LeadAssignor() for name in "abc"}
    assert joined(members) == ["a"]
    members.pop("a")
    assert joined(members) == ["b"]


def test_who_comes_back_with_an_old_claim_stands_by():
    old = LeadAssignor()
    members = {"a": old, "b": LeadAssignor()}
    assert joined(members) == ["a"]
    members.pop("a")
    assert joined(members) == ["b"]
    members["a"] = old
    assert joined(members) == ["b"]
    assert joined(members) == ["b"]


def test_clocks_that_differ_do_not_make_an_old_claim_a_late_one(monkeypatch: pytest.MonkeyPatch):
    members = {"a": LeadAssignor(), "b": LeadAssignor()}
    for clock_ms in (2000, 1000, 500):
        monkeypatch.setattr("pipeline.log.kafka_assignor.time.time_ns", lambda clock_ms=clock_ms: clock_ms * 1_000_000)
        assert joined(members) == ["a"]
    old = members.pop("a")
    assert joined(members) == ["b"]
    assert joined({"a": old, **members}) == ["b"]


def test_an_old_claim_is_older_than_that_of_a_group_that_began_anew(monkeypatch: pytest.MonkeyPatch):
    old, new = LeadAssignor(), LeadAssignor()
    joined({"a": old})
    later_ns = time.time_ns() + 2_000_000
    monkeypatch.setattr("pipeline.log.kafka_assignor.time.time_ns", lambda: later_ns)
    joined({"b": new})
    assert joined({"a": old, "b": new}) == ["b"]


def test_members_of_other_kinds_have_no_claim():
    claims = {
        "a": ConsumerProtocolMemberMetadata(0, ["t"], b"\x00\x01sticky"),
        "b": ConsumerProtocolMemberMetadata(0, ["t"], b"17 17"),
        "c": ConsumerProtocolMemberMetadata(0, ["t"], None),
    }
    assignments = LeadAssignor().assign(None, claims)
    assert [name for name, assignment in assignments.items() if assignment.assignment] == ["b"]
