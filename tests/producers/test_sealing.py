from __future__ import annotations

import base64

import pytest

from producers.sealing import seal_message
from schemas import xds
from tests.producers.scene import seal

TLS = "envoy.extensions.transport_sockets.tls.v3."
HTTP = "envoy.extensions.filters.http."


def sealed(full_name: str, data: dict):
    message = xds.from_json(data, xds.message_class(full_name)())
    seal_message(message, seal)
    return message


def token(text: str) -> str:
    return seal(text.encode())


def test_a_data_source_becomes_an_inline_string():
    secret = sealed(TLS + "Secret", {"name": "s", "generic_secret": {"secret": {"inline_bytes": "AAH/"}}})
    assert secret.generic_secret.secret.inline_string == seal(b"\x00\x01\xff")


def test_a_file_name_is_a_place_not_a_secret():
    certificate = sealed(TLS + "TlsCertificate", {"private_key": {"filename": "/key.pem"}})
    assert certificate.private_key.filename == "/key.pem"


def test_every_key_of_a_list_and_every_value_of_a_map_is_sealed():
    keys = sealed(TLS + "TlsSessionTicketKeys", {"keys": [{"inline_string": "one"}, {"inline_string": "two"}]})
    assert [key.inline_string for key in keys.keys] == [token("one"), token("two")]
    settings = sealed(HTTP + "ext_authz.v3.CheckSettings", {"context_extensions": {"k": "value"}})
    assert settings.context_extensions["k"] == token("value")
    many = sealed(TLS + "GenericSecret", {"secrets": {"a": {"inline_string": "x"}}})
    assert many.secrets["a"].inline_string == token("x")


def test_a_sensitive_any_is_sealed_as_a_whole():
    config = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"pin": "1234", "slots": ["a"], "n": 1}}
    provider = sealed(TLS + "PrivateKeyProvider", {"provider_name": "p", "typed_config": config})
    struct = xds.unpack(provider.typed_config)
    assert struct.fields["pin"].string_value == token("1234")
    assert struct.fields["slots"].list_value.values[0].string_value == token("a")
    assert struct.fields["n"].number_value == 1
    assert provider.provider_name == "p"


def test_the_name_beside_an_api_key_stays():
    filter_config = sealed(HTTP + "api_key_auth.v3.ApiKeyAuth", {"credentials": [{"key": "k", "client": "shop"}]})
    assert (filter_config.credentials[0].key, filter_config.credentials[0].client) == (token("k"), "shop")


PUBLIC_KEY = '{"keys": [{"kty": "RSA", "e": "AQAB", "n": "wA"}]}'


@pytest.mark.parametrize(
    ("text", "is_secret"),
    [
        (PUBLIC_KEY, False),
        ('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', True),
        ('{"keys": [{"kty": "RSA", "e": "AQAB", "n": "wA"}, {"kty": "RSA", "d": "wA"}]}', True),
        ("-----BEGIN PUBLIC KEY-----", True),
        ('{"keys": [1]}', True),
        ("{}", True),
    ],
)
@pytest.mark.parametrize("specifier", ["inline_string", "inline_bytes"])
def test_a_key_set_is_sealed_if_it_could_sign(text, is_secret, specifier):
    value = text if specifier == "inline_string" else base64.b64encode(text.encode()).decode()
    provider = {"issuer": "i", "local_jwks": {specifier: value}}
    found = sealed(HTTP + "jwt_authn.v3.JwtAuthentication", {"providers": {"p": provider}}).providers["p"].local_jwks
    if is_secret:
        assert found.inline_string == token(text)
    else:
        assert getattr(found, specifier) in (text, text.encode())


def test_the_walk_looks_into_any_inside_any():
    certificate = {"private_key": {"inline_string": "deep"}}
    context = {"@type": xds.DOWNSTREAM_TLS_CONTEXT, "common_tls_context": {"tls_certificates": [certificate]}}
    quic = "type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport"
    socket = {"name": "quic", "typed_config": {"@type": quic, "downstream_tls_context": {**context}}}
    socket["typed_config"]["downstream_tls_context"].pop("@type")
    chain = sealed("envoy.config.listener.v3.FilterChain", {"transport_socket": socket})
    inner = xds.unpack(chain.transport_socket.typed_config).downstream_tls_context
    assert inner.common_tls_context.tls_certificates[0].private_key.inline_string == token("deep")


def test_what_is_sealed_is_not_sealed_again():
    secret = sealed(TLS + "Secret", {"name": "s", "generic_secret": {"secret": {"inline_string": "x"}}})
    once = secret.SerializeToString()
    seal_message(secret, seal)
    assert secret.SerializeToString() == once


@pytest.mark.parametrize("text", ["mfseal1.", "mfseal1.a.b", "x mfseal1.a.b.c", "mfseal1.a.b.c\n"])
def test_what_only_looks_like_a_token_is_sealed(text):
    secret = sealed(TLS + "Secret", {"name": "s", "generic_secret": {"secret": {"inline_string": text}}})
    assert secret.generic_secret.secret.inline_string == token(text)


def test_an_any_of_an_unknown_type_is_left_as_it_is():
    unknown = xds.message_class("google.protobuf.Any")(type_url="type.googleapis.com/x.Y", value=b"?")
    seal_message(unknown, seal)
    assert unknown.value == b"?"
