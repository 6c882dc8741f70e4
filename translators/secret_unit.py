"""Translate units of the kind `secret`: its certificate as clusters present it; tls units serve their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from schemas.records import Role
from translators import dispatch
from translators.mappings.tls.certificate import read_key_pair
from translators.mappings.tls.client_certificate import secret_ssl
from translators.translation import Translation
from translators.where import Where

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.unit_view import UnitView


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate a secret.

    Args:
        view: SUBJECT Secret; USE UpstreamTlsContext when clusters present its certificate.
        findings: receives SEC-SOURCE and SEC-KEYPAIR, once per secret however many chains use it.

    Returns:
        The ssl object of a certificate that clusters present; nothing for any other secret, which is only checked.
    """
    secret = view.subject(xds.SECRET)
    if secret is None:
        return Translation()
    at = Where(xds.SECRET, secret.name)
    dispatch.apply(secret, None, at, findings)
    if not secret.HasField("tls_certificate"):
        return Translation()
    pair = read_key_pair(secret.tls_certificate, at.field("tls_certificate"), findings)
    if pair is None or not view.all(Role.USE, xds.UPSTREAM_TLS_CONTEXT):
        return Translation()
    ssl = secret_ssl(secret.name, pair)
    return Translation([ssl], origins={ssl.key: at})
