from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.oracle.router import Request, holds
from tests.translators.unit_builder import message
from translators.findings import Findings
from translators.policy import Action, Policy
from translators.scope import own_chain, scope_conditions
from translators.where import Where

FILTER = {"name": "hcm"}
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - data


def listener_of(
    *chains: dict[str, Any], own: int = 0, ip: str = EVERY_ADDRESS, port: int = 80, **fields: Any
) -> xds.Message:
    address = {"socket_address": {"address": ip, "port_value": port}}
    listed = [{**chain, "filters": [FILTER]} if index == own else chain for index, chain in enumerate(chains or ({},))]
    return message(xds.LISTENER, {"name": f"{ip}_{port}", "address": address, "filter_chains": listed, **fields})


def scope(listener: xds.Message, *neighbours: xds.Message, policy: Policy | None = None) -> tuple[Any, list[str]]:
    findings = Findings(policy or Policy())
    chain = own_chain(listener)
    assert chain is not None
    found = scope_conditions(listener, chain, neighbours, Where(xds.LISTENER, listener.name), findings)
    return found, [diagnostic.code for diagnostic in findings.diagnostics()]


def takes(conditions: Any, **variables: str) -> bool:
    return all(holds(condition, Request("a", "/", variables=variables)) for condition in conditions)


def test_a_plain_listener_is_its_port():
    assert scope(listener_of()) == ([("server_port", "==", "80")], [])


def test_ports_are_mapped():
    assert scope(listener_of(), policy=Policy(port_map={80: 9080}))[0] == [("server_port", "==", "9080")]


def test_additional_addresses_are_more_ports():
    more = [{"address": {"socket_address": {"address": "::", "port_value": port}}} for port in (8080, 443, 80)]
    assert scope(listener_of(additional_addresses=more))[0] == [("server_port", "in", ("80", "443", "8080"))]


def test_listeners_on_one_port_are_told_apart_by_address():
    wide, one, two = listener_of(), listener_of(ip="10.0.0.1"), listener_of(ip="10.0.0.2")
    of_wide, of_one = scope(wide, one, two)[0], scope(one, wide, two)[0]
    for address, is_wide in (("10.0.0.1", False), ("10.0.0.2", False), ("10.0.0.3", True)):
        assert takes(of_wide, server_port="80", server_addr=address) == is_wide
        assert takes(of_one, server_port="80", server_addr=address) == (address == "10.0.0.1")


@pytest.mark.parametrize("unbound", [{"bind_to_port": False}, {"deprecated_v1": {"bind_to_port": False}}])
def test_listeners_behind_redirection_are_told_apart_by_the_original_destination(unbound: dict[str, Any]):
    wide, one = listener_of(port=9080, **unbound), listener_of(ip="10.96.0.7", port=9080, **unbound)
    of_wide, of_one = scope(wide, one)[0], scope(one, wide)[0]
    assert of_one == [("connection_original_dst", "==", "10.96.0.7:9080")]
    for original, is_wide in (("10.96.0.7:9080", False), ("10.1.1.1:9080", True), ("10.1.1.1:19080", False)):
        assert takes(of_wide, connection_original_dst=original) == is_wide


def test_ipv6_behind_redirection_is_not_served():
    assert scope(listener_of(ip="fd00::1", bind_to_port=False)) == (None, ["LST-ADDR"])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"address": {"pipe": {"path": "/x"}}}, "LST-ADDR"),
        ({"address": {"socket_address": {"address": "1.2.3.4", "named_port": "http"}}}, "LST-ADDR"),
        ({"address": {"socket_address": {"address": "host", "port_value": 80}}}, "LST-ADDR"),
        ({"address": {"socket_address": {"address": "1.2.3.4", "port_value": 80, "resolver_name": "x"}}}, "LST-ADDR"),
        ({"address": {"envoy_internal_address": {"server_listener_name": "x"}}}, "LST-INTERNAL"),
        ({"internal_listener": {}}, "LST-INTERNAL"),
    ],
)
def test_addresses_that_nginx_cannot_listen_on_are_not_served(fields: dict[str, Any], code: str):
    assert scope(listener_of(**fields)) == (None, [code])


def test_one_bad_address_of_several_is_left_out():
    more = [{"address": {"pipe": {"path": "/x"}}}]
    assert scope(listener_of(additional_addresses=more)) == ([("server_port", "==", "80")], ["LST-ADDR"])


def test_the_default_chain_alone_takes_everything():
    listener = listener_of(own=-1, default_filter_chain={"filters": [FILTER]})
    del listener.filter_chains[:]
    assert scope(listener)[0] == [("server_port", "==", "80")]


def test_the_default_chain_takes_what_others_leave():
    chains = [{"filter_chain_match": {"source_ports": [1]}}, {"filter_chain_match": {"source_ports": [2]}}]
    found = scope(listener_of(*chains, own=-1, default_filter_chain={"filters": [FILTER]}))[0]
    assert takes(found, server_port="80", remote_port="3")
    assert not takes(found, server_port="80", remote_port="2")


@pytest.mark.parametrize(
    "fields",
    [
        {"use_original_dst": True},
        {"listener_filters": [{"name": "envoy.filters.listener.original_dst"}]},
        {
            "listener_filters": [
                {
                    "name": "dst",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"
                    },
                }
            ]
        },
    ],
)
def test_behind_an_original_dst_filter_ports_are_those_before_redirection(fields: dict[str, Any]):
    found = scope(listener_of({"filter_chain_match": {"destination_port": 8000}}, port=15006, **fields))[0]
    assert takes(found, server_port="15006", connection_original_dst="10.1.1.1:8000")
    assert not takes(found, server_port="15006", connection_original_dst="10.1.1.1:18000")


def test_a_chain_for_another_port_takes_nothing():
    assert scope(listener_of({"filter_chain_match": {"destination_port": 81}})) == (None, ["RT-SHADOWED"])
    more = [{"address": {"socket_address": {"address": "::", "port_value": 82}}}]
    assert scope(listener_of({"filter_chain_match": {"destination_port": 81}}, additional_addresses=more))[0] is None


def test_destination_ports_are_mapped_too():
    listener = listener_of({"filter_chain_match": {"destination_port": 80}})
    assert scope(listener, policy=Policy(port_map={80: 9080}))[0] == [("server_port", "==", "9080")]


def test_plaintext_beside_tls_is_not_served_unless_the_operator_says_so():
    chains = [
        {"filter_chain_match": {"transport_protocol": "raw_buffer"}},
        {"filter_chain_match": {"transport_protocol": "tls"}},
    ]
    assert scope(listener_of(*chains)) == (None, ["LST-TLS-MIX"])
    assert scope(listener_of(*chains), policy=Policy(overrides={"LST-TLS-MIX": Action.WARN}))[0] is not None
    assert scope(listener_of(*chains, own=1))[1] == []


def test_protocols_that_nginx_cannot_offer():
    istio = {"filter_chain_match": {"application_protocols": ["istio"]}}
    bare: dict[str, Any] = {"filter_chain_match": {}}
    assert scope(listener_of(istio, bare)) == (None, ["LST-ALPN", "RT-SHADOWED"])
    assert scope(listener_of(istio)) == ([("server_port", "==", "80")], ["LST-ALPN"])
    assert scope(listener_of(istio, bare, own=1)) == ([("server_port", "==", "80")], [])


def test_a_value_that_cannot_be_tested_costs_the_chain():
    assert scope(listener_of({"filter_chain_match": {"transport_protocol": "smoke"}})) == (None, ["LST-MATCHER"])


def test_a_listener_whose_chains_are_all_stubs_has_no_chain():
    assert own_chain(listener_of(own=-1)) is None
