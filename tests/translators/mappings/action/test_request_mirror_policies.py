"""Mirrors: the share that is copied, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import xds
from tests.translators.route_parts import AT, context, message
from translators.findings import Findings
from translators.mappings.action.request_mirror_policies import MIN_RATIO, mirror_of

if TYPE_CHECKING:
    from schemas.records import Diagnostic

ISTIO = "outbound|9080|{subset}|shadow.ns.svc.cluster.local"


def mirrored(
    *policies: dict[str, Any], address: str = "", name: str = "shadow", **levels: Any
) -> tuple[dict[str, Any], tuple[Diagnostic, ...]]:
    """Mirror requests that lead to the cluster `backend`; the cluster `name` has one endpoint where there is any."""
    around = context(clusters=("backend", name), **levels)
    if address:
        endpoint = {"endpoint": {"address": {"socket_address": {"address": address, "port_value": 80}}}}
        assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
        around.assignments[name] = message(xds.CLUSTER_LOAD_ASSIGNMENT, assignment)
    findings = Findings(around.policy)
    action = message(xds.ROUTE_ACTION, {"cluster": "backend", "request_mirror_policies": list(policies)})
    plugins = mirror_of(action, ["backend"], around, AT.field("route"), findings)
    return plugins.get("proxy-mirror", {}), findings.diagnostics()


@pytest.mark.parametrize(
    ("fraction", "ratio"),
    [
        ({"numerator": 100}, None),
        ({"numerator": 200}, None),
        ({"numerator": 5, "denominator": "TEN_THOUSAND"}, 0.0005),
        ({"numerator": 1, "denominator": "MILLION"}, MIN_RATIO),
    ],
)
def test_a_share_is_copied(fraction: dict[str, Any], ratio: float | None):
    conf, said = mirrored({"cluster": "shadow", "runtime_fraction": {"default_value": fraction}}, address="10.0.0.1")
    assert conf.get("sample_ratio") == ratio
    assert said == ()


def test_nothing_is_copied_of_a_share_of_nothing():
    conf, said = mirrored({"cluster": "shadow", "runtime_fraction": {"default_value": {}}}, address="10.0.0.1")
    assert (conf, said) == ({}, ())


def test_a_service_is_known_by_its_name():
    name = ISTIO.format(subset="")
    conf, said = mirrored({"cluster": name}, name=name, address="10.0.0.1")
    assert conf["host"] == "http://shadow.ns.svc.cluster.local:9080"
    assert said == ()


def test_a_subset_is_known_by_its_endpoint():
    name = ISTIO.format(subset="v2")
    conf, said = mirrored({"cluster": name}, name=name, address="10.0.0.1")
    assert conf["host"] == "http://10.0.0.1:80"
    assert said == ()


@pytest.mark.parametrize("address", ["a_b.example", ""])
def test_a_cluster_without_an_address_that_the_plugin_takes_gets_no_copies(address: str):
    conf, said = mirrored({"cluster": "shadow"}, address=address)
    assert conf == {}
    assert [one.code for one in said] == ["RA-MIRROR"]


def test_policies_of_the_virtual_host_count_where_the_route_has_none():
    outer = {"request_mirror_policies": [{"cluster": "nobody"}]}
    _, said = mirrored(virtual_host=outer)
    assert [one.path for one in said] == ["virtual_hosts[shop].request_mirror_policies[0].cluster"]
    conf, said = mirrored({"cluster": "shadow"}, address="10.0.0.1", virtual_host=outer)
    assert conf["host"] == "http://10.0.0.1:80"
    assert said == ()


@pytest.mark.parametrize(
    ("common", "host", "codes"),
    [({}, "https://10.0.0.9:80", []), ({"tls_certificates": [{}]}, None, ["RA-MIRROR"])],
)
def test_copies_present_no_certificate_so_a_cluster_that_wants_one_gets_none(
    common: dict[str, Any], host: str | None, codes: list[str]
):
    socket = {"name": "tls", "typed_config": {"@type": xds.UPSTREAM_TLS_CONTEXT, "common_tls_context": common}}
    shadow = {"name": "shadow", "transport_socket": socket}
    around = context(clusters=("backend", shadow), policy={"TLS-UPSTREAM-UNVERIFIED": "allow"})
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "10.0.0.9", "port_value": 80}}}}
    assignment = {"cluster_name": "shadow", "endpoints": [{"lb_endpoints": [endpoint]}]}
    around.assignments["shadow"] = message(xds.CLUSTER_LOAD_ASSIGNMENT, assignment)
    findings = Findings(around.policy)
    action = message(xds.ROUTE_ACTION, {"cluster": "backend", "request_mirror_policies": [{"cluster": "shadow"}]})
    plugins = mirror_of(action, ["backend"], around, AT.field("route"), findings)
    assert plugins.get("proxy-mirror", {}).get("host") == host
    assert [found.code for found in findings.diagnostics()] == codes
