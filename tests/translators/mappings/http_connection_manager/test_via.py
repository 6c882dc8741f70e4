from __future__ import annotations

from tests.translators.managed import managed
from translators.header_step import APPEND


def test_both_directions_are_appended_to():
    found = managed({"via": "1.1 edge"})
    assert found.draft.request == found.draft.response
    assert [mutation.action for step in found.draft.request for mutation in step.mutations] == [APPEND]
