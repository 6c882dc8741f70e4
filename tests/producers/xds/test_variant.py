from __future__ import annotations

import pytest

from producers.xds.command import SendRequest
from producers.xds.event import StreamOpened
from producers.xds.node import build_node
from producers.xds.variant import VARIANTS
from schemas import xds


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_session_of_each_variant_begins_with_its_request(variant):
    service, method = variant.method.strip("/").rsplit("/", 1)
    assert service == "envoy.service.discovery.v3.AggregatedDiscoveryService"
    assert method.removesuffix("AggregatedResources") in ("Stream", "Delta")
    request = variant.response.replace("Response", "Request")
    assert {"type_url", "response_nonce", "error_detail"} <= fields(request)
    assert {"type_url", "nonce", "resources"} <= fields(variant.response)
    commands = variant.session(build_node("n", "1.0"), "cp").receive(StreamOpened())
    first = next(command.request for command in commands if isinstance(command, SendRequest))
    assert first.DESCRIPTOR.full_name == request


def fields(full_name):
    return {field.name for field in xds.message_class(full_name).DESCRIPTOR.fields}
