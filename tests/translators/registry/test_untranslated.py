"""Filters that are left out say what is missing and what to do instead, and only where they would do something."""

from __future__ import annotations

import pytest

from tests.translators.route_parts import forwarded, http_filter, packed, route_outcome
from translators.registry.untranslated import ROWS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.source.rpartition(".")[2])
def test_every_row_says_effect_and_remedy(row):
    assert row.effect
    assert row.remedy
    assert not row.restricts


@pytest.mark.parametrize(
    ("type_name", "config", "override", "codes"),
    [
        (".tap.v3.Tap", {}, None, ["HF-UNTRANSLATED"]),
        (".stateful_session.v3.StatefulSession", {}, None, []),
        (".stateful_session.v3.StatefulSession", {"session_state": {"name": "x"}}, None, ["HF-UNTRANSLATED"]),
        (
            ".stateful_session.v3.StatefulSession",
            {"session_state": {"name": "x"}},
            packed(".stateful_session.v3.StatefulSessionPerRoute", {"disabled": True}),
            [],
        ),
        (
            ".stateful_session.v3.StatefulSession",
            {},
            packed(".stateful_session.v3.StatefulSessionPerRoute", {"stateful_session": {"strict": True}}),
            ["HF-UNTRANSLATED"],
        ),
        (".bandwidth_limit.v3.BandwidthLimit", {}, None, []),
        (".custom_response.v3.CustomResponse", {}, None, []),
        (".set_metadata.v3.Config", {}, None, []),
    ],
)
def test_a_filter_is_said_where_it_would_do_something(type_name, config, override, codes):
    extra = {"typed_per_filter_config": {"guard": override}} if override else {}
    outcome = route_outcome(forwarded(extra), filters=[http_filter(type_name, config)])
    assert outcome.codes == codes
    assert outcome.only.fields["upstream_id"]
