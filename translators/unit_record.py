"""From the value of a units record to a bundle, whatever the value is (law 3: every unit becomes one bundle)."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import msgspec

from schemas.codec import UnreadableRecordError, decode
from schemas.records import Bundle, BundleClass, Diagnostic, Severity, Unit
from translators.diagnostics import DiagnosticClass
from translators.translate import translate

if TYPE_CHECKING:
    from translators.policy import Policy
    from translators.reference import Reference

MAX_PLACE_CHARS = 200


def bundle_of(
    key: str, value: bytes, policy: Policy, seq: int, build: str, *, reference: Reference | None = None
) -> Bundle:
    """Translate a record's value.

    Args:
        key: the record's key, which is the unit key.
        value: the encoded unit.
        policy: what the operator decided.
        seq: genesis + offset of the record.
        build: version of this translator, for the provenance.
        reference: the schemas of the nodes, if they are known.

    Returns:
        The bundle. A record that cannot be read, or that this translator fails on, gives a bundle with one FATAL
        diagnostic and no object: agents do not apply such a bundle and keep the unit's last good state.
    """
    try:
        bundle = translate(decode(value, Unit), policy, seq=seq, reference=reference)
    except UnreadableRecordError as error:
        return _failed(key, seq, "CFG-INVALID", str(error), "run a translator at least as new as the producer")
    except Exception as error:  # noqa: BLE001 - one unit that trips a defect must not stop the view
        place = traceback.extract_tb(error.__traceback__)[-1]
        found = f"{type(error).__name__} in {place.name}, line {place.lineno}"[:MAX_PLACE_CHARS]
        return _failed(key, seq, "OUT-SCHEMA", found, "report this with the unit's input")
    decided = (build, policy.digest(), *([reference.digest] if reference is not None else []))
    provenance = msgspec.structs.replace(bundle.provenance, build="/".join(decided))
    return msgspec.structs.replace(bundle, provenance=provenance)


def oversize_bundle(key: str, size_bytes: int, seq: int) -> Bundle:
    """Stand in for a bundle that no record can hold; the unit's last good translation stays in force."""
    return _failed(key, seq, "OUT-SIZE", f"{size_bytes} bytes", "split the virtual host or cluster")


def _failed(key: str, seq: int, code: str, value: str, remedy: str) -> Bundle:
    diagnostic = Diagnostic(
        code=code,
        severity=Severity.FATAL,
        diagnostic_class=DiagnosticClass.INTERNAL.value,
        type_url="",
        name=key,
        path="",
        value=value,
        effect="the last good translation stays in force",
        remedy=remedy,
    )
    return Bundle(key, BundleClass.ROUTING, seq, (), (diagnostic,))
