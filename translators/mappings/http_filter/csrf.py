"""Source: envoy.extensions.filters.http.csrf.v3.CsrfPolicy.

Target: a guard that answers 403 to requests of other origins that change something; the csrf plugin of APISIX is
another thing (a token in a cookie).
Fidelity: E where the domains of the virtual host are exact, so that the target is known.
Differs: under a wildcard domain only additional_origins pass; a Host with a port is known by the listener's port only.
Diagnostics: HF-RESTRICT.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch
from translators.block import FORBIDDEN, abort
from translators.expr import NEVER, Expr, all_of, any_of, equals, escape, matches, negate, one_of
from translators.mappings.match.string_match import pcre_of
from translators.regex import RegexError
from translators.scope import listener_port

if TYPE_CHECKING:
    from schemas import xds
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_POLICY = "CsrfPolicy"
_CHANGING = ("DELETE", "PATCH", "POST", "PUT")
_ORIGIN, _REFERER = "http_origin", "http_referer"
_NOT_EMPTY = "(?s)."
_DENIED = abort(FORBIDDEN, "Invalid origin", {"Content-Type": "text/plain"})
_UNKNOWN_TARGET = "requests that change something are denied unless additional_origins lists their origin"
_REMEDY = "give the virtual host exact domains, or list its own origins in additional_origins"


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Deny what the policy in force denies; shadowing only counts."""
    policy = http_filter.override if http_filter.overrides else http_filter.config
    if policy is None or policy.DESCRIPTOR.name != _POLICY:
        if findings.blocks("HF-RESTRICT", at):
            draft.deny("HF-RESTRICT")
        return
    dispatch.apply(policy, None, at, findings)
    is_enabled = draft.draw(policy.filter_enabled.default_value)
    if is_enabled == NEVER:
        return
    allowed = _allowed_sources(policy, at, findings)
    targets = _targets(http_filter, at, findings)
    if targets is None:
        return
    by_origin, by_referer = (
        any_of(
            [
                *(all_of((equals("http_host", host), _comes_from(variable, escape(host)))) for host in targets),
                *(_comes_from(variable, pcre) for pcre in allowed),
            ]
        )
        for variable in (_ORIGIN, _REFERER)
    )
    has_origin = matches(_ORIGIN, _NOT_EMPTY)
    is_valid = any_of((all_of((has_origin, by_origin)), all_of((negate(has_origin), by_referer))))
    draft.answer(http_filter.name, _DENIED, (is_enabled, one_of("request_method", _CHANGING), negate(is_valid)))


def _comes_from(variable: str, host: str) -> Expr:
    """Hold when a URL has this host and port (a PCRE), as Envoy reads it; what is no URL counts as a whole."""
    return matches(variable, rf"\A(?:{host}|https?://(?:[^@/?#]*@)?{host}(?:[/?].*)?)\z")


def _allowed_sources(policy: xds.Message, at: Where, findings: Findings) -> list[str]:
    allowed = []
    for index, matcher in enumerate(policy.additional_origins):
        try:
            pcre = pcre_of(matcher, "/")
        except RegexError:
            pcre = None
        if pcre is None:
            findings.report(
                "HF-RESTRICT",
                at.item("additional_origins", index),
                effect="requests from this origin are denied",
                remedy="list the origin as a literal, or by a regex that RE2 and PCRE read alike",
            )
        else:
            allowed.append(pcre)
    return allowed


def _targets(http_filter: EffectiveFilter, at: Where, findings: Findings) -> list[str] | None:
    """Give the values of Host that the virtual host takes; None when any may pass, by policy of the operator.

    Where no route matched, whether 403 or 404 is answered is not worth a word.
    """
    context = http_filter.context
    domains = list(context.virtual_host.domains) if context.virtual_host is not None else ["*"]
    exact = sorted({text for domain in domains if "*" not in domain for text in (domain, domain.lower())})
    is_open = http_filter.route is not None and any("*" in domain for domain in domains)
    if is_open and not findings.blocks("HF-RESTRICT", at, effect=_UNKNOWN_TARGET, remedy=_REMEDY):
        return None
    port = listener_port(context.listener)
    return [*exact, *(f"{host}:{port}" for host in exact if port and ":" not in host)]
