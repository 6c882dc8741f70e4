from __future__ import annotations

from tests.translators.managed import managed


def test_a_name_is_written_last():
    found = managed({"server_name": "edge", "via": "v"})
    names = [mutation.name for step in found.draft.response for mutation in step.mutations]
    assert (names, found.said) == (["via", "server"], [])


def test_the_upstreams_name_never_passes():
    found = managed({"server_name": "edge", "server_header_transformation": "PASS_THROUGH"})
    assert found.draft.response == []
    assert found.said == [("HCM-CODEC", "server_header_transformation")]
