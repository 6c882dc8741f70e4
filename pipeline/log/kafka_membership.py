"""Asking a group whether a consumer is still a member of it; aiokafka asks by itself, but tells nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.errors import (
    IllegalGenerationError,
    NoError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.group import HeartbeatRequest

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer


async def is_member(consumer: AIOKafkaConsumer) -> bool:
    """Send a heartbeat of a consumer that has joined a group.

    Returns:
        True while what it was assigned last is in force: while a group rebalances nobody else has got it yet. After
        False the consumer joins again, and is assigned something.

    Raises:
        KafkaError: the group could not be asked.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - the public interface has no heartbeat
    request = HeartbeatRequest(coordinator.group_id, coordinator.generation, coordinator.member_id)
    answer = await coordinator._send_req(request)  # noqa: SLF001 - as above
    error = for_code(answer.error_code)
    if error in (NoError, RebalanceInProgressError):
        return True
    if error in (IllegalGenerationError, UnknownMemberIdError):
        coordinator.reset_generation()
        return False
    raise error(coordinator.group_id)
