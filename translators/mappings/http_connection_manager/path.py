"""Source: HttpConnectionManager.path_with_escaped_slashes_action.

Target: a route in front that answers: 400 for REJECT_REQUEST, the redirect to the path as nginx reads it for
    UNESCAPE_AND_REDIRECT. UNESCAPE_AND_FORWARD is what nginx matches by.
Fidelity: E for REJECT_REQUEST; A for the unescaping ones; N for KEEP_UNCHANGED, which unescapes.
Differs: an escaped backslash is refused instead of redirected, as nginx would write it escaped again; a path with an
    escaped `?` is not redirected; slashes at the beginning are merged at once; what is forwarded keeps its escapes.
Diagnostics: HCM-PATH.
See: mapping.md section 4.6.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from schemas.records import Severity
from translators.block import abort
from translators.connection import Refusal
from translators.expr import matches

if TYPE_CHECKING:
    from schemas import xds
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where

_BAD_REQUEST, _TEMPORARY_REDIRECT = 400, 307
_ESCAPED_SLASH = r"\A[^?]*%(?:2f|5c)"
_ESCAPED_BACKSLASH = r"\A[^?]*%5c"
_REDIRECTABLE = r"\A(?![^?]*%3f)[^?]*%2f"
_PART_REDIRECTED = "an escaped backslash is refused, and a path with an escaped `?` not redirected"
_UNESCAPED = {"uri": "$uri", "encode_uri": True, "append_query_string": True, "ret_code": _TEMPORARY_REDIRECT}


class Action(IntEnum):
    """HttpConnectionManager.PathWithEscapedSlashesAction."""

    IMPLEMENTATION_SPECIFIC_DEFAULT = 0
    KEEP_UNCHANGED = 1
    REJECT_REQUEST = 2
    UNESCAPE_AND_REDIRECT = 3
    UNESCAPE_AND_FORWARD = 4


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Refuse or redirect escaped slashes, or say that they are unescaped."""
    action = hcm.path_with_escaped_slashes_action
    if action == Action.REJECT_REQUEST:
        _answer("escaped_slash", _ESCAPED_SLASH, _BAD_REQUEST, draft)
    elif action == Action.UNESCAPE_AND_REDIRECT:
        _answer("escaped_backslash", _ESCAPED_BACKSLASH, _BAD_REQUEST, draft)
        _answer("escaped_slash", _REDIRECTABLE, _TEMPORARY_REDIRECT, draft)
        place = at.field("path_with_escaped_slashes_action")
        findings.report("HCM-PATH", place, effect=_PART_REDIRECTED, severity=Severity.INFO)
    elif action == Action.KEEP_UNCHANGED:
        findings.report("HCM-PATH", at.field("path_with_escaped_slashes_action"))


def _answer(name: str, pattern: str, status: int, draft: ConnectionDraft) -> None:
    condition = matches("real_request_uri", pattern, ignore_case=True)
    plugins = abort(status) if status == _BAD_REQUEST else {"redirect": dict(_UNESCAPED)}
    draft.refusals.append(Refusal(name, condition, status, plugins))
