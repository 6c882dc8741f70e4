"""Format strings become templates that resolve_var expands to what Envoy writes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translators.rewriting import Node
from translators.format_string import (
    FormatError,
    HeaderReference,
    Text,
    escape_text,
    may_be_empty,
    parse,
    render,
    text_of,
)


def written(format_string: str, side: Any = "request", **constants: str) -> str:
    return render(parse(format_string, side, constants))


@pytest.mark.parametrize(
    ("format_string", "template"),
    [
        ("plain", "plain"),
        ("100%%", "100%"),
        ("%REQ(X-Foo)%", "${http_x_foo}"),
        ("a-%REQ(x-foo):10%-b", "a-${http_x_foo}-b"),
        ("%REQ(:AUTHORITY)%%REQ(:PATH)%", "${http_host}${real_request_uri}"),
        ("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "${real_request_uri}"),
        ("%REQ(:method)% %REQ(:scheme)%", "${request_method} ${scheme}"),
        ("%DOWNSTREAM_REMOTE_ADDRESS%", "${remote_addr}:${remote_port}"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "${remote_addr}"),
        ("%DOWNSTREAM_LOCAL_PORT%", "${server_port}"),
        ("%START_TIME(%s.%3f)%", "${msec}"),
        ("%START_TIME%", "${time_iso8601}"),
        ("$5", "${_ ?? $}5"),
    ],
)
def test_a_request_format(format_string: str, template: str):
    assert written(format_string) == template


@pytest.mark.parametrize(
    ("format_string", "template"),
    [
        ("%REQ(:path)%", "${upstream_uri}"),
        ("%REQ(:authority)%", "${upstream_host}"),
        ("%RESP(x-y)%", "${sent_http_x_y}"),
        ("%RESPONSE_CODE%", "${status}"),
        ("%UPSTREAM_HOST%", "${upstream_addr}"),
    ],
)
def test_a_response_format(format_string: str, template: str):
    assert written(format_string, "response") == template


def test_known_operators_are_written_as_text():
    assert (
        written("%ROUTE_NAME%/%UPSTREAM_CLUSTER%", ROUTE_NAME="canary", UPSTREAM_CLUSTER="a$b") == "canary/a${_ ?? $}b"
    )
    assert parse("%ROUTE_NAME%", "request", {"ROUTE_NAME": ""}) == ()


@pytest.mark.parametrize(
    "format_string",
    [
        "50%",
        "%req(x)%",
        "%NO_SUCH%",
        "%REQ(X?Y)%",
        "%REQ(x y)%",
        "%RESP(x)%",
        "%RESPONSE_CODE%",
        "%PROTOCOL(1)%",
        "%START_TIME(%Y)%",
        "%DYNAMIC_METADATA(a:b)%",
        "\\%PROTOCOL%",
    ],
)
def test_what_has_no_template_is_refused(format_string: str):
    with pytest.raises(FormatError):
        written(format_string)


def test_what_may_be_empty():
    assert may_be_empty(parse("%REQ(x)%", "request"))
    assert may_be_empty(parse("%REQUESTED_SERVER_NAME%", "request"))
    assert not may_be_empty(parse("%PROTOCOL%", "request"))
    assert not may_be_empty(parse("v%REQ(x)%", "request"))


def test_text_of():
    assert text_of((Text("a"), Text("b"))) == "ab"
    assert text_of((Text("a"), HeaderReference("x", "request"))) is None


@given(st.text(alphabet="a$\\{}_? 1.", max_size=12))
def test_escaped_text_expands_to_itself(text: str):
    assert Node({}, "http_", random.Random(0)).resolved(escape_text(text)) == text
