"""Source: envoy.config.rbac.v3.Permission, Principal.

Target: expressions.
Fidelity: E.
Differs: metadata, filter state and the names in client certificates are not known to APISIX; of a token that jwt_authn
    verifies on the route it is known that it was verified, its issuer, and on demand that it has a subject.
Diagnostics: HF-META, TLS-SAN, HF-RESTRICT, RT-HEADER, RT-REGEX, HCM-XFF.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from schemas import xds
from schemas.records import Severity
from translators import expr
from translators.approximation import FAILS, HOLDS, OPENED, UNKNOWN, Approximation, both, either, exactly, opposite
from translators.chain_match import ORIGINAL_DST
from translators.mappings.match.headers import header_condition, is_target_regex, may_collide
from translators.mappings.match.path_match_policy import URI_TEMPLATE, template_regex
from translators.mappings.match.string_match import regex_test, test_of
from translators.regex import RegexError
from translators.request_target import UNNORMALISED_WITH_QUERY
from translators.scope import has_original_dst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from translators.expr import Expr
    from translators.findings import Findings
    from translators.route_context import RouteContext
    from translators.verified_token import VerifiedToken
    from translators.where import Where

_COLLIDES = "a header whose name differs by `-` and `_` only counts as well"
_COLLISION_REMEDY = "drop such headers before the proxy, or restrict by another header"
_CONNECTION = "the address of the connection is compared, where Envoy believes the last one of x-forwarded-for"
_TRUST = "set use_remote_address where clients connect directly, or xff_num_trusted_hops: 1 behind a proxy"
_ADDRESSES = {
    "direct_remote_ip": "realip_remote_addr",
    "remote_ip": "remote_addr",
    "source_ip": "realip_remote_addr",
    "destination_ip": "server_addr",
}
_JWT_AUTHN = "envoy.filters.http.jwt_authn"
_ANYBODY = None
"""A subject that is not empty."""
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
    "contains": str.__contains__,
}
_LOST = {
    "metadata": "HF-META",
    "sourced_metadata": "HF-META",
    "filter_state": "HF-META",
    "matcher": "HF-RESTRICT",
    "custom": "HF-RESTRICT",
}


class RuleReader:
    """Reads permissions and principals of one route."""

    def __init__(self, context: RouteContext, findings: Findings, tokens: Mapping[str, VerifiedToken]) -> None:
        """Read for a route.

        Args:
            context: what surrounds it.
            findings: receives what cannot be expressed.
            tokens: what filters in front have verified, by the key of its metadata.
        """
        self._context = context
        self._findings = findings
        self._tokens = tokens
        self._path = "uri" if context.policy.path_matching == "decoded" else "real_request_uri"

    def lost(self, code: str, at: Where) -> Approximation:
        """Report a condition that cannot be expressed: it counts against the request unless the policy allows it."""
        is_blocking = self._findings.blocks(code, at, effect="the condition counts against the request")
        return UNKNOWN if is_blocking else OPENED

    def permission(self, permission: xds.Message, at: Where) -> Approximation:
        """Translate a Permission."""
        return self._rule(permission, at, ("and_rules", "or_rules", "not_rule"), "rules")

    def principal(self, principal: xds.Message, at: Where) -> Approximation:
        """Translate a Principal."""
        return self._rule(principal, at, ("and_ids", "or_ids", "not_id"), "ids")

    def _rule(self, rule: xds.Message, at: Where, logic: tuple[str, str, str], members: str) -> Approximation:
        kind = rule.WhichOneof("rule" if members == "rules" else "identifier") or ""
        at = at.field(kind) if kind else at
        if kind in logic[:2]:
            items = getattr(getattr(rule, kind), members)
            parts = (self._rule(one, at.item(members, index), logic, members) for index, one in enumerate(items))
            return both(parts) if kind == logic[0] else either(parts)
        if kind == logic[2]:
            return opposite(self._rule(getattr(rule, kind), at, logic, members))
        if kind == "any":
            return HOLDS if rule.any else opposite(HOLDS)
        try:
            known = self._leaf(kind, getattr(rule, kind), at) if kind else None
        except RegexError:
            return self.lost("RT-REGEX", at)
        return known or self.lost(_LOST.get(kind, "HF-RESTRICT"), at)

    def _leaf(self, kind: str, value: Any, at: Where) -> Approximation | None:
        if kind in _ADDRESSES:
            if kind == "remote_ip":
                self.note_client(at)
            return exactly(expr.ip_match(_ADDRESSES[kind], [f"{value.address_prefix}/{value.prefix_len.value}"]))
        read = self.READS.get(kind)
        return read(self, value, at) if read is not None else None

    def note_client(self, at: Where) -> None:
        """Report a condition on the client's address where Envoy may take that from a header."""
        if self._believes_everyone():
            self._findings.report("HCM-XFF", at, effect=_CONNECTION, remedy=_TRUST)

    def note_header(self, name: str, at: Where) -> None:
        """Report a condition on a header that others can pass for."""
        if may_collide(name):
            self._findings.report("RT-HEADER", at, severity=Severity.WARN, effect=_COLLIDES, remedy=_COLLISION_REMEDY)

    def _believes_everyone(self) -> bool:
        """Tell whether Envoy takes the client's address from X-Forwarded-For whoever sent it, which is its default."""
        hcm = self._context.hcm
        is_told = hcm.use_remote_address.value or hcm.xff_num_trusted_hops or hcm.original_ip_detection_extensions
        return not is_told

    def _header(self, header: xds.Message, at: Where) -> Approximation:
        hcm = self._context.hcm
        is_overwritten = bool(hcm.use_remote_address.value and not hcm.xff_num_trusted_hops)
        is_raw = self._path != "uri"
        found = header_condition(header, is_proto_overwritten=is_overwritten, is_path_raw=is_raw)
        if found is None:
            return self.lost("RT-HEADER", at)
        self.note_header(header.name, at)
        if is_target_regex(header) and not is_raw:
            # Whoever restricts by it must not let `//admin?x` pass for not being `/admin?x`.
            return Approximation(
                expr.all_of((found, expr.negate(UNNORMALISED_WITH_QUERY))),
                expr.any_of((found, UNNORMALISED_WITH_QUERY)),
            )
        return exactly(found)

    def _url_path(self, matcher: xds.Message, _at: Where) -> Approximation | None:
        test = test_of(matcher.path, self._path) if self._path == "uri" else None
        if test is None:
            return self._raw_path(matcher)
        return exactly(test.holds)

    def _raw_path(self, matcher: xds.Message) -> Approximation | None:
        """A raw path ends at its query, which the variable has too: only literals can say where to stop."""
        kind, text = matcher.path.WhichOneof("match_pattern"), ""
        if kind in ("exact", "prefix"):
            text = getattr(matcher.path, kind)
            end = r"(?:\?|\z)" if kind == "exact" else ""
            case = matcher.path.ignore_case
            return exactly(expr.matches(self._path, rf"\A{expr.escape(text)}{end}", ignore_case=case))
        return None

    def _template(self, extension: xds.Message, _at: Where) -> Approximation | None:
        policy = xds.unpack(extension.typed_config)
        if policy is None or policy.DESCRIPTOR.full_name != URI_TEMPLATE:
            return None
        regex = template_regex(policy.path_template)
        return None if regex is None else exactly(regex_test(regex, "uri").holds)

    def port(self, port: int, _at: Where) -> Approximation:
        """Give the condition that a connection was made to a port of Envoy."""
        return exactly(self._port_condition(port))

    def _port_range(self, ports: xds.Message, _at: Where) -> Approximation | None:
        if has_original_dst(self._context.listener) or self._context.policy.port_map:
            return None
        return exactly(expr.integer_range("server_port", ports.start, ports.end))

    def _port_condition(self, port: int) -> Expr:
        if has_original_dst(self._context.listener):
            return expr.matches(ORIGINAL_DST, rf"\A[^:]+:{port}\z")
        return expr.equals("server_port", str(self._context.policy.port_map.get(port, port)))

    def _server_name(self, matcher: xds.Message, _at: Where) -> Approximation | None:
        test = test_of(matcher, "ssl_server_name")
        return None if test is None else exactly(test.holds)

    def _authenticated(self, authenticated: xds.Message, at: Where) -> Approximation:
        if authenticated.HasField("principal_name"):
            return self.lost("TLS-SAN", at.field("principal_name"))
        return exactly(expr.equals("ssl_client_verify", "SUCCESS"))

    def metadata(self, matcher: xds.Message, _at: Where) -> Approximation | None:
        """Translate a test of what is known of a verified token: its issuer, and that it has a subject."""
        key, claim = next((step.key for step in matcher.path), ""), [step.key for step in matcher.path[1:]]
        token = self._tokens.get(key) if matcher.filter == _JWT_AUTHN else None
        if token is None:
            return None
        answers: set[bool | None] = {None}
        if claim == ["iss"]:
            answers = {_accepts(matcher.value, issuer) for issuer in token.issuers}
        elif claim == ["sub"] and token.has_subject:
            answers = {_accepts(matcher.value, _ANYBODY)}
        if None in answers or len(answers) > 1:
            return None
        found = exactly(token.condition) if answers == {True} else FAILS
        return opposite(found) if matcher.invert else found

    READS: ClassVar[Mapping[str, Callable[[RuleReader, Any, Where], Approximation | None]]] = {
        "header": _header,
        "url_path": _url_path,
        "uri_template": _template,
        "destination_port": port,
        "destination_port_range": _port_range,
        "requested_server_name": _server_name,
        "authenticated": _authenticated,
        "metadata": metadata,
    }
    """By the name of the oneof's field; the others cannot be expressed."""


def _accepts(matcher: xds.Message, text: str | None) -> bool | None:
    """Tell whether a ValueMatcher accepts a text; None when that cannot be told here.

    Args:
        matcher: envoy.type.matcher.v3.ValueMatcher.
        text: what is matched; None = any text that is not empty and has no line break.
    """
    kind = matcher.WhichOneof("match_pattern")
    if kind == "present_match":
        return True if matcher.present_match else None
    if kind != "string_match":
        return None
    string = matcher.string_match
    pattern = string.WhichOneof("match_pattern")
    if pattern == "safe_regex":
        return True if string.safe_regex.regex == ".+" and text != "" else None
    if text is None or pattern not in _COMPARISONS:
        return None
    wanted = getattr(string, pattern)
    if string.ignore_case:
        wanted, text = wanted.lower(), text.lower()
    return _COMPARISONS[pattern](text, wanted)
