from __future__ import annotations

import pytest

from producers.secret import inspect
from schemas import xds
from tests.corpus.placeholder import filled, pair
from tests.producers import scene
from tests.translators.certificate_factory import make_pair

REAL = make_pair("real")
NOW_MS = 1_700_000_000_000


def certificate(chain: str, key: str) -> dict[str, dict[str, str]]:
    return {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}


def pair_in(data: dict[str, dict[str, str]]) -> tuple[bytes, bytes]:
    [change] = filled([scene.change(xds.SECRET, {"name": "s", "tls_certificate": data})])
    found = change.body.tls_certificate
    return found.certificate_chain.inline_bytes, found.private_key.inline_bytes


@pytest.mark.parametrize(
    ("chain", "key"), [("cert-data", "key-data"), ("", ""), (REAL.cert, "[redacted]"), ("placeholder.crt", REAL.key)]
)
def test_a_placeholder_becomes_a_pair_that_fits(chain: str, key: str):
    assert pair_in(certificate(chain, key)) == pair()


def test_the_pair_is_sound_and_the_same_in_every_run():
    change = scene.change(xds.SECRET, {"name": "s", "tls_certificate": certificate("", "")})
    [made] = filled([change])
    inspection = inspect(xds.SECRET, made.body, NOW_MS)
    assert (inspection.faults, inspection.expiries) == ((), ())
    assert change.body.tls_certificate.certificate_chain.inline_string == ""
    before = pair()
    pair.cache_clear()
    assert pair() == before


@pytest.mark.parametrize(
    "data",
    [
        certificate(REAL.cert, REAL.key),
        certificate("-----BEGIN CERTIFICATE-----\ndamaged", REAL.key),
        {"certificate_chain": {"filename": "/cert"}, "private_key": {"filename": "/key"}},
    ],
    ids=["real", "damaged", "file"],
)
def test_what_is_no_placeholder_stays(data: dict[str, dict[str, str]]):
    change = scene.change(xds.SECRET, {"name": "s", "tls_certificate": data})
    assert filled([change])[0].body == change.body


def test_placeholders_inside_clusters_and_authorities_are_found():
    common = {
        "tls_certificates": [certificate("cert", "key")],
        "validation_context": {"trusted_ca": {"inline_string": "ca"}},
    }
    context = {"@type": xds.UPSTREAM_TLS_CONTEXT, "common_tls_context": common}
    [change] = filled([scene.cluster("c", transport_socket={"name": scene.TLS_SOCKET, "typed_config": context})])
    found = xds.unpack(change.body.transport_socket.typed_config).common_tls_context
    assert found.tls_certificates[0].private_key.inline_bytes == pair().key
    assert found.validation_context.trusted_ca.inline_bytes == pair().cert
    route_configuration = scene.route_configuration("r")
    assert filled([route_configuration]) == (route_configuration,)
