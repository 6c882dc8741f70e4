from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiokafka import errors

from pipeline.log.kafka_membership import is_member


class Coordinator:
    """A member's side of a group whose coordinator gives one answer."""

    group_id, generation, member_id = "group", 3, "member"

    def __init__(self, error: type[errors.BrokerResponseError | errors.NoError]) -> None:
        self._answer = SimpleNamespace(error_code=error.errno)
        self.reset_count = 0

    async def _send_req(self, _request) -> SimpleNamespace:
        return self._answer

    def reset_generation(self) -> None:
        self.reset_count += 1


@pytest.mark.parametrize("error", [errors.NoError, errors.RebalanceInProgressError])
async def test_a_member_stays_one_while_its_group_rebalances(error):
    coordinator = Coordinator(error)
    assert await is_member(SimpleNamespace(_coordinator=coordinator))
    assert coordinator.reset_count == 0


@pytest.mark.parametrize("error", [errors.UnknownMemberIdError, errors.IllegalGenerationError])
async def test_who_was_replaced_joins_again(error):
    coordinator = Coordinator(error)
    assert not await is_member(SimpleNamespace(_coordinator=coordinator))
    assert coordinator.reset_count == 1


async def test_a_group_that_cannot_be_asked_gives_no_answer():
    with pytest.raises(errors.NotCoordinatorForGroupError, match="group"):
        await is_member(SimpleNamespace(_coordinator=Coordinator(errors.NotCoordinatorForGroupError)))
