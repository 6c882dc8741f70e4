"""Source: envoy.extensions.filters.http.jwt_authn.v3.JwtProvider.

Target: a consumer of jwt-auth, whose key is the issuer; openid-connect where audiences or `exp` are required.
Fidelity: A.
Differs: APISIX verifies tokens of an issuer with one key and one algorithm, taken from one header, parameter or cookie.
    jwt-auth checks the signature, `exp` and `nbf` (a second more strictly; `exp` 0 has expired), not the audience;
    openid-connect checks the issuer, audience and presence of `exp`, but no `nbf`, and takes RS256 and RS512 from
    `Authorization: Bearer` only: where an audience is wanted, both run. APISIX 3.18 applies claim_schema
    to bearer tokens; of older ones this is not known. A `kid` is compared by a guard (jwt_key_id.py).
Diagnostics: AUTH-JWKS, AUTH-JWT-AUD, HF-RESTRICT.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas import xds
from translators.consumer import consumer_name
from translators.mappings.http_filter.jwks import KeySetError, VerificationKey, read_key
from translators.mappings.http_filter.jwt_source import AUTHORIZATION, ProviderError, Sources, read_sources

if TYPE_CHECKING:
    from collections.abc import Sequence


PROVIDER = "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider"
_DEFAULT_LEEWAY_S = 60
_OIDC_ALGORITHMS = ("RS256", "RS512")
_NO_PATH = "-"
"""A logout_path that is no request URI: openid-connect would ask the issuer there."""
_SUBJECT = {"type": "string", "minLength": 1, "not": {"pattern": "\\n"}}
"""What the regex `.+` matches in full."""
_INEXPRESSIBLE = ("subjects", "max_lifetime")


class Provider(NamedTuple):
    """What is verified of a token.

    Attributes:
        issuer: its `iss`.
        key: that has signed it.
        leeway_s: seconds that clocks may differ.
        sources: where it is.
        audiences: one of these must be in `aud`; empty = not looked at.
        needs_expiry: it must have `exp`.
        has_subject: it must have a `sub`, which Envoy does not ask for: for filters behind that do.
    """

    issuer: str
    key: VerificationKey
    leeway_s: int
    sources: Sources
    audiences: tuple[str, ...]
    needs_expiry: bool
    has_subject: bool = False

    @property
    def credential(self) -> dict[str, Any]:
        """The consumer's configuration of jwt-auth."""
        return {
            "algorithm": self.key.algorithm,
            "key": self.issuer,
            "lifetime_grace_period": self.leeway_s,
            "public_key": self.key.pem,
        }

    @property
    def consumer(self) -> str:
        """The consumer's name."""
        return _consumer_of(self)

    @property
    def needs_claims(self) -> bool:
        """Whether openid-connect has to look at claims."""
        return bool(self.audiences) or self.needs_expiry or self.has_subject

    def claims_plugin(self) -> dict[str, Any]:
        """Give the configuration of openid-connect."""
        wanted = {"aud": bool(self.audiences), "exp": self.needs_expiry, "sub": self.has_subject}
        properties: dict[str, Any] = {"sub": _SUBJECT} if self.has_subject else {}
        if self.audiences:
            accepted = {"enum": sorted({spelling for name in self.audiences for spelling in _spellings(name)})}
            listed = {"type": "array", "not": {"items": {"not": accepted}}}
            properties["aud"] = {"anyOf": [{"type": "string", **accepted}, listed]}
        required = [name for name, is_wanted in wanted.items() if is_wanted]
        schema = {"type": "object", "properties": properties, "required": required}
        return {
            "accept_none_alg": False,
            "accept_unsupported_alg": False,
            "bearer_only": True,
            "claim_schema": schema,
            "claim_validator": {"issuer": {"valid_issuers": [self.issuer]}},
            "client_id": "xds",
            "discovery": "https://127.0.0.1/unused",
            "iat_slack": self.leeway_s,
            "jwt_verification_cache_ignore": True,
            "logout_path": _NO_PATH,
            "public_key": self.key.pem,
            "set_access_token_header": False,
            "set_id_token_header": False,
            "set_userinfo_header": False,
            "token_signing_alg_values_expected": self.key.algorithm,
        }


def read_provider(provider: xds.Message, audiences: Sequence[str] | None, *, prefers_subject: bool = False) -> Provider:
    """Read a JwtProvider.

    Args:
        provider: the message.
        audiences: instead of its own; None = its own.
        prefers_subject: refuse tokens without `sub` where that can be told.

    Raises:
        ProviderError: tokens cannot be verified as Envoy does.
    """
    own = None if audiences is None else tuple(audiences)
    return _read_provider(provider.SerializeToString(deterministic=True), own, prefers_subject=prefers_subject)


@lru_cache(maxsize=1024)
def _consumer_of(provider: Provider) -> str:
    return consumer_name("jwt-auth", provider.credential)


@lru_cache(maxsize=1024)
def _read_provider(body: bytes, audiences: tuple[str, ...] | None, *, prefers_subject: bool) -> Provider:
    """Read once what stands in front of every route."""
    provider = xds.parse(PROVIDER, body)
    for field in _INEXPRESSIBLE:
        if provider.HasField(field):
            raise ProviderError("HF-RESTRICT", field, f"{field} of tokens cannot be verified", "verify it elsewhere")
    if not provider.issuer:
        raise ProviderError("HF-RESTRICT", "issuer", "tokens of any issuer", "give the provider an issuer")
    key = _read_key(provider)
    wanted = tuple(provider.audiences if audiences is None else audiences)
    found = Provider(
        issuer=provider.issuer,
        key=key,
        leeway_s=provider.clock_skew_seconds or _DEFAULT_LEEWAY_S,
        sources=read_sources(provider),
        audiences=wanted,
        needs_expiry=provider.require_expiration,
    )
    if found.needs_claims:
        found = _claims_checked(found)
    if not prefers_subject:
        return found
    try:
        return _claims_checked(found)._replace(has_subject=True)
    except ProviderError:
        return found


def _read_key(provider: xds.Message) -> VerificationKey:
    if provider.WhichOneof("jwks_source_specifier") != "local_jwks":
        raise ProviderError("AUTH-JWKS", "remote_jwks", "keys behind a URL", "give the keys in local_jwks")
    source = provider.local_jwks
    text = source.inline_string or source.inline_bytes.decode(errors="replace")
    try:
        return read_key(text)
    except KeySetError as error:
        raise ProviderError("AUTH-JWKS", "local_jwks", str(error), "give one public key in local_jwks") from None


def _claims_checked(provider: Provider) -> Provider:
    """Make sure that openid-connect can look at the claims."""
    field = "audiences" if provider.audiences else "require_expiration"
    code = "AUTH-JWT-AUD" if provider.audiences else "HF-RESTRICT"
    sources = provider.sources
    if (sources.header, sources.cookie) != (AUTHORIZATION, "") or not sources.prefix:
        raise ProviderError(code, field, "claims of tokens elsewhere", "take tokens from `Authorization: Bearer`")
    if provider.key.algorithm not in _OIDC_ALGORITHMS:
        problem = f"claims of tokens signed with {provider.key.algorithm}"
        raise ProviderError(code, field, problem, "sign tokens with RS256 or RS512")
    refused = sources.refused or sources.parameter
    return provider._replace(sources=sources._replace(parameter="", refused=refused))


def _spellings(audience: str) -> list[str]:
    """Give all texts that Envoy takes for the same audience: one scheme and one slash at the end do not count."""
    bare = _bare(audience)
    spellings = [f"{scheme}{bare}{end}" for scheme in ("", "http://", "https://") for end in ("", "/")]
    return [one for one in spellings if _bare(one) == bare]


def _bare(audience: str) -> str:
    return re.sub(r"\Ahttps?://", "", audience).removesuffix("/")
