"""Source: envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication, PerRouteConfig.

Target: guards that answer 401 to a missing token, and to one in a place that APISIX must not take it from; jwt-auth
    with consumer-restriction for the others, and openid-connect where claims have to be looked at (jwt_provider.py).
Fidelity: A: never weaker; what cannot be verified is answered 403.
Differs: see jwt_provider.py, jwks.py and jwt_requirement.py for what is verified. What APISIX refuses itself has
    another body, WWW-Authenticate, and 401 for a wrong audience too. A route has the plugins of one requirement; where
    rules want several, requests of the others are refused. An issuer has one key in a node: of two listeners whose
    providers name one issuer with different keys, one refuses all tokens. claim_to_headers and forward_payload_header
    are removed from requests and not written; routes that match on such a header after clear_route_cache are refused.
    Where RBAC asks whether there is a subject, tokens without one are refused, if that can be told.
Diagnostics: AUTH-JWKS, AUTH-JWT-AUD, AUTH-JWT-CLAIM, HF-DUP, HF-RESTRICT, RT-HEADER, RT-REGEX.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from translators.block import FORBIDDEN, abort, denial
from translators.consumer import ADDED_HEADERS, recognising
from translators.expr import ALWAYS, NEVER, all_of, conjuncts, negate
from translators.header_step import Step
from translators.mappings.http_filter.jwt_provider import Provider, read_provider
from translators.mappings.http_filter.jwt_requirement import LENIENT, OPEN, requirements
from translators.mappings.http_filter.jwt_source import ProviderError
from translators.mappings.http_filter.switch import has_unknown_fields, is_switched_off
from translators.verified_token import VerifiedToken

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.mappings.http_filter.jwt_requirement import Requirement
    from translators.where import Where

_TYPE = "/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_RBAC = "/envoy.extensions.filters.http.rbac.v3.RBAC"
_NAMESPACE, _SUBJECT = b"envoy.filters.http.jwt_authn", b"\x0a\x03sub"
"""How a matcher of metadata names the claim, as the wire has it."""
_UNAUTHORIZED = 401
_REALM = {
    "Content-Type": "text/plain",
    "WWW-Authenticate": 'Bearer realm="${scheme}://${http_host}${real_request_uri}"',
}
_INVALID = {**_REALM, "WWW-Authenticate": _REALM["WWW-Authenticate"] + ', error="invalid_token"'}
_WRITTEN_EFFECT = "the header is removed from requests and not written"
_LENIENT_EFFECT = "nobody looks at tokens that nobody is refused for: they stay in the request"


class _Tokens(NamedTuple):
    """How the tokens of a requirement are verified, with the messages of the providers."""

    providers: tuple[Provider, ...]
    messages: tuple[xds.Message, ...]


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Verify tokens as the rules that can apply to the route, or the route itself, want it."""
    config = http_filter.config
    if is_switched_off(http_filter):
        if config is not None:  # a route that wants no token still loses what pretends to come from one
            _Check(http_filter, draft, at, findings).sanitize()
        return
    if config is None or http_filter.has_unreadable_override or has_unknown_fields(config):
        if findings.blocks("HF-RESTRICT", at):
            draft.deny("HF-RESTRICT")
        return
    found = list(requirements(http_filter, at, findings))
    is_only = sum(requirement != OPEN for _, requirement in found) == 1 and _is_alone(http_filter.context.hcm)
    check = _Check(http_filter, draft, at, findings)
    for condition, requirement in found:
        if condition != NEVER and not requirement.is_open:
            check.require(condition, requirement, is_only=is_only)
    check.sanitize()
    if any(requirement == LENIENT for _, requirement in found):
        check.note_lenient()


def _is_alone(hcm: xds.Message) -> bool:
    """Tell whether no other filter can verify tokens too: what Envoy knows of them then comes from this one."""
    types = [one.typed_config.type_url for one in hcm.http_filters if not one.HasField("config_discovery")]
    return len([one for one in types if one.endswith(_TYPE)]) == 1 and len(types) == len(hcm.http_filters)


def _asks_for_subject(hcm: xds.Message) -> bool:
    """Tell whether RBAC may ask for the subject of tokens: that there is one is then verified where it can be."""
    rules = [one.typed_config.value for one in hcm.http_filters if one.typed_config.type_url.endswith(_RBAC)]
    return any(_NAMESPACE in one and _SUBJECT in one for one in rules)


class _Check:
    """Puts one requirement in front of a route."""

    def __init__(self, http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
        self._filter = http_filter
        self._draft = draft
        self._at = at
        self._findings = findings
        self._prefers_subject = _asks_for_subject(http_filter.context.hcm)

    def require(self, condition: Expr, requirement: Requirement, *, is_only: bool) -> None:
        """Refuse requests that meet the condition and not the requirement.

        Args:
            condition: when the requirement applies.
            requirement: one that can refuse.
            is_only: nothing else can verify tokens on the route.
        """
        if not requirement.is_known:
            self._block("HF-RESTRICT", self._at.field("rules"), condition)
            return
        try:
            tokens = self._read(requirement)
        except ProviderError as error:
            self._block(error.code, self._at.field(error.field), condition, value=str(error), remedy=error.remedy)
            return
        plugins = self._plugins(tokens, condition, requirement)
        if not self._draft.plugins.keys().isdisjoint(plugins):
            self._block("HF-DUP", self._at, condition)
            return
        self._answer(tokens.providers[0], condition, requirement)
        for place, (name, conf) in enumerate(reversed(plugins.items())):
            self._draft.add_plugin(name, conf, self._filter.index, place)
        for one in tokens.providers:
            self._filter.context.consumers[one.consumer] = {"plugins": {"jwt-auth": one.credential}}
        self._check_choice(tokens, condition)
        if is_only:
            self._note(tokens, condition, requirement)

    def _block(self, code: str, at: Where, condition: Expr, **details: str) -> None:
        if self._findings.blocks(code, at, **details):
            plugins = denial(FORBIDDEN, code).fields["plugins"]
            self._draft.answer(self._filter.name, plugins, (condition,), is_local_reply=False)

    def _read(self, requirement: Requirement) -> _Tokens:
        """Read the providers.

        Raises:
            ProviderError: one of them, or all of them together, cannot be verified.
        """
        config, found, messages = self._filter.config, [], []
        is_alone = len(requirement.providers) == 1
        for name, audiences in requirement.providers:
            if config is None or name not in config.providers:
                raise ProviderError("HF-RESTRICT", "providers", name, "define the provider")
            messages.append(config.providers[name])
            found.append(self._read_one(config.providers[name], name, audiences, is_alone=is_alone))
        if not found:
            raise ProviderError("HF-RESTRICT", "providers", "no provider", "define a provider")
        if len({one.sources for one in found}) > 1:
            raise ProviderError("HF-RESTRICT", "providers", "tokens in several places", "take all from one header")
        if len(found) > 1 and any(one.needs_claims for one in found):
            raise ProviderError("AUTH-JWT-AUD", "providers", "claims of several providers", "require one provider")
        self._check_issuers(found)
        return _Tokens(tuple(found), tuple(messages))

    def _read_one(
        self, provider: xds.Message, name: str, audiences: tuple[str, ...] | None, *, is_alone: bool
    ) -> Provider:
        try:
            return read_provider(provider, audiences, prefers_subject=self._prefers_subject and is_alone)
        except ProviderError as error:
            field = f"providers[{name}].{error.field}"
            raise ProviderError(error.code, field, str(error), error.remedy) from None

    def _check_issuers(self, found: list[Provider]) -> None:
        """Refuse a second key of an issuer: consumers are known by their issuer alone."""
        plugins = {name: one["plugins"] for name, one in self._filter.context.consumers.items()}
        known = {one["jwt-auth"]["key"]: name for name, one in plugins.items() if "jwt-auth" in one}
        for one in found:
            if known.setdefault(one.issuer, one.consumer) != one.consumer:
                raise ProviderError("AUTH-JWKS", "providers", one.issuer, "give an issuer the same key everywhere")

    def _plugins(self, tokens: _Tokens, condition: Expr, requirement: Requirement) -> dict[str, dict[str, Any]]:
        first = tokens.providers[0]
        has_token = first.sources.has_token() if requirement.allows_missing else ALWAYS
        when = conjuncts((condition, has_token))
        meta = {"_meta": {"filter": when}} if when else {}
        names = [one.consumer for one in tokens.providers]
        plugins = recognising("jwt-auth", {**first.sources.plugin(), **meta}, names, _UNAUTHORIZED)
        if first.needs_claims:
            # In front of jwt-auth, which takes the header away.
            plugins = {"openid-connect": {**first.claims_plugin(), **meta}, **plugins}
        return plugins

    def _answer(self, provider: Provider, condition: Expr, requirement: Requirement) -> None:
        """Refuse what no plugin has to look at."""
        config, sources = self._filter.config, provider.sources
        is_stripped = config is not None and config.strip_failure_response
        if not requirement.allows_missing:
            missing = abort(_UNAUTHORIZED, "" if is_stripped else "Jwt is missing", {} if is_stripped else _REALM)
            self._draft.answer(self._filter.name, missing, (condition, negate(sources.has_token())))
        refused = abort(_UNAUTHORIZED, "" if is_stripped else "Jwt verification fails", {} if is_stripped else _INVALID)
        self._draft.answer(self._filter.name, refused, (condition, sources.is_refused()))

    def _note(self, tokens: _Tokens, condition: Expr, requirement: Requirement) -> None:
        """Tell filters behind when a token is known to be verified."""
        keys = {message.payload_in_metadata for message in tokens.messages}
        if len(keys) == 1 and (key := keys.pop()):
            has_token = tokens.providers[0].sources.has_token() if requirement.allows_missing else ALWAYS
            issuers = frozenset(one.issuer for one in tokens.providers)
            has_subject = all(one.has_subject for one in tokens.providers)
            self._draft.tokens[key] = VerifiedToken(all_of((condition, has_token)), issuers, has_subject)

    def sanitize(self) -> None:
        """Remove what clients must not say for themselves, whatever is required, and what APISIX tells the upstream."""
        providers = self._filter.config.providers if self._filter.config is not None else {}
        removed: dict[str, None] = dict.fromkeys(ADDED_HEADERS if "jwt-auth" in self._draft.plugins else ())
        for name in sorted(providers):
            for written in _written(providers[name]):
                place = self._at.item("providers", name).item("claim_to_headers", written)
                self._findings.report("AUTH-JWT-CLAIM", place, value=written, effect=_WRITTEN_EFFECT)
                removed[written] = None
        if removed:
            self._draft.request.append(Step(removed=tuple(removed)))

    def note_lenient(self) -> None:
        """Tell that nobody looks at tokens that nobody is refused for."""
        self._findings.report("HF-UNTRANSLATED", self._at.field("rules"), effect=_LENIENT_EFFECT)

    def _check_choice(self, tokens: _Tokens, condition: Expr) -> None:
        """Close a route that is chosen by a header that only Envoy may write."""
        written = {name for one in tokens.messages if one.clear_route_cache for name in _written(one)}
        route = self._filter.route
        matched = route.match.headers if route is not None else []
        if any(one.name.lower() in written and not one.invert_match for one in matched):
            self._block("AUTH-JWT-CLAIM", self._at.field("clear_route_cache"), condition)


def _written(provider: xds.Message) -> list[str]:
    """Give the headers that Envoy writes from a verified token."""
    names = [claim.header_name.lower() for claim in provider.claim_to_headers]
    return names + ([provider.forward_payload_header.lower()] if provider.forward_payload_header else [])
