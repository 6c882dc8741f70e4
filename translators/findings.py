"""Collects the findings of one translation and tells what each leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.records import Diagnostic, Severity
from translators.diagnostics import CODES, DiagnosticClass
from translators.policy import Action

if TYPE_CHECKING:
    from translators.policy import Policy
    from translators.where import Where

MAX_VALUE_BYTES = 256
DEFAULT_ACTIONS = {
    DiagnosticClass.SECURITY: Action.BLOCK_ROUTE,
    DiagnosticClass.INVALID_INPUT: Action.REJECT_RESOURCE,
    DiagnosticClass.CAPACITY: Action.REJECT_RESOURCE,
}


class Findings:
    """What a translation has to say beside its objects; one line per code and place."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._found: dict[tuple[str, Where], Diagnostic] = {}

    def report(
        self,
        code: str,
        at: Where,
        *,
        value: str = "",
        effect: str = "",
        remedy: str = "",
        severity: Severity | None = None,
        diagnostic_class: DiagnosticClass | None = None,
    ) -> Action:
        """Note a finding.

        Args:
            code: a code of `CODES`.
            at: where in the input.
            value: the offending value, never a secret; cut at 256 bytes.
            effect: instead of the code's general effect.
            remedy: instead of the code's general remedy.
            severity: instead of the code's.
            diagnostic_class: instead of the code's, e.g. SECURITY where the same gap restricts access.

        Returns:
            What the policy wants done. `ALLOW` notes nothing.
        """
        row = CODES[code]
        chosen_class = diagnostic_class or row.diagnostic_class
        action = self.policy.overrides.get(code) or DEFAULT_ACTIONS.get(chosen_class, Action.WARN)
        if action is not Action.ALLOW:
            self._found[code, at] = Diagnostic(
                code=code,
                severity=severity or row.severity,
                diagnostic_class=chosen_class.value,
                type_url=at.type_url,
                name=at.name,
                path=at.path,
                value=value.encode()[:MAX_VALUE_BYTES].decode(errors="ignore"),
                effect=effect or row.effect,
                remedy=remedy or row.remedy,
            )
        return action

    def blocks(self, code: str, at: Where, **details: str) -> bool:
        """Note a finding about something that restricts access; tell whether what it guards must be blocked."""
        return self.report(
            code, at, diagnostic_class=DiagnosticClass.SECURITY, severity=Severity.ERROR, **details
        ) not in (Action.ALLOW, Action.WARN)

    def include(self, others: Findings) -> None:
        """Take over what another part of the same translation has found."""
        self._found.update(others._found)

    def is_empty(self) -> bool:
        """Tell whether nothing was found."""
        return not self._found

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings in a fixed order."""
        return tuple(sorted(self._found.values()))
