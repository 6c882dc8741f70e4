"""Source: CertificateValidationContext of a DownstreamTlsContext, require_client_certificate.

Target: ssl.client.
Fidelity: E for trusted_ca and max_verify_depth; A for optional certificates; N for the rest.
Differs: an optional certificate that does not verify counts as none, and where something is asked of it that cannot be
    enforced none is asked for; HTTP also wants SNI and Host to agree.
Diagnostics: TLS-SAN, TLS-VALIDATION, SEC-PENDING, SEC-SOURCE.
See: mapping.md sections 4.5 and 6.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.records import Severity
from translators import dispatch
from translators.diagnostics import DiagnosticClass
from translators.mappings.tls.data_source import read_text
from translators.mappings.tls.pem import parse_certificates

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

UNLIMITED_DEPTH = 100
"""Envoy sets no limit; APISIX's default of 1 would refuse most chains."""
EVERY_URI = ".*"
MIN_CHARS, MAX_CHARS = 128, 65_536
_ACCEPT_UNTRUSTED = 1
_ANONYMOUS = "no certificate is asked for: every client is one without"
_UNENFORCED = {
    "match_typed_subject_alt_names": "TLS-SAN",
    "match_subject_alt_names": "TLS-SAN",
    "verify_certificate_spki": "TLS-VALIDATION",
    "verify_certificate_hash": "TLS-VALIDATION",
    "crl": "TLS-VALIDATION",
    "only_verify_leaf_cert_crl": "TLS-VALIDATION",
    "require_signed_certificate_timestamp": "TLS-VALIDATION",
    "custom_validator_config": "TLS-VALIDATION",
    "ca_certificate_provider_instance": "TLS-VALIDATION",
    "system_root_certs": "TLS-VALIDATION",
}
_PROVIDERS = ("validation_context_certificate_provider", "validation_context_certificate_provider_instance")


@dataclass(frozen=True, slots=True)
class ClientValidation:
    """What is asked of clients.

    Attributes:
        client: the value of ssl.client; empty when nothing is asked.
        is_closed: something is asked that cannot be enforced: nobody may pass.
    """

    client: dict[str, Any]
    is_closed: bool = False


NOTHING_ASKED = ClientValidation({})
CLOSED = ClientValidation({}, is_closed=True)


def read_validation(
    context: xds.Message, secrets: dict[str, xds.Message], at: Where, findings: Findings
) -> ClientValidation:
    """Read what a DownstreamTlsContext asks of clients.

    Args:
        context: envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext.
        secrets: the known secrets by name.
        at: where the context stands.
        findings: receives the diagnostics.
    """
    place = at.field("common_tls_context")
    is_required = context.require_client_certificate.value
    validation = _merged(context.common_tls_context, secrets, place, findings)
    if validation is None:
        return CLOSED if is_required else NOTHING_ASKED
    if not is_required:
        return _optional(validation, place, findings)
    place = place.field("validation_context")
    is_closed = _is_unenforced(validation, "nobody is let in", place, findings)
    if validation.trust_chain_verification == _ACCEPT_UNTRUSTED:
        _approximate(
            "TLS-VALIDATION", place.field("trust_chain_verification"), "untrusted certificates are refused", findings
        )
    authority = _authority(validation, place, findings)
    if authority is None and not validation.HasField("trusted_ca"):
        is_closed = findings.blocks("TLS-VALIDATION", place, effect="no CA to verify clients by") or is_closed
        return ClientValidation({}, is_closed=is_closed)
    if authority is None:
        return CLOSED
    return ClientValidation({"ca": authority, "depth": _depth(validation)}, is_closed=is_closed)


def _merged(common: xds.Message, secrets: dict[str, xds.Message], at: Where, findings: Findings) -> xds.Message | None:
    """Give the validation context with its secret merged in; None when there is none or it cannot be had."""
    kind = common.WhichOneof("validation_context_type")
    if kind == "validation_context":
        return common.validation_context
    if kind == "validation_context_sds_secret_config":
        return _from_secret(common.validation_context_sds_secret_config.name, secrets, at.field(kind), findings)
    if kind == "combined_validation_context":
        combined = common.combined_validation_context
        merged = type(combined.default_validation_context)()
        merged.CopyFrom(combined.default_validation_context)
        for field in _PROVIDERS:
            if combined.HasField(field):
                findings.report("TLS-PROVIDER", at.field(kind).field(field))
                return None
        if combined.HasField("validation_context_sds_secret_config"):
            name = combined.validation_context_sds_secret_config.name
            dynamic = _from_secret(name, secrets, at.field(kind), findings)
            if dynamic is None:
                return None
            merged.MergeFrom(dynamic)
        return merged
    if kind is not None:
        findings.report("TLS-PROVIDER", at.field(kind))
    return None


def _from_secret(name: str, secrets: dict[str, xds.Message], at: Where, findings: Findings) -> xds.Message | None:
    if name not in secrets:
        findings.report("SEC-PENDING", at, value=name, effect="nobody is let in until the secret arrives")
        return None
    return secrets[name].validation_context


def _optional(validation: xds.Message, at: Where, findings: Findings) -> ClientValidation:
    """Ask for a certificate but let clients in without one; one that cannot be judged in full is not asked for."""
    if _is_unenforced(validation, _ANONYMOUS, at, findings):
        return NOTHING_ASKED
    authority = _authority(validation, at, findings) if validation.HasField("trusted_ca") else None
    if authority is None:
        return NOTHING_ASKED
    findings.report(
        "TLS-VALIDATION",
        at.field("trusted_ca"),
        effect="a certificate that does not verify counts as none",
        severity=Severity.INFO,
        diagnostic_class=DiagnosticClass.APPROXIMATED,
    )
    return ClientValidation({"ca": authority, "depth": _depth(validation), "skip_mtls_uri_regex": [EVERY_URI]})


def _approximate(code: str, at: Where, effect: str, findings: Findings) -> None:
    findings.report(code, at, effect=effect, severity=Severity.WARN, diagnostic_class=DiagnosticClass.APPROXIMATED)


def _is_unenforced(validation: xds.Message, effect: str, at: Where, findings: Findings) -> bool:
    """Tell whether something is asked that cannot be enforced and that the policy does not give up."""
    dispatch.apply(validation, None, at, findings)
    is_blocking = False
    set_fields = {field.name for field, _ in validation.ListFields()}
    for field, code in _UNENFORCED.items():
        if field in set_fields:
            is_blocking = findings.blocks(code, at.field(field), effect=effect) or is_blocking
    return is_blocking


def _authority(validation: xds.Message, at: Where, findings: Findings) -> str | None:
    if not validation.HasField("trusted_ca"):
        return None
    text = read_text(validation.trusted_ca, at.field("trusted_ca"), findings)
    if text is None:
        return None
    problem = _problem_of(text)
    if problem is not None:
        findings.report("SEC-KEYPAIR", at.field("trusted_ca"), value=problem, effect="clients cannot be verified")
        return None
    return text


def _problem_of(bundle: str) -> str | None:
    if not MIN_CHARS <= len(bundle) <= MAX_CHARS:
        return f"a CA bundle of {len(bundle)} characters"
    try:
        parse_certificates(bundle)
    except ValueError:
        return "the CA bundle is not PEM"
    return None


def _depth(validation: xds.Message) -> int:
    return int(validation.max_verify_depth.value) if validation.HasField("max_verify_depth") else UNLIMITED_DEPTH
