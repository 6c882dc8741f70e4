from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from producers.secret import inspect
from schemas import xds
from tests.producers.scene import change, cluster, hcm, listener, seal, tls
from tests.translators.certificate_factory import START, Pair, make_pair

PAIR = make_pair()
OTHER = make_pair("other.example.com")
NOW_MS = round((START + dt.timedelta(days=1)).timestamp() * 1000)
CENTURIES_MS = 300 * 366 * 86_400_000
CONTEXT = "envoy.extensions.transport_sockets.tls.v3.{}TlsContext"
PASSWORD = b"open sesame"


def certificate(pair: Pair = PAIR, **fields):
    inline = {"certificate_chain": {"inline_string": pair.cert}, "private_key": {"inline_string": pair.key}}
    return {name: value for name, value in {**inline, **fields}.items() if value is not None}


def socket(side: str, *certificates):
    config = {"@type": xds.TYPE_URL_PREFIX + CONTEXT.format(side), "common_tls_context": {}}
    config["common_tls_context"]["tls_certificates"] = list(certificates)
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def secret(**fields):
    return change(xds.SECRET, {"name": "s", "tls_certificate": certificate(**fields)})


def look(resource, time_ms=NOW_MS):
    return inspect(resource.type_url, resource.body, time_ms)


def key_in(inspection) -> str:
    return inspection.message.tls_certificate.private_key.inline_bytes.decode()


def encrypted(pair: Pair) -> str:
    key = load_pem_private_key(pair.key.encode(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)).decode()


def test_a_good_pair_is_taken_as_it_is():
    resource = secret()
    assert look(resource) == (resource.body, (), ())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"private_key": {"inline_string": OTHER.key}}, "does not belong to the first certificate"),
        ({"private_key": {"inline_string": "AAAA"}}, "private key is not PEM"),
        ({"private_key": {"inline_string": PAIR.key[:60]}}, "private key is not PEM"),
        ({"certificate_chain": {"inline_string": "AAAA"}}, "certificate chain is not PEM"),
        ({"certificate_chain": {"inline_bytes": "/w=="}, "private_key": None}, "certificate chain is not PEM"),
        ({"certificate_chain": {"inline_string": PAIR.cert.replace("M", "Z", 1)}}, "certificate chain is not PEM"),
        ({"private_key": {"inline_string": encrypted(PAIR)}}, "its password is missing or wrong"),
        ({"pkcs12": {"inline_string": "AAAA"}, "private_key": None}, "PKCS#12 bundle cannot be opened"),
    ],
)
def test_a_bad_pair_is_a_fault_that_shows_nothing(fields, text):
    [(path, said)] = look(secret(**fields)).faults
    assert path == "tls_certificate"
    assert text in said
    assert "AAAA" not in said


def test_what_is_not_inline_is_left_to_the_translator():
    assert look(secret(private_key={"filename": "/key.pem"})).faults == ()
    assert look(secret(certificate_chain={"filename": "/chain.pem"})).faults == ()
    assert look(secret(private_key={"inline_string": seal(b"x")})).faults == ()


def test_listeners_and_clusters_hold_certificates_too():
    bad = certificate(private_key={"inline_string": OTHER.key})
    chain = {**hcm(), "transport_socket": socket("Downstream", certificate(), bad)}
    faults = look(listener("l", hcm(), chain, default_filter_chain=chain)).faults
    assert [path for path, _ in faults] == [
        "filter_chains[1].transport_socket",
        "default_filter_chain.transport_socket",
    ]
    match = {"name": "m", "match": {}, "transport_socket": socket("Upstream", bad)}
    faults = look(cluster("c", transport_socket=socket("Upstream", bad), transport_socket_matches=[match])).faults
    assert [path for path, _ in faults] == ["transport_socket", "transport_socket_matches[0].transport_socket"]


def test_a_listener_without_inline_certificates_is_not_copied():
    resource = listener("l", tls(hcm(), "example.com"))
    assert look(resource).message is resource.body


def test_expired_and_not_yet_valid_are_said_and_taken():
    expired, early = look(secret(), NOW_MS + CENTURIES_MS), look(secret(), 0)
    assert (expired.faults, early.faults) == ((), ())
    [(path, said)] = expired.expiries
    assert (path, said.partition(" on ")[0]) == (
        "tls_certificate.certificate_chain",
        "certificate 0 of the chain expired",
    )
    [(_, said)] = early.expiries
    assert said == "certificate 0 of the chain is not valid before 2020-01-01 00:00 UTC"


def test_an_encrypted_key_is_opened_with_its_password():
    resource = secret(private_key={"inline_string": encrypted(PAIR)}, password={"inline_string": PASSWORD.decode()})
    before = resource.body.SerializeToString()
    inspection = look(resource)
    assert inspection.faults == ()
    assert key_in(inspection) == PAIR.key
    assert not inspection.message.tls_certificate.HasField("password")
    assert resource.body.SerializeToString() == before


def test_a_password_that_nothing_needs_does_no_harm():
    assert key_in(look(secret(password={"inline_string": "x"}))) == PAIR.key


def test_a_pkcs12_bundle_becomes_pem():
    leaf = x509.load_pem_x509_certificate(PAIR.cert.encode())
    key = load_pem_private_key(PAIR.key.encode(), None)
    bundle = pkcs12.serialize_key_and_certificates(None, key, leaf, None, BestAvailableEncryption(PASSWORD))
    resource = change(xds.SECRET, {"name": "s", "tls_certificate": {"password": {"inline_string": PASSWORD.decode()}}})
    resource.body.tls_certificate.pkcs12.inline_bytes = bundle
    inspection = look(resource)
    assert inspection.faults == ()
    assert key_in(inspection) == PAIR.key
    assert inspection.message.tls_certificate.certificate_chain.inline_bytes.decode() == PAIR.cert
    assert not inspection.message.tls_certificate.HasField("pkcs12")
