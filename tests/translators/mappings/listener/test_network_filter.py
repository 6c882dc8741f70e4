from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.unit_builder import message
from translators.findings import Findings
from translators.mappings.listener import listener_filter
from translators.mappings.listener.network_filter import front_conditions
from translators.policy import Action, Policy
from translators.where import Where

NETWORK = "type.googleapis.com/envoy.extensions.filters.network"
AT = Where("", "l")


def packed(type_url: str, **fields: Any) -> dict[str, Any]:
    return {"name": "f", "typed_config": {"@type": type_url, **fields}}


def passable(front: dict[str, Any], policy: Policy | None = None) -> tuple[bool, list[str]]:
    findings = Findings(policy or Policy())
    chain = message("envoy.config.listener.v3.FilterChain", {"filters": [front, {"name": "hcm"}]})
    return front_conditions(chain, AT, findings) is not None, [diagnostic.code for diagnostic in findings.diagnostics()]


@pytest.mark.parametrize(
    ("front", "wanted", "codes"),
    [
        (packed(f"{NETWORK}.set_filter_state.v3.Config"), True, []),
        ({"name": "istio.metadata_exchange"}, True, []),
        (packed(f"{NETWORK}.rbac.v3.RBAC", stat_prefix="r"), True, []),
        (packed(f"{NETWORK}.rbac.v3.RBAC", stat_prefix="r", matcher={}), False, ["L4-RBAC"]),
        (packed(f"{NETWORK}.local_ratelimit.v3.LocalRateLimit"), False, ["L4-FILTER"]),
        (packed(f"{NETWORK}.connection_limit.v3.ConnectionLimit"), False, ["L4-FILTER"]),
        ({"name": "unknown"}, False, ["L4-FILTER"]),
        ({"name": "late", "config_discovery": {}}, False, ["EXT-PENDING"]),
    ],
)
def test_filters_that_may_restrict_close_the_chain(front: dict[str, Any], wanted, codes: list[str]):
    assert passable(front) == (wanted, codes)


def test_rbac_by_addresses_is_a_condition():
    policy = {"permissions": [{"any": True}], "principals": [{"direct_remote_ip": {"address_prefix": "10.0.0.0"}}]}
    policy["principals"][0]["direct_remote_ip"]["prefix_len"] = 8
    front = packed(f"{NETWORK}.rbac.v3.RBAC", stat_prefix="r", rules={"action": "DENY", "policies": {"p": policy}})
    chain = message("envoy.config.listener.v3.FilterChain", {"filters": [front, {"name": "hcm"}]})
    assert front_conditions(chain, AT, Findings(Policy())) == [
        ("realip_remote_addr", "!", "ipmatch", ("10.0.0.0/8",)),
    ]


def test_the_operator_may_pass_a_filter():
    assert passable({"name": "unknown"}, Policy(overrides={"L4-FILTER": Action.WARN})) == (True, ["L4-FILTER"])


def test_a_chain_of_the_connection_manager_alone_is_passable():
    chain = message("envoy.config.listener.v3.FilterChain", {"filters": [{"name": "hcm"}]})
    assert front_conditions(chain, AT, Findings(Policy())) == []


@pytest.mark.parametrize(
    ("listed", "codes"),
    [
        ({"name": "envoy.filters.listener.tls_inspector"}, []),
        ({"name": "http_inspector"}, []),
        (packed("type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"), []),
        (packed("type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc"), ["LST-LFILTER"]),
        ({"name": "mine"}, ["LST-LFILTER"]),
    ],
)
def test_listener_filters_without_counterpart_are_reported(listed: dict[str, Any], codes: list[str]):
    findings = Findings(Policy())
    listener_filter.apply(message(xds.LISTENER, {"name": "l", "listener_filters": [listed]}), None, AT, findings)
    assert [diagnostic.code for diagnostic in findings.diagnostics()] == codes
