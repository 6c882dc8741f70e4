"""Who of a consumer group leads a topic: whoever led it last, as long as he is there.

aiokafka's sticky assignor keeps what it was assigned in its class, one for all consumers of a process, and does not
tell an old claim from a new one, so a member that was stopped for a while would be given the topic back. Here each
assignment carries the time it was made, a member claims the topic with the time of the assignment that gave it, and the
latest claim counts.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from pipeline.log.kafka_producer import PARTITION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION: Final = 0
"""Of the consumer protocol's metadata and assignment."""


class LeadAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
    """The assignor of one member; members of one group follow one topic."""

    name = "meshferry-lead"
    """In the group protocol; members with another one are refused by the broker."""

    def __init__(self) -> None:
        self._seen_ms = self._claim_ms = 0

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Claim what this member was assigned last; nothing when that was nothing."""
        stamps = b"%d %d" % (self._seen_ms, self._claim_ms)
        return ConsumerProtocolMemberMetadata(VERSION, sorted(topics), stamps)

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Remember what was assigned, and when."""
        self._seen_ms, _ = _stamps(assignment.user_data)
        self._claim_ms = self._seen_ms if assignment.assignment else 0

    def assign(
        self,
        cluster: object,  # noqa: ARG002 - a topic has one partition, so there is nothing to look up
        members: Mapping[str, ConsumerProtocolMemberMetadata],
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Give every topic to the member with the latest claim; without one, to the first by name."""
        stamps = {name: _stamps(member.user_data) for name, member in members.items()}
        latest_claim_ms = max(claim_ms for _, claim_ms in stamps.values())
        leader = min(name for name, (_, claim_ms) in stamps.items() if claim_ms == latest_claim_ms)
        # Later than what anybody has seen: the clocks of members may differ.
        now_ms = max(time.time_ns() // 1_000_000, *(seen_ms + 1 for seen_ms, _ in stamps.values()))
        stamp = b"%d" % now_ms
        topics = [(topic, [PARTITION]) for topic in members[leader].subscription]
        return {
            name: ConsumerProtocolMemberAssignment(VERSION, topics if name == leader else [], stamp) for name in members
        }


def _stamps(user_data: bytes | None) -> tuple[int, int]:
    """Read when the last assignment a member saw was made, and when the one that gave it the topic; 0 for none."""
    seen, _, claim = (user_data or b"").partition(b" ")
    return int(seen) if seen.isdigit() else 0, int(claim) if claim.isdigit() else 0
