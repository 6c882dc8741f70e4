from __future__ import annotations

from itertools import product

import pytest

from producers.xds.delta import DeltaSession
from producers.xds.phase import Heard, Phase
from producers.xds.sotw import SotWSession

RESPONSES = (Heard.NOTHING_LESS, Heard.LESS, Heard.HEARTBEAT)


@pytest.fixture(params=[SotWSession, DeltaSession])
def phases(request):
    return request.param.phases


def test_every_response_to_what_was_asked_for_has_a_row(phases):
    assert {(phase, heard) for phase, heard in phases if heard in RESPONSES} == set(
        product(set(Phase) - {Phase.UNASKED}, RESPONSES)
    )


def test_a_type_is_asked_for_once_and_doubt_ends(phases):
    assert [phase for phase, heard in phases if heard is Heard.REQUESTED] == [Phase.UNASKED]
    assert phases[Phase.DOUBTED, Heard.CONFIRMED][0] is Phase.HEARD


def test_what_takes_something_away_is_never_taken_at_the_first_word(phases):
    assert phases[Phase.ASKED, Heard.LESS][0] is Phase.DOUBTED
    assert phases[Phase.ASKED, Heard.HEARTBEAT][0] is Phase.ASKED
