"""Source: Cluster.transport_socket, transport_socket_matches; UpstreamTlsContext.

Target: upstream.scheme https, grpcs or tls.
Fidelity: N for verification and SNI; E for the choice of the socket when all endpoints agree on one.
Differs: APISIX verifies no upstream certificate and sends the Host header as SNI (none for grpcs). A context that
    verifies therefore closes the cluster, unless the policy allows TLS-UPSTREAM-UNVERIFIED.
Diagnostics: TLS-UPSTREAM-UNVERIFIED, TLS-SNI-HOST, TLS-SOCKET, CL-TLS-MIXED.
See: mapping.md sections 1.6 and 6.1.3.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from schemas import xds

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.where import Where

MATCH_METADATA = "envoy.transport_socket_match"
_ACCEPT_UNTRUSTED = 1
_VERIFYING_FIELDS = (
    "trusted_ca",
    "ca_certificate_provider_instance",
    "system_root_certs",
    "verify_certificate_spki",
    "verify_certificate_hash",
    "match_typed_subject_alt_names",
    "match_subject_alt_names",
    "custom_validator_config",
)
_PROVIDERS = ("validation_context_certificate_provider", "validation_context_certificate_provider_instance")


def choose_socket(
    cluster: xds.Message, endpoints: list[Endpoint], at: Where, findings: Findings
) -> tuple[xds.Message | None, list[Endpoint], Where]:
    """Choose the transport socket of a cluster and the endpoints that use it.

    Returns:
        The TransportSocket (None = plaintext), the endpoints that use it, and where it stands.
    """
    matches = [(_wanted(match), index) for index, match in enumerate(cluster.transport_socket_matches)]
    by_endpoint = [_first_match(matches, endpoint) for endpoint in endpoints]
    sizes = Counter(by_endpoint)
    chosen = min(sizes, key=lambda index: (-sizes[index], index)) if sizes else -1
    if len(sizes) > 1:
        findings.report(
            "CL-TLS-MIXED",
            at.field("transport_socket_matches"),
            effect=f"{len(endpoints) - sizes[chosen]} of {len(endpoints)} endpoints are left out: they use another "
            "transport socket than most",
        )
    used = [endpoint for endpoint, index in zip(endpoints, by_endpoint, strict=True) if index == chosen]
    if chosen >= 0:
        match = cluster.transport_socket_matches[chosen]
        place = at.item("transport_socket_matches", match.name or chosen)
        return match.transport_socket, used, place.field("transport_socket")
    own = cluster.transport_socket if cluster.HasField("transport_socket") else None
    return own, used, at.field("transport_socket")


def verifies(context: xds.Message, secrets: dict[str, xds.Message]) -> bool:
    """Tell whether an UpstreamTlsContext verifies the upstream; a secret that has not arrived counts as verifying."""
    common = context.common_tls_context
    if context.auto_sni_san_validation:
        return True
    kind = common.WhichOneof("validation_context_type")
    if kind == "validation_context":
        return _demands(common.validation_context)
    if kind == "validation_context_sds_secret_config":
        return _secret_demands(common.validation_context_sds_secret_config.name, secrets)
    if kind == "combined_validation_context":
        combined = common.combined_validation_context
        if any(combined.HasField(field) for field in _PROVIDERS) or _demands(combined.default_validation_context):
            return True
        return combined.HasField("validation_context_sds_secret_config") and _secret_demands(
            combined.validation_context_sds_secret_config.name, secrets
        )
    return kind is not None


def sends_sni(context: xds.Message, uses: list[xds.Message]) -> bool:
    """Tell whether the SNI of the context is what nginx will send: the Host header every use rewrites to."""
    if not context.sni or context.auto_host_sni:
        return True
    return bool(uses) and all(use.host_rewrite_literal.lower() == context.sni.lower() for use in uses)


def _demands(validation: xds.Message) -> bool:
    if validation.trust_chain_verification == _ACCEPT_UNTRUSTED:
        return False
    return any(
        getattr(validation, field)
        if validation.DESCRIPTOR.fields_by_name[field].is_repeated
        else validation.HasField(field)
        for field in _VERIFYING_FIELDS
    )


def _secret_demands(name: str, secrets: dict[str, xds.Message]) -> bool:
    secret = secrets.get(name)
    return secret is None or _demands(secret.validation_context)


def _wanted(match: xds.Message) -> dict[str, Any]:
    return xds.to_dict(match.match) if match.HasField("match") else {}


def _first_match(matches: list[tuple[dict[str, Any], int]], endpoint: Endpoint) -> int:
    for wanted, index in matches:
        if all(key in endpoint.socket_match and endpoint.socket_match[key] == value for key, value in wanted.items()):
            return index
    return -1
