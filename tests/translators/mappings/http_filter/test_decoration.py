"""Filters that decorate are said where they would do something."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import forwarded, http_filter, packed, route_outcome

POLICY = {"allow_origin_string_match": [{"exact": "https://a.com"}]}
ABORT = {"abort": {"http_status": 500, "percentage": {"numerator": 1}}}


@pytest.mark.parametrize(
    ("type_name", "config", "override", "codes"),
    [
        (".cors.v3.Cors", {}, None, []),
        (".cors.v3.Cors", {}, packed(".cors.v3.CorsPolicy", POLICY), ["HF-UNTRANSLATED"]),
        (".fault.v3.HTTPFault", {}, None, []),
        (".fault.v3.HTTPFault", ABORT, None, ["HF-UNTRANSLATED"]),
        (".fault.v3.HTTPFault", {}, packed(".fault.v3.HTTPFault", ABORT), ["HF-UNTRANSLATED"]),
        (".fault.v3.HTTPFault", ABORT, packed(".fault.v3.HTTPFault"), []),
        (".buffer.v3.Buffer", {"max_request_bytes": 1}, None, ["HF-UNTRANSLATED"]),
        (".buffer.v3.Buffer", {}, packed(".buffer.v3.BufferPerRoute", {"disabled": True}), []),
        (".set_metadata.v3.Config", {}, None, []),
    ],
)
def test_a_filter_is_said_where_it_would_do_something(
    type_name: str, config: dict[str, Any], override: dict[str, Any] | None, codes: list[str]
):
    extra = {"typed_per_filter_config": {"guard": override}} if override else {}
    outcome = route_outcome(forwarded(extra), filters=[http_filter(type_name, config)])
    assert outcome.codes == codes
    assert outcome.only.fields["upstream_id"]


def test_a_deprecated_cors_policy_counts():
    filters = [http_filter(".cors.v3.Cors")]
    assert route_outcome(forwarded(cors=POLICY), filters=filters).codes == ["HF-UNTRANSLATED"]
    assert route_outcome(forwarded(), filters=filters, virtual_host={"cors": POLICY}).codes == ["HF-UNTRANSLATED"]
