"""RouteMatch.connect_matcher.

Source: envoy.config.route.v3.RouteMatch.connect_matcher: only CONNECT requests match.
Target: none. nginx answers 405 to CONNECT before any route is tried, so leaving the route out takes nothing away.
Fidelity: N.
Differs: CONNECT is refused.
Diagnostics: RT-CONNECT.
See: mapping.md section 5.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where


def apply(_match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Leave the route out."""
    findings.report("RT-CONNECT", at.field("connect_matcher"))
    draft.is_possible = False
