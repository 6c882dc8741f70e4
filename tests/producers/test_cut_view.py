"""The stub of a listener has what concerns the whole node, and nothing that is secret or changes often."""

from __future__ import annotations

from typing import Any

from producers.cut_view import listener_stub
from schemas import xds

TLS = {
    "@type": xds.DOWNSTREAM_TLS_CONTEXT,
    "require_client_certificate": True,
    "session_ticket_keys": {"keys": [{"inline_string": "SECRET"}]},
    "common_tls_context": {
        "tls_params": {"cipher_suites": ["A"]},
        "tls_certificates": [{"private_key": {"inline_string": "SECRET"}}],
        "validation_context": {"trusted_ca": {"inline_string": "CA"}},
    },
}
HCM = {
    "@type": xds.HTTP_CONNECTION_MANAGER,
    "stat_prefix": "x",
    "forward_client_cert_details": "FORWARD_ONLY",
    "generate_request_id": False,
    "server_name": "edge",
    "rds": {"route_config_name": "r"},
    "tracing": {"random_sampling": {"value": 1}, "provider": {"name": "p"}},
}
LISTENER = {
    "name": "a",
    "stat_prefix": "x",
    "listener_filters": [
        {"name": "pp", "typed_config": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "x"}}
    ],
    "filter_chains": [
        {
            "name": "c",
            "filter_chain_match": {"server_names": ["a.example"]},
            "transport_socket": {"name": "tls", "typed_config": TLS},
            "filters": [{"name": "hcm", "typed_config": HCM}],
            "use_proxy_proto": True,
        }
    ],
}


def stub(data: dict[str, Any]) -> xds.Message:
    message = xds.from_json(data, xds.message_class(xds.LISTENER)())
    return xds.parse(xds.LISTENER, listener_stub(message))


def test_what_concerns_the_node_stays():
    found = stub(LISTENER)
    (chain,) = found.filter_chains
    assert list(chain.filter_chain_match.server_names) == ["a.example"]
    assert chain.use_proxy_proto.value
    context = xds.unpack(chain.transport_socket.typed_config)
    assert context.require_client_certificate.value
    assert context.HasField("session_ticket_keys")
    assert list(context.common_tls_context.tls_params.cipher_suites) == ["A"]
    hcm = xds.unpack(chain.filters[0].typed_config)
    assert (hcm.forward_client_cert_details, hcm.tracing.provider.name) == (1, "p")
    assert hcm.HasField("generate_request_id")


def test_the_rest_goes():
    found = stub(LISTENER)
    assert b"SECRET" not in found.SerializeToString()
    (chain,) = found.filter_chains
    context = xds.unpack(chain.transport_socket.typed_config).common_tls_context
    assert (len(context.tls_certificates), context.HasField("validation_context")) == (0, False)
    hcm = xds.unpack(chain.filters[0].typed_config)
    assert (hcm.server_name, hcm.stat_prefix, hcm.WhichOneof("route_specifier")) == ("", "", None)
    assert not hcm.tracing.HasField("random_sampling")
    (kept,) = found.listener_filters
    assert (kept.name, kept.typed_config.value) == ("pp", b"")
    assert kept.typed_config.type_url.endswith("StringValue")


def test_a_bare_listener_stays_bare():
    found = stub({"name": "a", "filter_chains": [{"filters": [{"name": "tcp"}]}]})
    (chain,) = found.filter_chains
    assert [field.name for field, _ in chain.ListFields()] == ["filters"]
    assert [kept.name for kept in chain.filters] == ["tcp"]
