"""What a HeaderValueOption says."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.translators.route_parts import AT, ROUTE, header, message
from translators.findings import Findings
from translators.format_string import Text
from translators.header_step import ADD_IF_ABSENT, APPEND, OVERWRITE, OVERWRITE_IF_EXISTS, Step, read_level
from translators.policy import DEFAULT


def read(*options: dict[str, Any], removed: tuple[str, ...] = ()) -> tuple[Step, list[str]]:
    findings = Findings(DEFAULT)
    holder = message(ROUTE, {"request_headers_to_add": options, "request_headers_to_remove": removed})
    return read_level(holder, "request", {}, AT, findings), [found.path for found in findings.diagnostics()]


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ({}, APPEND),
        ({"append_action": "ADD_IF_ABSENT"}, ADD_IF_ABSENT),
        ({"append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}, OVERWRITE),
        ({"append_action": "OVERWRITE_IF_EXISTS"}, OVERWRITE_IF_EXISTS),
        ({"append": False}, OVERWRITE),
        ({"append": True}, APPEND),
    ],
)
def test_the_action(said: dict[str, Any], action: int):
    step, _ = read({"header": {"key": "X-A", "value": "v"}, **said})
    assert [(mutation.name, mutation.action) for mutation in step.mutations] == [("x-a", action)]


def test_a_raw_value_is_text():
    step, _ = read({"header": {"key": "x", "raw_value": base64.b64encode(b"v").decode()}})
    assert step.mutations[0].pieces == (Text("v"),)


def test_names_are_lower_case():
    assert read(removed=("X-Gone",))[0] == Step(removed=("x-gone",))


def test_a_format_without_template_is_said_and_left_out():
    step, paths = read(header("x-a", "%NO_SUCH%"), header("x-b", "v"))
    assert [mutation.name for mutation in step.mutations] == ["x-b"]
    assert paths == ["virtual_hosts[shop].routes[0].request_headers_to_add[x-a]"]
