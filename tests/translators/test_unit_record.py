from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.codec import encode
from schemas.records import Provenance, Severity, Unit, UnitKind
from translators import unit_record
from translators.policy import Action, Policy
from translators.reference import Reference
from translators.unit_record import bundle_of

if TYPE_CHECKING:
    import pytest

UNIT = Unit(UnitKind.VIEW, "view", {"view": "v"}, (), Provenance("file", "7", 5, "producer"))


def test_the_provenance_names_source_translator_and_policy():
    policy = Policy(overrides={"RA-RETRY": Action.ALLOW})
    bundle = bundle_of("view", encode(UNIT), policy, 9, "1.0")
    assert bundle.seq == 9
    assert bundle.provenance == Provenance("file", "7", 5, f"1.0/{policy.digest()}")
    assert policy.digest() != Policy().digest()


def test_a_defect_of_the_translator_costs_one_unit_and_reveals_no_value(monkeypatch: pytest.MonkeyPatch):
    def defect(*_: Any, **__: Any) -> Any:
        raise KeyError("-----BEGIN PRIVATE KEY-----")

    monkeypatch.setattr(unit_record, "translate", defect)
    bundle = bundle_of("view", encode(UNIT), Policy(), 9, "1.0")
    (finding,) = bundle.diagnostics
    assert (finding.code, finding.severity, bundle.objects) == ("OUT-SCHEMA", Severity.FATAL, ())
    assert finding.value.startswith("KeyError in defect, line ")
    assert "PRIVATE" not in str(bundle)


def test_the_same_record_gives_the_same_bundle():
    assert bundle_of("view", encode(UNIT), Policy(), 9, "1.0") == bundle_of("view", encode(UNIT), Policy(), 9, "1.0")


def test_the_schemas_of_the_nodes_count_and_are_named_in_the_provenance():
    """The node has no plugin prometheus enabled, so it would skip the global rule."""
    reference = Reference(b'{"main": {"route": {}, "upstream": {}}, "plugins": {}}')
    bundle = bundle_of("view", encode(UNIT), Policy(), 9, "1.0", reference=reference)
    assert bundle.provenance.build == f"1.0/{Policy().digest()}/{reference.digest}"
    assert ([found.code for found in bundle.diagnostics], bundle.objects) == (["HF-PLUGIN-DISABLED"], ())
    assert len(bundle_of("view", encode(UNIT), Policy(), 9, "1.0").objects) == 1
