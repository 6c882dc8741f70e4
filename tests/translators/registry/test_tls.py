"""The descriptor walk of the family `tls`: no field without a decision (law 8)."""

from __future__ import annotations

import pytest

from schemas import xds
from translators.registry import find

MESSAGES = [
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
    "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
    "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_a_row(name: str):
    fields = [field.full_name for field in xds.message_class(name).DESCRIPTOR.fields]
    assert [field for field in fields if find(field) is None] == []
