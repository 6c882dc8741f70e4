"""Filters that restrict block the route exactly where they can deny something."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Severity
from tests.translators.route_parts import Outcome, forwarded, http_filter, packed, route_outcome

NONE = {"default_value": {"numerator": 0}}


def answer(outcome: Outcome) -> int | None:
    """Give the status of the block; None when the route leads to its cluster."""
    part = outcome.only
    if "upstream_id" in part.fields:
        assert not part.is_blocking
        return None
    assert part.is_blocking
    status: int = outcome.answer["http_status"]
    return status


def guarded(type_name: str, config: dict[str, Any], route: dict[str, Any] | None = None, **levels: Any) -> Outcome:
    extra = dict(route or {})
    if "override" in levels:
        extra["typed_per_filter_config"] = {"guard": levels.pop("override")}
    return route_outcome(forwarded(extra), filters=[http_filter(type_name, config)], **levels)


@pytest.mark.parametrize(
    ("type_name", "config", "override", "status"),
    [
        (".ext_authz.v3.ExtAuthz", {}, None, 403),
        (".ext_authz.v3.ExtAuthz", {"filter_enabled": NONE}, None, None),
        (".ext_authz.v3.ExtAuthz", {}, packed(".ext_authz.v3.ExtAuthzPerRoute", {"disabled": True}), None),
        (".ext_authz.v3.ExtAuthz", {}, packed(".ext_authz.v3.ExtAuthzPerRoute", {"check_settings": {}}), 403),
        (".basic_auth.v3.BasicAuth", {}, None, 403),
        (".oauth2.v3.OAuth2", {}, None, 403),
        (".ext_proc.v3.ExternalProcessor", {}, None, 503),
        (".ext_proc.v3.ExternalProcessor", {}, packed(".ext_proc.v3.ExtProcPerRoute", {"disabled": True}), None),
        (".dynamic_modules.v3.DynamicModuleFilter", {}, None, 503),
        (".lua.v3.Lua", {}, None, None),
        (".lua.v3.Lua", {"inline_code": "x"}, None, 503),
        (".lua.v3.Lua", {"inline_code": "x"}, packed(".lua.v3.LuaPerRoute", {"disabled": True}), None),
        (".lua.v3.Lua", {}, packed(".lua.v3.LuaPerRoute", {"source_code": {"inline_string": "x"}}), 503),
        (".wasm.v3.Wasm", {}, None, 503),
        (".router.v3.Router", {}, None, None),
    ],
)
def test_a_route_is_blocked_where_it_can_be_denied(
    type_name: str, config: dict[str, Any], override: dict[str, Any] | None, status: int | None
):
    outcome = guarded(type_name, config, **({"override": override} if override else {}))
    assert answer(outcome) == status
    assert bool(outcome.codes) is (status is not None)
    assert all((one.severity, one.diagnostic_class) == (Severity.ERROR, "SECURITY") for one in outcome.diagnostics)


LIMITS = [{"actions": [{"remote_address": {}}]}]


@pytest.mark.parametrize(
    ("config", "route", "virtual_host", "status", "codes"),
    [
        ({}, {}, {}, None, []),
        ({"failure_mode_deny": True}, {}, {}, None, []),
        ({}, {"rate_limits": LIMITS}, {}, None, ["HF-RLS"]),
        ({"failure_mode_deny": True}, {"rate_limits": LIMITS}, {}, 503, ["HF-RLS"]),
        ({"failure_mode_deny": True}, {}, {"rate_limits": LIMITS}, 503, ["HF-RLS"]),
    ],
)
def test_a_rate_limit_service_is_missed_where_it_would_be_asked(
    config: dict[str, Any], route: dict[str, Any], virtual_host: dict[str, Any], status: int | None, codes: list[str]
):
    config = {"domain": "d", **config}
    filters = [http_filter(".ratelimit.v3.RateLimit", config)]
    outcome = route_outcome(forwarded(**route), filters=filters, virtual_host=virtual_host)
    assert (answer(outcome), outcome.codes) == (status, codes)


def test_limits_of_an_override_count():
    limits = {"rate_limits": LIMITS}
    outcome = guarded(
        ".ratelimit.v3.RateLimit",
        {"domain": "d", "failure_mode_deny": True},
        override=packed(".ratelimit.v3.RateLimitPerRoute", limits),
    )
    assert answer(outcome) == 503


MATCHING = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"


def matched(inner: str, **fields: Any) -> dict[str, Any]:
    return {"extension_config": {"name": "inner", "typed_config": packed(inner)}, **fields}


@pytest.mark.parametrize(
    ("config", "status", "codes"),
    [
        (matched(".composite.v3.Composite"), None, []),
        (matched(".composite.v3.Composite", xds_matcher={}), 503, ["HF-CODE"]),
        (matched(".rbac.v3.RBAC"), 503, ["HF-CODE"]),
        (matched(".fault.v3.HTTPFault", xds_matcher={}), None, ["HF-UNTRANSLATED"]),
    ],
)
def test_a_matcher_tree_blocks_unless_it_leads_to_nothing(config: dict[str, Any], status: int | None, codes: list[str]):
    outcome = guarded(MATCHING, config)
    assert (answer(outcome), outcome.codes) == (status, codes)


def test_istios_own_wasm_code_observes():
    machine = {"runtime": "envoy.wasm.runtime.null", "code": {"local": {"inline_string": "envoy.wasm.stats"}}}
    outcome = guarded(".wasm.v3.Wasm", {"config": {"vm_config": machine}})
    assert (answer(outcome), outcome.codes) == (None, [])
