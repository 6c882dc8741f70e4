"""Translate one unit into one bundle: pure, deterministic, total (laws 2 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    from translators.reference import Reference


class Origins(NamedTuple):
    """A bundle, and the place in the source that each of its objects stands for."""

    bundle: Bundle
    origins: dict[str, Where]


def translate(
    unit: Unit, policy: Policy = policies.DEFAULT, *, seq: int = 0, reference: Reference | None = None
) -> Bundle:
    """Translate a unit.

    Args:
        unit: the unit, with everything it needs inside.
        policy: what the operator decided.
        seq: genesis + offset of the unit record, copied into the bundle (law 4).
        reference: the schemas of the nodes, to validate against beside our own.

    Returns:
        Its bundle; if nothing can be made of the unit, one without objects and with an ERROR diagnostic.
    """
    return translate_with_origins(unit, policy, seq=seq, reference=reference).bundle


def translate_with_origins(
    unit: Unit, policy: Policy = policies.DEFAULT, *, seq: int = 0, reference: Reference | None = None
) -> Origins:
    """Translate a unit, and tell what each object stands for; arguments as those of `translate`."""
    findings = Findings(policy)
    view = UnitView(unit)
    at = Where("", unit.key)
    try:
        translation = KINDS[unit.kind](view, findings)
    except (DecodeError, UnknownTypeError) as error:
        findings.report("CFG-INVALID", at, value=str(error))
        translation = Translation()
    objects = validated(translation.objects, at, findings, origins=translation.origins, reference=reference)
    bundle = Bundle(
        unit_key=unit.key,
        bundle_class=BundleClass.ENDPOINTS if unit.kind == UnitKind.CLUSTER else BundleClass.ROUTING,
        seq=seq,
        objects=objects,
        diagnostics=findings.diagnostics(),
        manifest=translation.manifest,
        provenance=unit.provenance,
    )
    return Origins(bundle, translation.origins)
