"""Source: envoy.extensions.filters.http.cors.v3.CorsPolicy; the deprecated cors of RouteAction and VirtualHost.

Target: a guard that answers preflights, and response-rewrite for the other responses to allowed origins.
Fidelity: E.
Differs: origins that cannot be matched get no CORS headers.
Diagnostics: HF-UNTRANSLATED, HF-ORDER.
See: mapping.md sections 4.7 and 14.11.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.block import abort
from translators.expr import ALWAYS, NEVER, all_of, any_of, equals, matches, negate
from translators.format_string import Text, Variable, escape_text
from translators.header_step import OVERWRITE, Mutation, Step
from translators.mappings.match.string_match import test_of
from translators.regex import RegexError, translate_regex

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.format_string import Piece
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_POLICY = "CorsPolicy"
_ORIGIN, _METHOD, _HEADERS = "http_origin", "http_access_control_request_method", "http_access_control_request_headers"
_PRIVATE_NETWORK = "http_access_control_request_private_network"
_ALLOW = "access-control-allow-"
_NOT_EMPTY = "(?s)."
_ANY = "*"
_OK = 200
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class _Policies:
    """The policies that hold for a route: what the most specific one leaves open, the next one says."""

    def __init__(self, policies: list[xds.Message]) -> None:
        self._policies = policies

    def text(self, field: str) -> str:
        return next((found for policy in self._policies if (found := str(getattr(policy, field)))), "")

    def flag(self, field: str, *, default: bool = False) -> bool:
        return next((bool(getattr(p, field).value) for p in self._policies if p.HasField(field)), default)

    def origins(self) -> list[xds.Message]:
        lists = (list(policy.allow_origin_string_match) for policy in self._policies)
        return next((matchers for matchers in lists if matchers), [])


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Answer preflights and decorate responses; Envoy does so only where a route leads to a cluster."""
    if http_filter.route is None or not http_filter.route.HasField("route"):
        return
    found = _policies_of(http_filter)
    if any(policy is None or policy.DESCRIPTOR.name != _POLICY for policy in found):
        findings.report("HF-UNTRANSLATED", at, effect="no CORS headers are written", remedy="use a CorsPolicy")
        return
    known = [policy for policy in found if policy is not None]
    if not known:
        return
    if draft.conditional is not None:
        findings.report("HF-UNTRANSLATED", at, effect="only the first cors filter writes headers")
        return
    for policy in known:
        dispatch.apply(policy, None, at, findings)
    # Whether the filter runs at all, the most specific policy alone decides.
    is_enabled = draft.draw(known[0].filter_enabled.default_value) if known[0].HasField("filter_enabled") else ALWAYS
    policies = _Policies(known)
    is_allowed = _allowed(policies.origins(), at, findings)
    name = http_filter.name
    _answer_preflights(policies, all_of((is_enabled, is_allowed)), name, draft)
    if not policies.flag("forward_not_matching_preflights", default=True):
        refused = all_of((is_enabled, matches(_ORIGIN, _NOT_EMPTY), negate(is_allowed), *_is_preflight()))
        _answer(name, _common(policies), (refused,), draft)
    if (decorated := all_of((is_enabled, is_allowed))) != NEVER:
        if draft.reads_mutated(decorated):
            findings.report("HF-ORDER", at, value="origin", effect="the Origin counts as the client sent it")
        draft.mutate_some(decorated, [_decoration(policies, at)])


def _policies_of(http_filter: EffectiveFilter) -> list[xds.Message | None]:
    """Give the policies, the most specific first; the deprecated ones count where there are no others."""
    if http_filter.overrides:
        return [override.config for override in reversed(http_filter.overrides)]
    virtual_host = http_filter.context.virtual_host
    holders = [http_filter.route.route if http_filter.route is not None else None, virtual_host]
    return [holder.cors for holder in holders if holder is not None and holder.HasField("cors")]


def _allowed(matchers: list[xds.Message], at: Where, findings: Findings) -> Expr:
    tests: list[Expr] = []
    for matcher in matchers:
        try:
            test = None if matcher.ByteSize() == 0 else test_of(matcher, _ORIGIN)
        except RegexError:
            test = None
        if test is None:
            findings.report(
                "HF-UNTRANSLATED",
                at.field("allow_origin_string_match"),
                effect="origins that only this matcher allows get no CORS headers",
                remedy="list the origins, or use a regex that RE2 and PCRE read alike",
            )
        else:
            tests.append(ALWAYS if _takes_any(matcher) else test.holds)
    return all_of((matches(_ORIGIN, _NOT_EMPTY), any_of(tests)))


def _takes_any(matcher: xds.Message) -> bool:
    """Tell whether the matcher takes `*`, which allows all origins."""
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return _matches_any(translate_regex(matcher.safe_regex.regex).pcre)
    text = getattr(matcher, kind)
    return text == _ANY or (not text and kind != "exact")


def _matches_any(pcre: str) -> bool:
    """Match one character; what Python does not read is a regex with more in it than `*`."""
    try:
        return re.fullmatch(_ESCAPED.sub(_python_escape, pcre), _ANY, re.DOTALL) is not None
    except re.error:
        return False


def _python_escape(found: re.Match[str]) -> str:
    return r"\Z" if found[1] == "z" else found[0]


def _is_preflight() -> tuple[Expr, Expr]:
    return equals("request_method", "OPTIONS"), matches(_METHOD, _NOT_EMPTY)


def _common(policies: _Policies) -> dict[str, str]:
    """Give the headers of an answer to a preflight, whoever asks; `*` means what was asked for."""
    headers = {f"{_ALLOW}credentials": "true"} if policies.flag("allow_credentials") else {}
    for field, variable in (("methods", _METHOD), ("headers", _HEADERS)):
        if text := policies.text(f"allow_{field}"):
            headers[f"{_ALLOW}{field}"] = f"${{{variable}}}" if text == _ANY else escape_text(text)
    if age := policies.text("max_age"):
        headers["access-control-max-age"] = escape_text(age)
    return headers


def _answer_preflights(policies: _Policies, is_allowed: Expr, name: str, draft: FilterDraft) -> None:
    headers = {f"{_ALLOW}origin": f"${{{_ORIGIN}}}", **_common(policies)}
    if exposed := policies.text("expose_headers"):
        headers["access-control-expose-headers"] = escape_text(exposed)
    if policies.flag("allow_private_network_access"):
        private = {**headers, f"{_ALLOW}private-network": "true"}
        asked = equals(_PRIVATE_NETWORK, "true")
        _answer(name, private, (*_is_preflight(), is_allowed, asked), draft)
    _answer(name, headers, (*_is_preflight(), is_allowed), draft)


def _answer(name: str, headers: dict[str, str], conditions: tuple[Expr, ...], draft: FilterDraft) -> None:
    """Answer a preflight as Envoy does: past the mutations of the route, and not as a local reply."""
    draft.answer(name, abort(_OK, "", headers), conditions, takes_levels=False, is_local_reply=False)


def _decoration(policies: _Policies, at: Where) -> Step:
    values: dict[str, tuple[Piece, ...]] = {f"{_ALLOW}origin": (Variable(_ORIGIN),)}
    if policies.flag("allow_credentials"):
        values[f"{_ALLOW}credentials"] = (Text("true"),)
    if exposed := policies.text("expose_headers"):
        values["access-control-expose-headers"] = (Text(exposed),)
    made: list[Any] = [Mutation(name, pieces, OVERWRITE, keeps_empty=True, at=at) for name, pieces in values.items()]
    return Step(mutations=tuple(made))
