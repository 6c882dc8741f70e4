"""Translate one unit into one bundle: pure, deterministic, total (laws 2 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from schemas.records import Bundle, BundleClass, Unit, UnitKind
from schemas.xds import UnknownTypeError
from translators import policy as policies
from translators.findings import Findings
from translators.kinds import KINDS
from translators.translation import Translation
from translators.unit_view import UnitView
from translators.validate import validated
from translators.where import Where

if TYPE_CHECKING:
    from translators.policy import Policy


def translate(unit: Unit, policy: Policy = policies.DEFAULT, *, seq: int = 0) -> Bundle:
    """Translate a unit.

    Args:
        unit: the unit, with everything it needs inside.
        policy: what the operator decided.
        seq: genesis + offset of the unit record, copied into the bundle (law 4).

    Returns:
        Its bundle; if nothing can be made of the unit, one without objects and with an ERROR diagnostic.
    """
    findings = Findings(policy)
    view = UnitView(unit)
    try:
        translation = KINDS[unit.kind](view, findings)
    except (DecodeError, UnknownTypeError) as error:
        findings.report("CFG-INVALID", Where("", unit.key), value=str(error))
        translation = Translation()
    return Bundle(
        unit_key=unit.key,
        bundle_class=BundleClass.ENDPOINTS if unit.kind == UnitKind.CLUSTER else BundleClass.ROUTING,
        seq=seq,
        objects=validated(translation.objects, Where("", unit.key), findings),
        diagnostics=findings.diagnostics(),
        manifest=translation.manifest,
        provenance=unit.provenance,
    )
