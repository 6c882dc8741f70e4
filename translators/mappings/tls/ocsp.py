"""Source: TlsCertificate.ocsp_staple, signed_certificate_timestamp, DownstreamTlsContext.ocsp_staple_policy.

Target: none: APISIX staples with a plugin that asks the responder itself and is off by default.
Fidelity: N.
Differs: no OCSP response and no timestamp is handed to clients, and none is required.
Diagnostics: TLS-VALIDATION, which here restricts nobody: clients only learn less.
See: mapping.md section 4.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.records import Severity
from translators.diagnostics import DiagnosticClass

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

_REMEDY = "use the plugin ocsp-stapling of APISIX, or do without"


def apply_staple(_certificate: xds.Message, _draft: Any, at: Where, findings: Findings) -> None:
    """Report a response that is not stapled."""
    _report(at.field("ocsp_staple"), "no OCSP response is stapled", findings)


def apply_timestamp(_certificate: xds.Message, _draft: Any, at: Where, findings: Findings) -> None:
    """Report timestamps that are not sent."""
    _report(at.field("signed_certificate_timestamp"), "no certificate timestamp is sent", findings)


def apply_policy(_context: xds.Message, _draft: Any, at: Where, findings: Findings) -> None:
    """Report a policy that is not followed."""
    _report(at.field("ocsp_staple_policy"), "connections are made without a stapled OCSP response", findings)


def _report(at: Where, effect: str, findings: Findings) -> None:
    findings.report(
        "TLS-VALIDATION",
        at,
        effect=effect,
        remedy=_REMEDY,
        severity=Severity.WARN,
        diagnostic_class=DiagnosticClass.UNSUPPORTED,
    )
