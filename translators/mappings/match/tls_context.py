"""RouteMatch.tls_context.

Source: envoy.config.route.v3.RouteMatch.TlsContextMatchOptions: a client certificate was presented, was validated.
Target: nginx's `ssl_client_verify`.
Fidelity: A.
Differs: nginx says NONE, SUCCESS or FAILED; a certificate that is not verified at all counts as FAILED.
Diagnostics: none.
See: mapping.md section 5.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.expr import Expr, all_of, differs, equals, negate, present

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where

_VERIFY = "ssl_client_verify"
IS_PRESENTED: Expr = all_of((differs(_VERIFY, "NONE"), present(_VERIFY)))
IS_VALIDATED: Expr = equals(_VERIFY, "SUCCESS")


def apply(match: xds.Message, draft: MatchDraft, _at: Where, _findings: Findings) -> None:
    """Translate both conditions."""
    options = match.tls_context
    for field, holds in (("presented", IS_PRESENTED), ("validated", IS_VALIDATED)):
        if options.HasField(field):
            draft.require(holds if getattr(options, field).value else negate(holds))
