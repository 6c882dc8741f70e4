"""Source: the certificate in CommonTlsContext of an UpstreamTlsContext, inline or from an SDS Secret.

Target: an ssl object of the type client, and upstream.tls.client_cert_id.
Fidelity: E for PEM that is inline or comes by SDS; N for files and providers.
Differs: connections that are kept alive live on with the old certificate. A cluster whose certificate cannot be had
    answers 503, as Envoy's does while it waits for the secret.
Diagnostics: TLS-PROVIDER, SEC-PENDING, SEC-SOURCE, SEC-KEYPAIR, CFG-INVALID.
See: mapping.md sections 6.1.3 and 6.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from translators.etcd_object import build_object
from translators.ids import label, object_id
from translators.mappings.tls.certificate import KeyPair, read_key_pair

if TYPE_CHECKING:
    from schemas import xds
    from schemas.records import EtcdObject
    from translators.findings import Findings
    from translators.where import Where

_PROVIDERS = (
    "tls_certificate_provider_instance",
    "tls_certificate_certificate_provider",
    "tls_certificate_certificate_provider_instance",
    "custom_tls_certificate_selector",
)
_CLOSED = "the cluster answers 503: it has no certificate to present"
_PENDING = "the cluster answers 503 until the secret arrives"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What is presented to the endpoints of a cluster.

    Attributes:
        secret: name of the Secret, whose own unit makes the ssl object; empty when the certificate is inline.
        pair: the inline certificate.
        is_missing: a certificate is wanted and cannot be had: nothing may be sent.
    """

    secret: str = ""
    pair: KeyPair | None = None
    is_missing: bool = False

    def ssl_id(self, cluster: str) -> str:
        """Give the id of the ssl object; empty when none is presented.

        It comes from names, never from the certificate, so that a new one changes the ssl object alone.

        Args:
            cluster: name of the cluster that the upstreams stand for.
        """
        if self.secret:
            return secret_ssl_id(self.secret)
        return object_id("ssls", cluster, "client", "cluster", cluster) if self.pair is not None else ""

    def ssl(self, cluster: str) -> EtcdObject | None:
        """Build the ssl object of an inline certificate; None when a secret's unit makes it, or none is needed."""
        if self.pair is None:
            return None
        return _client_ssl(self.ssl_id(cluster), self.pair, {"xds.cluster": label(cluster)})


NO_CERTIFICATE = ClientCertificate()
MISSING = ClientCertificate(is_missing=True)


def secret_ssl_id(secret: str) -> str:
    """Give the id of the ssl object of a Secret that clusters present."""
    return object_id("ssls", secret, "client", secret)


def secret_ssl(secret: str, pair: KeyPair) -> EtcdObject:
    """Build the ssl object of a Secret that clusters present."""
    return _client_ssl(secret_ssl_id(secret), pair, {"xds.secret": label(secret)})


def read_client_certificate(
    common: xds.Message, secrets: dict[str, xds.Message], at: Where, findings: Findings
) -> ClientCertificate:
    """Read what a CommonTlsContext of an upstream presents.

    Args:
        common: envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.
        secrets: the known secrets by name; of a certificate only that it is one.
        at: where the context stands.
        findings: receives the diagnostics.
    """
    for field in _PROVIDERS:
        if common.HasField(field):
            is_missing = findings.blocks("TLS-PROVIDER", at.field(field), effect=_CLOSED)
            return MISSING if is_missing else NO_CERTIFICATE
    count = len(common.tls_certificates) + len(common.tls_certificate_sds_secret_configs)
    if count > 1:
        findings.report("CFG-INVALID", at, value=f"{count} certificates of one client", effect=_CLOSED)
        return MISSING
    if common.tls_certificates:
        pair = read_key_pair(common.tls_certificates[0], at.item("tls_certificates", 0), findings)
        return ClientCertificate(pair=pair, is_missing=pair is None)
    if common.tls_certificate_sds_secret_configs:
        return _from_secret(common.tls_certificate_sds_secret_configs[0].name, secrets, at, findings)
    return NO_CERTIFICATE


def _from_secret(name: str, secrets: dict[str, xds.Message], at: Where, findings: Findings) -> ClientCertificate:
    place = at.item("tls_certificate_sds_secret_configs", name)
    secret = secrets.get(name)
    if secret is None:
        findings.report("SEC-PENDING", place, value=name, effect=_PENDING)
        return MISSING
    if not secret.HasField("tls_certificate"):
        findings.report("CFG-INVALID", place, value=f"{name} holds no certificate", effect=_CLOSED)
        return MISSING
    return ClientCertificate(secret=name)


def _client_ssl(ssl_id: str, pair: KeyPair, labels: dict[str, str]) -> EtcdObject:
    return build_object("ssls", ssl_id, {"cert": pair.cert, "key": pair.key, "labels": labels, "type": "client"})
