"""Source: HttpConnectionManager.path_with_escaped_slashes_action.

Target: REJECT_REQUEST: a route in front that answers 400; UNESCAPE_AND_FORWARD is what nginx does.
Fidelity: E for REJECT_REQUEST; A for UNESCAPE_AND_FORWARD; N for the others.
Differs: KEEP_UNCHANGED and the redirect unescape instead.
Diagnostics: HCM-PATH.
See: mapping.md section 4.6.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from translators.connection import Refusal
from translators.expr import matches

if TYPE_CHECKING:
    from schemas import xds
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where

_BAD_REQUEST = 400
_ESCAPED_SLASH = r"\A[^?]*%(?:2f|5c)"


class Action(IntEnum):
    """HttpConnectionManager.PathWithEscapedSlashesAction."""

    IMPLEMENTATION_SPECIFIC_DEFAULT = 0
    KEEP_UNCHANGED = 1
    REJECT_REQUEST = 2
    UNESCAPE_AND_REDIRECT = 3
    UNESCAPE_AND_FORWARD = 4


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Refuse escaped slashes, or say that they are unescaped."""
    action = hcm.path_with_escaped_slashes_action
    if action == Action.REJECT_REQUEST:
        condition = matches("real_request_uri", _ESCAPED_SLASH, ignore_case=True)
        draft.refusals.append(Refusal("escaped_slash", condition, _BAD_REQUEST))
    elif action in (Action.KEEP_UNCHANGED, Action.UNESCAPE_AND_REDIRECT):
        findings.report("HCM-PATH", at.field("path_with_escaped_slashes_action"))
