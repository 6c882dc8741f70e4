from __future__ import annotations

import base64

import pytest

from tests.translators.route_parts import route_outcome

REQUEST_URL = "${scheme}://${http_host}${real_request_uri}"


def test_body_and_status_are_sent():
    outcome = route_outcome({"direct_response": {"status": 200, "body": {"inline_string": "costs $5, \\$6"}}})
    assert outcome.answer == {
        "http_status": 200,
        "body": "costs ${_ ?? $}5, \\$6",
        "headers": {"Content-Type": "text/plain"},
    }
    assert not outcome.only.is_blocking


def test_a_body_is_given_even_if_there_is_none():
    assert route_outcome({"direct_response": {"status": 204}}).answer == {"http_status": 204, "body": ""}


@pytest.mark.parametrize("status", [201, 302, 307])
def test_created_and_redirects_have_the_location_of_the_request(status: int):
    outcome = route_outcome({"direct_response": {"status": status}})
    assert outcome.answer["headers"] == {"Location": REQUEST_URL}


@pytest.mark.parametrize(("status", "is_blocking"), [(399, False), (400, True), (503, True)])
def test_errors_block(status: int, is_blocking: bool):  # noqa: FBT001 - a table
    assert route_outcome({"direct_response": {"status": status}}).only.is_blocking is is_blocking


def test_bytes_are_text():
    body = {"inline_bytes": base64.b64encode("héllo".encode()).decode()}
    assert route_outcome({"direct_response": {"status": 200, "body": body}}).answer["body"] == "héllo"


@pytest.mark.parametrize(
    "body",
    [
        {"filename": "/etc/body"},
        {"environment_variable": "BODY"},
        {"inline_bytes": base64.b64encode(b"\xff").decode()},
    ],
)
def test_a_body_that_is_not_at_hand_is_said(body: dict[str, str]):
    outcome = route_outcome({"direct_response": {"status": 200, "body": body}})
    assert (outcome.answer["body"], outcome.codes) == ("", ["SEC-SOURCE"])


def test_a_text_format_is_filled_in():
    style = {"text_format": "%LOCAL_REPLY_BODY% %RESPONSE_CODE% %PROTOCOL%", "content_type": "text/html"}
    outcome = route_outcome({"direct_response": {"status": 404, "body": {"inline_string": "no"}, "body_format": style}})
    assert outcome.answer["body"] == "no 404 ${server_protocol}"
    assert outcome.answer["headers"] == {"Content-Type": "text/html"}


@pytest.mark.parametrize("style", [{"json_format": {"a": "b"}}, {"text_format": "%NO_SUCH%"}])
def test_other_formats_are_said(style: dict[str, object]):
    answer = {"status": 404, "body": {"inline_string": "no"}, "body_format": style}
    outcome = route_outcome({"direct_response": answer})
    assert (outcome.answer["body"], outcome.codes) == ("no", ["HDR-FORMAT"])


@pytest.mark.parametrize(
    ("source", "body", "codes"),
    [({"inline_string": "is %RESPONSE_CODE%"}, "is 404", []), ({"filename": "/etc/format"}, "", ["SEC-SOURCE"])],
)
def test_a_format_elsewhere_is_read_or_said(source: dict[str, str], body: str, codes: list[str]):
    outcome = route_outcome({"direct_response": {"status": 404, "body_format": {"text_format_source": source}}})
    assert (outcome.answer["body"], outcome.codes) == (body, codes)


def test_response_mutations_apply():
    route = {"direct_response": {"status": 200}, "response_headers_to_remove": ["server"]}
    assert route_outcome(route).plugins["response-rewrite"] == {"headers": {"remove": ["server"]}}
