"""RBAC of connections: what asks for addresses only is kept, anything else closes the chain."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.unit_builder import message
from translators.chain_draft import ChainDraft
from translators.expr import ALWAYS, NEVER
from translators.findings import Findings
from translators.mappings.stream.rbac import apply, condition_of
from translators.policy import Action, Policy
from translators.where import Where

RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC"
AT = Where(xds.LISTENER, "l")
ANY = {"any": True}


def address(prefix: str, length: int, kind: str = "direct_remote_ip") -> dict[str, Any]:
    return {kind: {"address_prefix": prefix, "prefix_len": length}}


def rules(*principals: dict[str, Any], action: str = "ALLOW", **policy: Any) -> dict[str, Any]:
    """Rules with one policy for these principals; none without any."""
    built = {"permissions": [ANY], "principals": list(principals), **policy}
    return {"rules": {"action": action, "policies": {"p": built} if principals else {}}}


def applied(config: dict[str, Any], policy: Policy | None = None) -> tuple[ChainDraft, list[str]]:
    findings = Findings(policy or Policy())
    draft = ChainDraft({})
    apply(message(RBAC, {"stat_prefix": "r", **config}), draft, AT, findings)
    return draft, [found.code for found in findings.diagnostics()]


TEN, LOOPBACK = address("10.1.2.3", 8), address("::1", 128, "remote_ip")


@pytest.mark.parametrize(
    ("config", "plugin"),
    [
        (rules(TEN, LOOPBACK), {"whitelist": ["10.0.0.0/8", "::1/128"]}),
        (rules({"or_ids": {"ids": [TEN, TEN]}}), {"whitelist": ["10.0.0.0/8"]}),
        (rules(TEN, action="DENY"), {"blacklist": ["10.0.0.0/8"]}),
        (rules(ANY), None),
        (rules(action="DENY"), None),
        (rules(TEN, action="LOG"), None),
        ({"shadow_rules": rules(TEN)["rules"]}, None),
        ({}, None),
    ],
)
def test_addresses_are_listed(config: dict[str, Any], plugin: dict[str, Any] | None):
    draft, codes = applied(config)
    assert (draft.plugins.get("ip-restriction"), draft.is_closed, codes) == (plugin, False, [])


@pytest.mark.parametrize("config", [rules(), rules(ANY, action="DENY")])
def test_what_lets_nobody_in_closes_the_chain(config: dict[str, Any]):
    draft, codes = applied(config)
    assert (draft.plugins, draft.is_closed, codes) == ({}, True, [])


INEXPRESSIBLE = [
    rules({"authenticated": {}}),
    rules(TEN, {"not_id": TEN}),
    rules({"and_ids": {"ids": [TEN, TEN]}}),
    rules(TEN, permissions=[{"destination_port": 80}]),
    rules(TEN, condition={}),
    {"matcher": {}},
]


@pytest.mark.parametrize("config", INEXPRESSIBLE)
def test_anything_else_closes_the_chain_unless_the_operator_allows_it(config: dict[str, Any]):
    draft, codes = applied(config)
    assert (draft.is_closed, codes) == (True, ["L4-RBAC"])
    allowed, _ = applied(config, Policy(overrides={"L4-RBAC": Action.ALLOW}))
    assert (allowed.is_closed, allowed.plugins) == (False, {})


def test_two_lists_cannot_both_be_kept():
    findings, draft = Findings(Policy()), ChainDraft({})
    for _ in range(2):
        apply(message(RBAC, {"stat_prefix": "r", **rules(TEN)}), draft, AT, findings)
    assert draft.is_closed


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            rules(TEN, LOOPBACK),
            ("OR", ("realip_remote_addr", "ipmatch", ("10.0.0.0/8",)), ("remote_addr", "ipmatch", ("::1/128",))),
        ),
        (rules(TEN, action="DENY"), ("realip_remote_addr", "!", "ipmatch", ("10.0.0.0/8",))),
        (rules(ANY), ALWAYS),
        (rules(), NEVER),
        (rules(ANY, action="DENY"), NEVER),
        ({}, ALWAYS),
    ],
)
def test_in_front_of_http_it_is_a_condition(config: dict[str, Any], expected: tuple[Any, ...]):
    findings = Findings(Policy())
    assert condition_of(message(RBAC, {"stat_prefix": "r", **config}), AT, findings) == expected
    assert findings.diagnostics() == ()


@pytest.mark.parametrize("config", INEXPRESSIBLE)
def test_in_front_of_http_too_anything_else_closes_the_chain(config: dict[str, Any]):
    built = message(RBAC, {"stat_prefix": "r", **config})
    assert condition_of(built, AT, Findings(Policy())) is None
    assert condition_of(built, AT, Findings(Policy(overrides={"L4-RBAC": Action.ALLOW}))) == ALWAYS
