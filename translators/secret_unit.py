"""Translate units of the kind `secret`: certificates are served by tls units, so a secret only has to be sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from translators import dispatch
from translators.mappings.tls.certificate import read_key_pair
from translators.translation import Translation
from translators.where import Where

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.unit_view import UnitView


def translate(view: UnitView, findings: Findings) -> Translation:
    """Check a secret.

    Args:
        view: SUBJECT Secret.
        findings: receives SEC-SOURCE and SEC-KEYPAIR, once per secret however many chains use it.

    Returns:
        Nothing to serve.
    """
    secret = view.subject(xds.SECRET)
    if secret is None:
        return Translation()
    at = Where(xds.SECRET, secret.name)
    dispatch.apply(secret, None, at, findings)
    if secret.HasField("tls_certificate"):
        read_key_pair(secret.tls_certificate, at.field("tls_certificate"), findings)
    return Translation()
