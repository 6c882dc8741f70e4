"""Apply the registry to a message: every set field is handled, ignored or diagnosed (law 8)."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from google.protobuf.unknown_fields import UnknownFieldSet

from translators.registry import ROWS, Diagnosed, Handled

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

_PHASE = attrgetter("phase")


def apply(message: xds.Message, draft: Any, at: Where, findings: Findings) -> bool:
    """Dispatch the set fields of a message to their rows.

    Args:
        message: any xDS message.
        draft: what the mappings contribute to; may be None when all rows of the message are read elsewhere.
        at: where the message stands.
        findings: receives the diagnostics.

    Returns:
        False when a field that restricts access could not be translated: the caller must fail closed.
    """
    steps: list[Handled] = []
    is_open = True
    for field, value in message.ListFields():
        row = ROWS.get(field.full_name)
        if isinstance(row, Handled):
            if row.apply is not None:
                steps.append(row)
        elif isinstance(row, Diagnosed):
            is_open = diagnose(row, value, at.field(field.name), findings) and is_open
        elif row is None:
            _report_hole(field, at, findings)
    for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined]  # missing in the stubs
        findings.report("CFG-UNKNOWN-FIELD", at.field(f"#{unknown.field_number}"))
    if len(steps) > 1:
        steps.sort(key=_PHASE)  # stable: within a phase fields stay in the order of ListFields, that of their numbers
    for step in steps:
        if step.apply is not None:
            step.apply(message, draft, at, findings)
    return is_open


def diagnose(row: Diagnosed, value: Any, at: Where, findings: Findings) -> bool:
    """Report a diagnosed row; False when what it guards must be blocked."""
    if row.unless is not None and row.unless(value):
        return True
    if row.restricts:
        return not findings.blocks(row.code, at, effect=row.effect, remedy=row.remedy)
    findings.report(row.code, at, effect=row.effect, remedy=row.remedy)
    return True


def _report_hole(field: FieldDescriptor, at: Where, findings: Findings) -> None:
    findings.report(
        "CFG-UNKNOWN-FIELD", at.field(field.name), effect=f"{field.full_name} is not translated by this version"
    )
