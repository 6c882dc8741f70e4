"""Overload: the share of the requests to a cluster that its routes drop."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.route_parts import AT, ROUTE, context, forwarded, http_filter, message
from tests.translators.unit_outcome import cluster_outcome, lb_endpoint, locality
from translators import action
from translators.findings import Findings

LOCAL = {"body_format": {"text_format_source": {"inline_string": "x"}}}
TINY = {"numerator": 1, "denominator": "MILLION"}
FAULT = {"abort": {"http_status": 418, "percentage": {"numerator": 50}}}


def drops(*percentages: int) -> dict[str, Any]:
    listed = [{"category": "lb", "drop_percentage": {"numerator": percentage}} for percentage in percentages]
    return {"policy": {"drop_overloads": listed}}


def dropped(route: dict[str, Any], assignments: dict[str, dict[str, Any]], **levels: Any) -> tuple[list, list[str]]:
    """Translate a route; give its parts and the codes."""
    around = context(**levels)
    for name, assignment in assignments.items():
        around.assignments[name] = message(xds.CLUSTER_LOAD_ASSIGNMENT, {"cluster_name": name, **assignment})
    findings = Findings(around.policy)
    parts = action.build_parts(message(ROUTE, {"match": {"prefix": "/"}, **route}), around, AT, findings)
    return parts, [found.code for found in findings.diagnostics()]


@pytest.mark.parametrize(
    ("percentages", "regex"), [((50,), r"\A.{8}(?:[0-7]...)"), ((50, 50), r"\A.{8}(?:[0-9a-b]...)")]
)
def test_a_share_is_answered_behind_all_filters(percentages: tuple[int, ...], regex: str):
    (part,), codes = dropped(forwarded(), {"backend": drops(*percentages)})
    assert part.volatile == {
        "mocking": {
            "_meta": {"filter": [("request_id", "~~", regex)], "priority": -1999},
            "content_type": "text/plain",
            "response_example": "drop overload",
            "response_status": 503,
            "with_mock_header": False,
        }
    }
    assert (part.fields.get("plugins"), codes) == (None, [])


@pytest.mark.parametrize("percentages", [(100,), (200,), (10, 100)])
def test_everything_is_dropped(percentages: tuple[int, ...]):
    (part,), _ = dropped(forwarded(), {"backend": drops(*percentages)})
    assert part.volatile["mocking"]["_meta"] == {"priority": -1999}
    assert part.volatile["mocking"]["response_example"] == "unconditional drop overload"


@pytest.mark.parametrize("assignments", [{}, {"backend": {}}, {"backend": drops(0)}, {"other": drops(50)}])
def test_nothing_is_dropped(assignments: dict[str, Any]):
    (part,), _ = dropped(forwarded(), assignments)
    assert part.volatile == {}


def test_the_draw_takes_other_digits_than_those_of_filters():
    parts, _ = dropped(forwarded(), {"backend": drops(50)}, filters=[http_filter(".fault.v3.HTTPFault", FAULT)])
    (condition,) = parts[-1].volatile["mocking"]["_meta"]["filter"]
    assert condition == ("request_id", "~~", r"\A.{12}(?:[0-7]...)")


def test_of_a_weighted_action_each_cluster_drops_its_own():
    shares = {"weighted_clusters": {"clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]}}
    first, second = (r"\A.{4}(?:[0-7]...)", r"\A.{8}(?:[0-7]...)")
    (part,), _ = dropped({"route": shares}, {"b": drops(50)}, clusters=("a", "b"))
    conditions = [("request_id", "!", "~~", first), ("request_id", "~~", second)]
    assert part.volatile["mocking"]["_meta"]["filter"] == conditions
    assert "traffic-split" in part.volatile
    (part,), _ = dropped({"route": shares}, {"a": drops(100)}, clusters=("a", "b"))
    assert part.volatile["mocking"]["_meta"]["filter"] == [("request_id", "~~", first)]


def test_a_cluster_of_two_protocols_drops_both():
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    value = {"@type": xds.TYPE_URL_PREFIX + options, "use_downstream_protocol_config": {"http2_protocol_options": {}}}
    cluster = {"name": "backend", "typed_extension_protocol_options": {options: value}}
    parts, _ = dropped(forwarded(), {"backend": drops(100)}, clusters=(cluster,))
    assert ["mocking" in part.volatile for part in parts] == [True, True]


def test_a_form_that_the_answer_does_not_get_is_told():
    around = context()
    around.connection.local_reply = message(
        "envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig", LOCAL
    )
    around.assignments["backend"] = message(xds.CLUSTER_LOAD_ASSIGNMENT, drops(5))
    findings = Findings(around.policy)
    action.build_parts(message(ROUTE, {"match": {"prefix": "/"}, **forwarded()}), around, AT, findings)
    assert [found.code for found in findings.diagnostics()] == ["HCM-LOCALREPLY"]


@pytest.mark.parametrize(("percentages", "codes"), [((), []), ((5,), []), ((5, 5), ["CL-DROP"])])
def test_several_categories_are_told(percentages: tuple[int, ...], codes: list[str]):
    assert cluster_outcome({}, [locality(lb_endpoint("10.0.0.1"))], assignment=drops(*percentages)).codes == codes


def test_a_share_that_is_set_is_never_rounded_to_nothing():
    (part,), _ = dropped(forwarded(), {"backend": {"policy": {"drop_overloads": [{"drop_percentage": TINY}]}}})
    assert part.volatile["mocking"]["_meta"]["filter"] == [("request_id", "~~", r"\A.{8}(?:0000)")]
