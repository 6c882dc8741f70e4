from __future__ import annotations

import pytest

from schemas import xds
from tests.translators.managed import managed
from translators.mappings.http_connection_manager.request_id import is_generated


def test_clients_see_the_id():
    found = managed({"always_set_request_id_in_response": True, "preserve_external_request_id": True})
    plugin = found.draft.plugins["request-id"]
    assert (plugin["include_in_response"], plugin["_meta"]["priority"], found.said) == (True, 22_000, [])


@pytest.mark.parametrize(
    ("data", "wanted"), [({}, True), ({"generate_request_id": True}, True), ({"generate_request_id": False}, False)]
)
def test_ids_are_made_unless_told_otherwise(data: dict[str, bool], wanted: bool):  # noqa: FBT001 - a test case
    assert is_generated(xds.from_json(data, xds.message_class(xds.HTTP_CONNECTION_MANAGER)())) is wanted
