from __future__ import annotations

import pytest

from tests.producers.xds.delta_dialogue import DeltaDialogue
from tests.producers.xds.dialogue import EXISTENCE_MS, Dialogue

VARIANTS = {"sotw": Dialogue, "delta": DeltaDialogue}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def dialogue(request):
    """A dialogue of either variant that has not begun."""
    return request.param()


@pytest.fixture
def settled(dialogue):
    """One that holds cluster a with its endpoints and listener l with routes r, and to which nothing is open."""
    return _settled(dialogue)


@pytest.fixture
def sotw():
    return _settled(Dialogue())


@pytest.fixture
def delta():
    return _settled(DeltaDialogue())


def _settled(dialogue):
    dialogue.settle()
    dialogue.expire(EXISTENCE_MS)
    dialogue.requests.clear()
    dialogue.told.clear()
    return dialogue
