from __future__ import annotations

from typing import Any

import pytest

from tests.translators.managed import managed
from translators.block import abort, denial
from translators.mappings.http_connection_manager.local_reply_config import formed
from translators.plugin_phase import answered
from translators.route_context import Part

DENIED = Part(fields={"plugins": abort(403, "no", {"Content-Type": "text/plain"})}, is_blocking=True)


def _status(value: int, operator: str | int = "EQ") -> dict[str, Any]:
    comparison = {"op": operator, "value": {"default_value": value, "runtime_key": "none"}}
    return {"status_code_filter": {"comparison": comparison}}


def _abort(config: dict[str, Any], part: Part = DENIED) -> dict[str, Any]:
    (found,) = formed([part], managed({"local_reply_config": config}).draft.local_reply)
    assert found.is_blocking == part.is_blocking
    abort: dict[str, Any] = found.fields["plugins"]["fault-injection"]["abort"]
    return abort


def test_without_a_configuration_answers_stay_as_they_are():
    assert managed({"local_reply_config": {}}).draft.local_reply is None
    assert formed([DENIED], None) == [DENIED]


def test_routes_to_upstreams_stay_as_they_are():
    part = Part(fields={"upstream_id": "u"})
    config = managed({"local_reply_config": {"body_format": {"text_format": "x"}}}).draft.local_reply
    assert formed([part], config) == [part]


def test_what_closes_a_route_stays_as_it_is():
    part = denial(503, "HF-CODE")
    config = {"mappers": [{"filter": _status(503), "status_code": 200}], "body_format": {"text_format": "x"}}
    assert formed([part], managed({"local_reply_config": config}).draft.local_reply) == [part]


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        (_status(403), True),
        (_status(404), False),
        (_status(403, "GE"), True),
        (_status(404, "GE"), False),
        (_status(403, "LE"), True),
        (_status(402, "LE"), False),
        (_status(404, "NE"), True),
        (_status(403, "NE"), False),
        ({"or_filter": {"filters": [_status(404), _status(403)]}}, True),
        ({"and_filter": {"filters": [_status(404), _status(403)]}}, False),
        ({"not_health_check_filter": {}}, True),
        ({"traceable_filter": {}}, False),
    ],
)
def test_a_mapper_takes_what_its_filter_lets_pass(given: dict[str, Any], is_taken: bool):  # noqa: FBT001  # a parameter of the table
    found = _abort({"mappers": [{"filter": given, "status_code": 404, "body": {"inline_string": "$"}}]})
    assert (found["http_status"], found["body"]) == ((404, "${_ ?? $}") if is_taken else (403, "no"))


def test_a_condition_on_the_request_makes_a_route_of_its_own():
    header = {"header_filter": {"header": {"name": "x-a", "present_match": True}}}
    config = managed({"local_reply_config": {"mappers": [{"filter": header, "status_code": 404}]}}).draft.local_reply
    first, last = formed([DENIED], config)
    assert (first.suffix, len(first.conditions), last) == ("reply0", 1, DENIED)


def test_headers_are_added_as_their_action_says():
    options = [
        ("content-type", "text/x", 2),
        ("x-new", "%RESPONSE_CODE%", 0),
        ("x-no", "1", 3),
        ("content-type", "", 2),
    ]
    added = [{"header": {"key": key, "value": value}, "append_action": action} for key, value, action in options]
    found = _abort({"mappers": [{"filter": _status(403), "status_code": 404, "headers_to_add": added}]})
    assert found["headers"] == {"Content-Type": "text/x", "x-new": "403"}


@pytest.mark.parametrize(
    ("source", "body"), [({"filename": "/a"}, "no"), ({"inline_bytes": "eWVz"}, "yes"), ({}, "no")]
)
def test_a_body_that_is_not_inline_leaves_the_one_there_is(source: dict[str, str], body: str):
    assert _abort({"mappers": [{"filter": _status(403), "body": source}]})["body"] == body


def test_an_unknown_comparison_takes_nothing():
    assert _abort({"mappers": [{"filter": _status(403, 9), "status_code": 404}]})["http_status"] == 403


def test_the_format_of_all_applies_to_empty_bodies_too():
    part = Part(fields={"plugins": abort(404)}, is_blocking=True)
    found = _abort({"body_format": {"json_format": {"said": ["%LOCAL_REPLY_BODY%", 2, True]}}}, part)
    assert found["body"] == '{"said":["",2,true]}\n'
    assert found["headers"] == {"Content-Type": "application/json"}


def test_an_answer_behind_plugins_of_the_access_phase_keeps_them():
    plugins = answered({"limit-req": {"rate": 1}}, abort(403, "no", {"X-A": "1"}))
    config = managed({"local_reply_config": {"body_format": {"text_format": "%LOCAL_REPLY_BODY%!"}}}).draft.local_reply
    (found,) = formed([Part(fields={"plugins": plugins})], config)
    mocked = found.fields["plugins"]["mocking"]
    assert (mocked["response_example"], mocked["response_headers"]) == ("no!", {"X-A": "1"})
    assert found.fields["plugins"]["limit-req"] == {"rate": 1}


def test_what_cannot_be_kept_is_said_where_it_stands():
    mapper = {
        "filter": {"grpc_status_filter": {"statuses": ["OK"]}},
        "body": {"filename": "/a"},
        "body_format_override": {"text_format": "%RESPONSE_FLAGS%"},
        "headers_to_add": [{"header": {"key": "x-a", "value": "%RESPONSE_FLAGS%"}}],
    }
    place = "local_reply_config.mappers[0]"
    assert managed({"local_reply_config": {"mappers": [mapper]}}).said == [
        ("HCM-LOCALREPLY", "local_reply_config"),
        ("HCM-LOCALREPLY", f"{place}.body"),
        ("HCM-LOCALREPLY", f"{place}.body_format_override"),
        ("HCM-LOCALREPLY", f"{place}.filter"),
        ("HDR-FORMAT", f"{place}.headers_to_add[x-a]"),
    ]
