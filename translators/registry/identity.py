"""Rows of the family `identity`: fields of the HTTP filters that ask who a client is and what it may do."""

from __future__ import annotations

from translators.registry.row import Row, handled, ignored, lost

_FILTER = "envoy.extensions.filters.http"
_RBAC = f"{_FILTER}.rbac.v3.RBAC"
_RULES = "envoy.config.rbac.v3"
_JWT = f"{_FILTER}.jwt_authn.v3"
_PROVIDER = f"{_JWT}.JwtProvider"
_KEY = f"{_FILTER}.api_key_auth.v3"
_STATISTICS = "statistics of Envoy"
_METADATA = "metadata inside Envoy; what depends on it is diagnosed where it stands"
_UNWRITTEN = "said by AUTH-JWT-CLAIM: the header is not written"

_RULE_ROWS: tuple[Row, ...] = (
    *handled(_RBAC, "rules", "matcher"),
    *handled(f"{_RULES}.Action", "action"),
    *ignored(f"{_RULES}.Action", _STATISTICS, "name"),
    *ignored(_RBAC, "shadow rules only count", "shadow_rules", "shadow_matcher", "shadow_rules_stat_prefix"),
    *ignored(_RBAC, _STATISTICS, "rules_stat_prefix", "track_per_rule_stats"),
    *handled(f"{_RBAC}PerRoute", "rbac"),
    *handled(f"{_RULES}.RBAC", "action", "policies"),
    *ignored(f"{_RULES}.RBAC", "observes only", "audit_logging_options"),
    *handled(f"{_RULES}.Policy", "permissions", "principals"),
    *lost(f"{_RULES}.Policy", "HF-RESTRICT", "condition", "checked_condition"),
    *ignored(f"{_RULES}.Policy", "how a condition is read, which is not", "cel_config"),
    *handled(f"{_RULES}.Permission", "and_rules", "or_rules", "not_rule", "any", "header", "url_path"),
    *handled(f"{_RULES}.Permission", "destination_ip", "destination_port", "destination_port_range"),
    *handled(f"{_RULES}.Permission", "requested_server_name", "uri_template", "metadata"),
    *lost(f"{_RULES}.Permission", "HF-META", "sourced_metadata"),
    *lost(f"{_RULES}.Permission", "HF-RESTRICT", "matcher"),
    *handled(f"{_RULES}.Permission.Set", "rules"),
    *handled(f"{_RULES}.Principal", "and_ids", "or_ids", "not_id", "any", "header", "url_path"),
    *handled(f"{_RULES}.Principal", "source_ip", "direct_remote_ip", "remote_ip", "authenticated", "metadata"),
    *lost(f"{_RULES}.Principal", "HF-META", "sourced_metadata", "filter_state"),
    *lost(f"{_RULES}.Principal", "HF-RESTRICT", "custom"),
    *handled(f"{_RULES}.Principal.Set", "ids"),
    *lost(f"{_RULES}.Principal.Authenticated", "TLS-SAN", "principal_name"),
)

_TOKEN_ROWS: tuple[Row, ...] = (
    *handled(f"{_JWT}.JwtAuthentication", "providers", "rules", "requirement_map", "bypass_cors_preflight"),
    *handled(f"{_JWT}.JwtAuthentication", "strip_failure_response"),
    *lost(f"{_JWT}.JwtAuthentication", "HF-RESTRICT", "filter_state_rules"),
    *ignored(f"{_JWT}.JwtAuthentication", _STATISTICS, "stat_prefix"),
    *handled(f"{_JWT}.PerRouteConfig", "disabled", "requirement_name"),
    *handled(f"{_JWT}.RequirementRule", "match", "requires", "requirement_name"),
    *handled(f"{_JWT}.JwtRequirement", "provider_name", "provider_and_audiences", "requires_any", "requires_all"),
    *handled(f"{_JWT}.JwtRequirement", "allow_missing_or_failed", "allow_missing"),
    *handled(f"{_JWT}.JwtRequirementAndList", "requirements"),
    *handled(f"{_JWT}.JwtRequirementOrList", "requirements"),
    *handled(f"{_JWT}.ProviderWithAudiences", "provider_name", "audiences"),
    *handled(_PROVIDER, "issuer", "audiences", "require_expiration", "local_jwks", "forward", "clock_skew_seconds"),
    *handled(_PROVIDER, "from_headers", "from_params", "from_cookies", "claim_to_headers", "forward_payload_header"),
    *handled(_PROVIDER, "payload_in_metadata", "clear_route_cache"),
    *lost(_PROVIDER, "HF-RESTRICT", "subjects", "max_lifetime"),
    *lost(_PROVIDER, "AUTH-JWKS", "remote_jwks"),
    *ignored(_PROVIDER, _UNWRITTEN, "pad_forward_payload_header"),
    *ignored(_PROVIDER, _METADATA, "normalize_payload_in_metadata", "header_in_metadata", "failed_status_in_metadata"),
    *ignored(_PROVIDER, "every token is verified", "jwt_cache_config"),
    *handled(f"{_JWT}.JwtHeader", "name", "value_prefix"),
    *handled(f"{_JWT}.JwtClaimToHeader", "header_name"),
    *ignored(f"{_JWT}.JwtClaimToHeader", _UNWRITTEN, "claim_name"),
)

_KEY_ROWS: tuple[Row, ...] = (
    *handled(f"{_KEY}.ApiKeyAuth", "credentials", "key_sources", "forwarding"),
    *handled(f"{_KEY}.ApiKeyAuthPerRoute", "credentials", "key_sources", "forwarding", "allowed_clients"),
    *handled(f"{_KEY}.Credential", "key", "client"),
    *handled(f"{_KEY}.KeySource", "header", "query", "cookie"),
    *handled(f"{_KEY}.Forwarding", "header", "hide_credentials"),
)

ROWS: tuple[Row, ...] = (*_RULE_ROWS, *_TOKEN_ROWS, *_KEY_ROWS)
