"""Rows of the family `tls`: contexts, certificates, validation, secrets."""

from __future__ import annotations

from translators.mappings.tls import ocsp
from translators.registry.row import Fidelity, Handled, Row, diagnosed, handled, ignored, lost

_PACKAGE = "envoy.extensions.transport_sockets.tls.v3"
_DOWNSTREAM = f"{_PACKAGE}.DownstreamTlsContext"
_UPSTREAM = f"{_PACKAGE}.UpstreamTlsContext"
_COMMON = f"{_PACKAGE}.CommonTlsContext"
_COMBINED = f"{_COMMON}.CombinedCertificateValidationContext"
_CERTIFICATE = f"{_PACKAGE}.TlsCertificate"
_VALIDATION = f"{_PACKAGE}.CertificateValidationContext"
_SECRET = f"{_PACKAGE}.Secret"
_SESSIONS = "TLS sessions are set in config.yaml of the node (ssl_session_tickets)"
_GLOBAL = "set in config.yaml of the node for all names together"
_PEM = "certificates are read when they are given"

ROWS: tuple[Row, ...] = (
    *handled(_DOWNSTREAM, "common_tls_context"),
    Handled(
        f"{_DOWNSTREAM}.require_client_certificate", fidelity=Fidelity.APPROXIMATED, codes=("TLS-SAN", "TLS-VALIDATION")
    ),
    *ignored(_DOWNSTREAM, "nginx refuses names it has no certificate for by itself", "require_sni"),
    *ignored(_DOWNSTREAM, _SESSIONS, "session_ticket_keys", "session_ticket_keys_sds_secret_config"),
    *ignored(_DOWNSTREAM, _SESSIONS, "disable_stateless_session_resumption", "disable_stateful_session_resumption"),
    *ignored(_DOWNSTREAM, _SESSIONS, "session_timeout"),
    Handled(
        f"{_DOWNSTREAM}.ocsp_staple_policy", ocsp.apply_policy, Fidelity.NOT_EXPRESSIBLE, codes=("TLS-VALIDATION",)
    ),
    *ignored(_DOWNSTREAM, _GLOBAL, "prefer_client_ciphers", "full_scan_certs_on_sni_mismatch"),
    *handled(_UPSTREAM, "common_tls_context"),
    Handled(f"{_UPSTREAM}.sni", fidelity=Fidelity.NOT_EXPRESSIBLE, codes=("TLS-SNI-HOST",)),
    Handled(f"{_UPSTREAM}.auto_host_sni", fidelity=Fidelity.EXACT),
    Handled(
        f"{_UPSTREAM}.auto_sni_san_validation",
        fidelity=Fidelity.NOT_EXPRESSIBLE,
        codes=("TLS-UPSTREAM-UNVERIFIED",),
    ),
    *ignored(_UPSTREAM, "nginx keeps TLS sessions as it sees fit", "allow_renegotiation", "max_session_keys"),
    *ignored(_UPSTREAM, "OpenSSL checks key usage as it sees fit", "enforce_rsa_key_usage"),
    *handled(_COMMON, "tls_params"),
    Handled(f"{_COMMON}.tls_certificates", codes=("SEC-KEYPAIR", "SEC-SOURCE", "CFG-INVALID")),
    Handled(f"{_COMMON}.tls_certificate_sds_secret_configs", codes=("SEC-PENDING", "CFG-INVALID")),
    *handled(_COMMON, "validation_context", "validation_context_sds_secret_config", "combined_validation_context"),
    *lost(_COMMON, "TLS-PROVIDER", "validation_context_certificate_provider"),
    *lost(_COMMON, "TLS-PROVIDER", "validation_context_certificate_provider_instance"),
    *handled(_COMBINED, "default_validation_context", "validation_context_sds_secret_config"),
    *lost(_COMBINED, "TLS-PROVIDER", "validation_context_certificate_provider"),
    *lost(_COMBINED, "TLS-PROVIDER", "validation_context_certificate_provider_instance"),
    *ignored(_COMMON, _GLOBAL, "alpn_protocols"),
    *diagnosed(_COMMON, "TLS-PROVIDER", "tls_certificate_provider_instance", "custom_tls_certificate_selector"),
    *diagnosed(_COMMON, "TLS-PROVIDER", "tls_certificate_certificate_provider"),
    *diagnosed(_COMMON, "TLS-PROVIDER", "tls_certificate_certificate_provider_instance", "custom_handshaker"),
    *diagnosed(_COMMON, "TLS-PROVIDER", "key_log", effect="TLS keys are not logged"),
    *handled(f"{_PACKAGE}.TlsParameters", "tls_minimum_protocol_version", "tls_maximum_protocol_version"),
    *ignored(f"{_PACKAGE}.TlsParameters", _GLOBAL, "cipher_suites", "ecdh_curves", "signature_algorithms"),
    *ignored(f"{_PACKAGE}.TlsParameters", _GLOBAL, "compliance_policies"),
    *handled(_CERTIFICATE, "certificate_chain", "private_key"),
    *ignored(_CERTIFICATE, _PEM, "watched_directory"),
    Handled(f"{_CERTIFICATE}.ocsp_staple", ocsp.apply_staple, Fidelity.NOT_EXPRESSIBLE, codes=("TLS-VALIDATION",)),
    Handled(
        f"{_CERTIFICATE}.signed_certificate_timestamp",
        ocsp.apply_timestamp,
        Fidelity.NOT_EXPRESSIBLE,
        codes=("TLS-VALIDATION",),
    ),
    *diagnosed(_CERTIFICATE, "SEC-SOURCE", "pkcs12", "password", "private_key_provider"),
    *handled(_VALIDATION, "trusted_ca", "max_verify_depth", "trust_chain_verification"),
    *lost(_VALIDATION, "TLS-SAN", "match_typed_subject_alt_names", "match_subject_alt_names"),
    *lost(_VALIDATION, "TLS-VALIDATION", "verify_certificate_spki", "verify_certificate_hash", "crl"),
    *lost(_VALIDATION, "TLS-VALIDATION", "only_verify_leaf_cert_crl", "require_signed_certificate_timestamp"),
    *lost(_VALIDATION, "TLS-VALIDATION", "custom_validator_config", "ca_certificate_provider_instance"),
    *lost(_VALIDATION, "TLS-VALIDATION", "system_root_certs"),
    *ignored(_VALIDATION, _PEM, "watched_directory"),
    *diagnosed(_VALIDATION, "TLS-VALIDATION", "allow_expired_certificate", effect="expired certificates are refused"),
    *handled(_SECRET, "name", "tls_certificate", "validation_context"),
    *ignored(_SECRET, "read by filters only, which say themselves what becomes of them", "generic_secret"),
    *ignored(_SECRET, _SESSIONS, "session_ticket_keys"),
    *handled(f"{_PACKAGE}.SdsSecretConfig", "name"),
    *ignored(f"{_PACKAGE}.SdsSecretConfig", "the producer has subscribed to the secret already", "sds_config"),
)
