from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.managed import CHAIN, managed, tls_chain
from translators.format_string import Variable
from translators.mappings.http_connection_manager.forward_client_cert import Client, client_of, kept_for

REQUIRED, OPTIONAL = tls_chain(is_required=True), tls_chain(is_required=False)
RAW = {"transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}}
OTHER = {"transport_socket": {"name": "alts", "typed_config": {"@type": "type.googleapis.com/google.protobuf.Empty"}}}


def kept(chain: dict[str, Any] | None, **hcm: Any) -> Client | None:
    around = None if chain is None else xds.from_json(chain, xds.message_class(CHAIN)())
    return kept_for(xds.from_json(hcm, xds.message_class(xds.HTTP_CONNECTION_MANAGER)()), around)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ({}, Client.ANONYMOUS),
        (RAW, Client.ANONYMOUS),
        (REQUIRED, Client.CERTIFIED),
        (OPTIONAL, Client.OPTIONAL),
        (tls_chain(is_required=None), Client.OPTIONAL),
        (OTHER, Client.OPTIONAL),
    ],
)
def test_what_is_known_of_clients(chain: dict[str, Any], client: Client):
    assert client_of(xds.from_json(chain, xds.message_class(CHAIN)())) is client
    assert client_of(None) is Client.ANONYMOUS


@pytest.mark.parametrize("forward", ["SANITIZE", "SANITIZE_SET"])
@pytest.mark.parametrize("chain", [None, REQUIRED, OPTIONAL])
def test_nothing_passes_where_it_is_sanitized(forward: str, chain: dict[str, Any] | None):
    assert kept(chain, forward_client_cert_details=forward) is None
    assert kept(chain) is None


@pytest.mark.parametrize("forward", ["FORWARD_ONLY", "APPEND_FORWARD"])
def test_only_clients_with_a_certificate_hand_on(forward: str):
    assert kept(REQUIRED, forward_client_cert_details=forward) is Client.OPTIONAL
    assert kept(OPTIONAL, forward_client_cert_details=forward) is Client.OPTIONAL
    assert kept(None, forward_client_cert_details=forward) is None


def test_always_is_always_unless_a_matcher_decides():
    assert kept(None, forward_client_cert_details="ALWAYS_FORWARD_ONLY") is Client.ANONYMOUS
    assert kept(None, forward_client_cert_details="ALWAYS_FORWARD_ONLY", forward_client_cert_matcher={}) is None


def test_an_element_is_written_where_every_client_has_a_certificate():
    details = {"subject": True, "cert": True, "dns": True}
    hcm = {"forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": details}
    found = managed(hcm, REQUIRED)
    ((mutation,),) = (step.mutations for step in found.draft.request)
    assert [piece.name for piece in mutation.pieces if isinstance(piece, Variable)] == [
        "ssl_client_escaped_cert",
        "ssl_client_s_dn",
    ]
    assert found.said == [
        ("HCM-XFF", "forward_client_cert_details"),
        ("HCM-XFF", "set_current_client_cert_details.dns"),
    ]


@pytest.mark.parametrize("chain", [OPTIONAL, tls_chain(is_required=None)])
@pytest.mark.parametrize("forward", ["SANITIZE_SET", "APPEND_FORWARD"])
def test_no_element_is_written_where_there_may_be_no_certificate(forward: str, chain: dict[str, Any]):
    found = managed(
        {"forward_client_cert_details": forward, "set_current_client_cert_details": {"subject": True}}, chain
    )
    assert found.draft.request == []
    assert found.said == [("HCM-XFF", "forward_client_cert_details")]


def test_no_element_is_written_where_nothing_of_it_is_known():
    found = managed(
        {"forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": {"uri": True}}, REQUIRED
    )
    assert found.draft.request == []
    assert [code for code, _ in found.said] == ["HCM-XFF"]


@pytest.mark.parametrize("forward", ["FORWARD_ONLY", "ALWAYS_FORWARD_ONLY"])
def test_forwarding_writes_nothing(forward: str):
    found = managed({"forward_client_cert_details": forward}, REQUIRED)
    assert (found.draft.request, found.said) == ([], [])


def test_a_matcher_is_reported_once():
    found = managed({"forward_client_cert_details": "SANITIZE_SET", "forward_client_cert_matcher": {}}, REQUIRED)
    assert found.said == [("HCM-XFF", "forward_client_cert_matcher")]
    assert found.draft.request == []
