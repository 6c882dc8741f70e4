from __future__ import annotations

from typing import Any

from schemas import xds
from schemas.records import Role, UnitKind
from tests.translators.managed import tls_chain
from tests.translators.unit_outcome import outcome, packed, resource

HCM = xds.HTTP_CONNECTION_MANAGER.rpartition("/")[2]
REMOVAL = {"headers": {"remove": ["X-Forwarded-Client-Cert"]}, "use_real_request_uri_unsafe": True}
ALWAYS = {"forward_client_cert_details": "ALWAYS_FORWARD_ONLY"}
GENERATED = {"header_name": "X-Request-Id", "include_in_response": False}


def chain(name: str = "main", *, socket: dict[str, Any] | None = None, **hcm: Any) -> dict[str, Any]:
    filters = [{"name": "hcm", "typed_config": packed(HCM, hcm)}]
    return {"name": name, "filters": filters, **({"transport_socket": socket} if socket else {})}


def listener(name: str, port: int, *chains: dict[str, Any], **fields: Any) -> dict[str, Any]:
    socket = {"address": "0.0.0.0", "port_value": port}  # noqa: S104 - data
    return {"name": name, "address": {"socket_address": socket}, "filter_chains": list(chains), **fields}


def plugins(*listeners: dict[str, Any]) -> dict[str, Any]:
    found = outcome(UnitKind.VIEW, [resource(Role.SUBJECT, xds.LISTENER, data) for data in listeners])
    assert [one.key for one in found.objects] == ["/global_rules/xds"]
    rule: dict[str, Any] = found.value["plugins"]
    assert rule.pop("prometheus") == {"prefer_name": True}
    return rule


def test_every_request_is_sanitized_and_has_an_id():
    assert plugins(listener("a", 80, chain()), listener("b", 81, chain())) == {
        "proxy-rewrite": REMOVAL,
        "request-id": GENERATED,
    }


def test_a_view_without_http_has_metrics_only():
    assert plugins(listener("a", 80, {"filters": [{"name": "envoy.filters.network.tcp_proxy"}]})) == {}


def test_listeners_that_forward_always_are_spared():
    always = chain(**ALWAYS)
    found = plugins(listener("a", 80, always), listener("b", 81, chain()))
    assert found["proxy-rewrite"] == {**REMOVAL, "_meta": {"filter": [["server_port", "~=", "80"]]}}


def test_clients_with_a_certificate_are_spared_where_theirs_is_forwarded():
    socket = tls_chain(is_required=False)["transport_socket"]
    forward = chain(socket=socket, forward_client_cert_details="FORWARD_ONLY")
    found = plugins(listener("a", 443, forward))["proxy-rewrite"]["_meta"]["filter"]
    assert found == [["!AND", ["server_port", "==", "443"], ["ssl_client_verify", "==", "SUCCESS"]]]


def test_chains_of_one_listener_are_told_apart():
    own = {
        **chain("own", forward_client_cert_details="ALWAYS_FORWARD_ONLY"),
        "filter_chain_match": {"source_ports": [7]},
    }
    found = plugins(listener("a", 80, own, default_filter_chain=chain("other")))
    assert found["proxy-rewrite"]["_meta"]["filter"] == [
        ["!AND", ["server_port", "==", "80"], ["remote_port", "==", "7"]]
    ]
    other = listener("a", 80, default_filter_chain=chain("other", **ALWAYS))
    assert plugins(other)["proxy-rewrite"]["_meta"]["filter"] == [["server_port", "~=", "80"]]


def test_a_scope_that_cannot_be_expressed_is_not_spared():
    lost = {
        **chain(**ALWAYS),
        "filter_chain_match": {"transport_protocol": "x"},
    }
    assert plugins(listener("a", 80, lost))["proxy-rewrite"] == REMOVAL


def test_ids_are_made_where_they_are_wanted():
    bare = chain(generate_request_id=False)
    found = plugins(listener("a", 80, bare), listener("b", 81, chain()))
    assert found["request-id"] == {**GENERATED, "_meta": {"filter": [["server_port", "~=", "80"]]}}
    assert "request-id" not in plugins(listener("a", 80, bare))
