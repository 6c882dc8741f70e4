"""Random dialogues with a control plane that errs in every way it can; the watcher holds the session to its laws."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.producers.xds.plane import Plan, Plane
from tests.producers.xds.watcher import Watcher

DIALOGUES = 5_000


@pytest.mark.parametrize("variant", ["sotw", "delta"])
@settings(max_examples=DIALOGUES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(min_size=20, max_size=60), st.integers(0, 2))
def test_a_session_outlives_every_control_plane_and_agrees_with_it_in_the_end(variant, data, way):
    plane = Plane(Watcher(variant), Plan(data))
    plane.play()
    plane.settle(way)
    plane.assert_agreed()
