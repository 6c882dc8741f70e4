"""Source: host_rewrite_literal, host_rewrite, auto_host_rewrite, … of RouteAction.

Target: proxy-rewrite.host; the variant of the upstream for hosts the plugin refuses and for auto_host_rewrite.
Fidelity: E for literals, A for auto_host_rewrite, N for the others.
Differs: -
Diagnostics: RA-HOST.
See: mapping.md section 5.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.uses import reduce_use
from translators.format_string import FormatError, parse, text_of
from translators.headers import PLUGIN_HOST
from translators.variant import variant_of

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.route_draft import RouteDraft
    from translators.where import Where


def apply(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> None:
    """Rewrite the Host to a literal."""
    rewrite_host(action, None, draft, at.field("host_rewrite_literal"), findings)


def apply_format(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> None:
    """Rewrite the Host by a format string, if that is a literal: the plugin takes no variables."""
    try:
        literal = text_of(parse(action.host_rewrite, "request", {"ROUTE_NAME": draft.route.name}))
    except FormatError:
        literal = None
    if literal is None or not PLUGIN_HOST.match(literal):
        findings.report("RA-HOST", at.field("host_rewrite"), value=action.host_rewrite)
    else:
        draft.host = literal


def rewrite_host(
    action: xds.Message, weighted: xds.Message | None, draft: RouteDraft, at: Where, findings: Findings
) -> None:
    """Set the draft's host; the upstream's variant takes those that the plugin refuses.

    Args:
        action: the RouteAction.
        weighted: the ClusterWeight whose host_rewrite_literal is meant; None = the action's.
        draft: receives the host.
        at: where the literal stands.
        findings: receives RA-HOST.
    """
    use = reduce_use(action, None, weighted)
    literal = use.host_rewrite_literal
    if PLUGIN_HOST.match(literal):
        draft.host = literal
    elif literal and variant_of(None, use, "l7").upstream_host != literal:
        findings.report("RA-HOST", at, value=literal)
