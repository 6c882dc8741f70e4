"""RouteMatch.path.

Source: envoy.config.route.v3.RouteMatch.path, with case_sensitive.
Target: `uris: ["P"]`; a path with `*` in it, which APISIX would read as a prefix, becomes a prefix and a guard.
Fidelity: E.
Differs: nothing, for paths that look the same encoded and decoded.
Diagnostics: RT-DECODED.
See: mapping.md sections 5.5 and 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.match.case_sensitive import ignores_case
from translators.mappings.match.literal import note_decoded
from translators.path_key import is_exactly

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where


def apply(match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Translate the path."""
    note_decoded(match.path, draft, at.field("path"), findings)
    draft.require_path(is_exactly(match.path, draft.view, ignore_case=ignores_case(match)))
