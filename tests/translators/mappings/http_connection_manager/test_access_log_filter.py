from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from translators.expr import ALWAYS, NEVER
from translators.findings import Findings
from translators.mappings.http_connection_manager.access_log_filter import condition_of
from translators.policy import Policy
from translators.where import Where


def condition(data: dict[str, Any]) -> tuple[Any, list[str]]:
    findings = Findings(Policy())
    message = xds.from_json(data, xds.message_class("envoy.config.accesslog.v3.AccessLogFilter")())
    found = condition_of(message, Where("", "web", "filter"), findings)
    return found, [diagnostic.path for diagnostic in findings.diagnostics()]


def compared(kind: str, operator: str, value: int) -> dict[str, Any]:
    return {kind: {"comparison": {"op": operator, "value": {"default_value": value, "runtime_key": "k"}}}}


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({}, ALWAYS),
        ({"not_health_check_filter": {}}, ALWAYS),
        (compared("status_code_filter", "EQ", 500), ("status", "==", 500)),
        (compared("status_code_filter", "NE", 500), ("status", "!", "==", 500)),
        (compared("status_code_filter", "GE", 500), ("status", ">=", 500)),
        (compared("duration_filter", "LE", 250), ("request_time", "<=", 0.25)),
        ({"runtime_filter": {"runtime_key": "k", "percent_sampled": {"numerator": 100}}}, ALWAYS),
        ({"runtime_filter": {"runtime_key": "k", "percent_sampled": {"numerator": 0}}}, NEVER),
        ({"header_filter": {"header": {"name": "x-a", "present_match": True}}}, ("http_x_a", "~~", ".*")),
    ],
)
def test_what_can_be_expressed(data: dict[str, Any], wanted: Any):
    assert condition(data) == (wanted, [])


@pytest.mark.parametrize(
    "data",
    [
        {"response_flag_filter": {"flags": ["UF"]}},
        {"traceable_filter": {}},
        {"header_filter": {"header": {"name": "x", "safe_regex_match": {"regex": "\\C"}}}},
    ],
)
def test_what_cannot_logs_everything(data: dict[str, Any]):
    (kind,) = data
    assert condition(data) == (ALWAYS, [f"filter.{kind}"])


def test_what_cannot_be_expressed_widens_only_its_part():
    lost = {"traceable_filter": {}}
    known = compared("status_code_filter", "GE", 500)
    assert condition({"and_filter": {"filters": [lost, known]}}) == (
        ("status", ">=", 500),
        ["filter.and_filter.filters[0].traceable_filter"],
    )
    assert condition({"or_filter": {"filters": [known, lost]}})[0] == ALWAYS
