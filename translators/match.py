"""Translate a RouteMatch through the rows of its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.unknown_fields import UnknownFieldSet

from translators import dispatch
from translators.element import elements
from translators.findings import Findings
from translators.match_draft import MatchDraft

if TYPE_CHECKING:
    from schemas import xds
    from translators.path_key import PathView
    from translators.where import Where

MAX_REMEMBERED = 256
"""Entries in a chain's memo beyond which no further match is remembered."""
_UNKNOWN_EFFECT = "a condition that this version does not know: the route is left out"


def translate_match(
    match: xds.Message,
    view: PathView,
    at: Where,
    findings: Findings,
    *,
    is_proto_overwritten: bool = False,
    memo: dict[tuple[Any, ...], Any] | None = None,
) -> MatchDraft:
    """Translate a RouteMatch.

    Args:
        match: envoy.config.route.v3.RouteMatch.
        view: what path conditions look at.
        at: where the match stands.
        findings: receives the diagnostics.
        is_proto_overwritten: Envoy sets x-forwarded-proto itself before it chooses the route.
        memo: of the chain, under one policy: virtual hosts behind it have many matches in common.

    Returns:
        Keys and conditions; see there how what cannot be expressed is marked.
    """
    key = "match", match.SerializeToString(deterministic=True), view, is_proto_overwritten
    known = memo.get(key) if memo is not None else None
    if known is not None:
        remembered: MatchDraft = known
        return remembered
    own = Findings(findings.policy)
    draft = _translated(match, MatchDraft(at, view, is_proto_overwritten), at, own)
    findings.include(own)
    if memo is not None and own.is_empty() and len(memo) < MAX_REMEMBERED:
        memo[key] = draft
    return draft


def _translated(match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> MatchDraft:
    _cover(match, draft, at, findings)
    for field in ("headers", "query_parameters"):
        matchers = getattr(match, field)
        if matchers:
            for matcher, place in zip(matchers, elements(at, field, matchers), strict=True):
                _cover_test(matcher, draft, place, findings)
    return draft


def _cover_test(matcher: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    _cover(matcher, draft, at, findings)
    if matcher.HasField("string_match"):
        _cover(matcher.string_match, draft, at.field("string_match"), findings)


def _cover(message: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Apply the rows of a message; what restricts the match and is not understood makes it inexact."""
    if not dispatch.apply(message, draft, at, findings):
        draft.is_exact = False
    for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined]  # missing in the stubs
        draft.widen("CFG-UNKNOWN-FIELD", at.field(f"#{unknown.field_number}"), findings, effect=_UNKNOWN_EFFECT)
