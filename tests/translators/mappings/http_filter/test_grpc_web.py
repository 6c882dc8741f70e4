"""gRPC-Web is translated on routes to clusters, and only what Envoy would translate."""

from __future__ import annotations

import pytest

from tests.oracle.router import Request, holds
from tests.translators.route_parts import forwarded, http_filter, route_outcome

FILTERS = [http_filter(".grpc_web.v3.GrpcWeb")]


@pytest.mark.parametrize(
    ("method", "content_type", "is_translated"),
    [
        ("POST", "application/grpc-web", True),
        ("POST", "application/grpc-web-text+proto", True),
        ("POST", "application/grpc-web+thrift", False),
        ("POST", "application/grpc", False),
        ("GET", "application/grpc-web", False),
    ],
)
def test_only_requests_of_its_content_types_are_translated(method, content_type, is_translated):
    outcome = route_outcome(forwarded(), filters=FILTERS)
    condition = outcome.plugins["grpc-web"]["_meta"]["filter"]
    assert holds(condition, Request("h", "/", method, {"http_content_type": content_type})) is is_translated
    assert outcome.codes == ["HF-UNTRANSLATED"]


@pytest.mark.parametrize("route", [{"redirect": {"host_redirect": "b"}}, {"direct_response": {"status": 200}}])
def test_answers_are_left_alone(route):
    outcome = route_outcome(route, filters=FILTERS)
    assert "grpc-web" not in outcome.plugins
    assert outcome.codes == []
