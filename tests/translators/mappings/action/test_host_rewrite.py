from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import forwarded, route_outcome


@pytest.mark.parametrize("literal", ["a.com", "a.com:8080", "10.0.0.1"])
def test_a_literal_is_written_by_the_plugin(literal: str):
    outcome = route_outcome(forwarded(host_rewrite_literal=literal))
    # Only the path is not rewritten, so it must pass as it came.
    assert outcome.plugins == {"proxy-rewrite": {"host": literal, "use_real_request_uri_unsafe": True}}


@pytest.mark.parametrize("literal", ["under_score", "[::1]:80"])
def test_what_the_plugin_refuses_is_written_by_the_upstream(literal: str):
    outcome = route_outcome(forwarded(host_rewrite_literal=literal))
    assert (outcome.plugins, outcome.codes) == ({}, [])
    assert outcome.only.fields["upstream_id"] != route_outcome(forwarded()).only.fields["upstream_id"]


def test_what_nobody_can_write_is_said():
    outcome = route_outcome(forwarded(host_rewrite_literal="ä/b"))
    assert (outcome.plugins, outcome.codes) == ({}, ["RA-HOST"])


@pytest.mark.parametrize(
    "rewrite",
    [
        {"host_rewrite_header": "x-host"},
        {"host_rewrite_path_regex": {"pattern": {"regex": "^/(.+)"}, "substitution": "\\1"}},
    ],
)
def test_computed_hosts_are_said(rewrite: dict[str, Any]):
    assert route_outcome(forwarded(**rewrite)).codes == ["RA-HOST"]


def test_the_endpoints_own_host_is_the_upstreams_matter():
    outcome = route_outcome(forwarded(auto_host_rewrite=True))
    assert (outcome.plugins, outcome.codes) == ({}, [])
    assert outcome.only.fields["upstream_id"] != route_outcome(forwarded()).only.fields["upstream_id"]
