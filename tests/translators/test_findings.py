from __future__ import annotations

import pytest

from schemas.records import Severity
from translators.diagnostics import CODES, DiagnosticClass
from translators.findings import Findings
from translators.policy import Action, Policy
from translators.where import Where

AT = Where("type", "name").item("routes", 0).field("match")


def test_a_finding_carries_the_texts_of_its_code():
    findings = Findings(Policy())
    assert findings.report("RA-RETRY", AT) is Action.WARN
    (found,) = findings.diagnostics()
    assert (found.code, found.severity, found.path) == ("RA-RETRY", Severity.WARN, "routes[0].match")
    assert found.effect == CODES["RA-RETRY"].effect
    assert found.remedy == CODES["RA-RETRY"].remedy


def test_what_restricts_is_blocked_unless_the_policy_says_otherwise():
    assert Findings(Policy()).blocks("HF-UNKNOWN", AT)
    for action in (Action.ALLOW, Action.WARN):
        assert not Findings(Policy(overrides={"HF-UNKNOWN": action})).blocks("HF-UNKNOWN", AT)


def test_what_is_allowed_is_not_mentioned():
    findings = Findings(Policy(overrides={"RA-RETRY": Action.ALLOW}))
    findings.report("RA-RETRY", AT)
    assert findings.diagnostics() == ()


def test_one_line_per_code_and_place():
    findings = Findings(Policy())
    findings.report("RA-RETRY", AT)
    findings.report("RA-RETRY", AT)
    findings.report("RA-RETRY", AT.field("x"))
    assert len(findings.diagnostics()) == 2


def test_a_long_value_is_cut_between_characters():
    findings = Findings(Policy())
    findings.report("RA-RETRY", AT, value="é" * 200)
    (found,) = findings.diagnostics()
    assert found.value == "é" * 128


def test_a_blocking_finding_is_a_security_error():
    findings = Findings(Policy())
    findings.blocks("HF-META", AT)
    (found,) = findings.diagnostics()
    assert (found.severity, found.diagnostic_class) == (Severity.ERROR, DiagnosticClass.SECURITY)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_says_what_happens_and_what_to_do(code: str):
    assert CODES[code].effect
    assert CODES[code].remedy
    assert code == code.upper()


def test_what_other_parts_have_found_is_taken_over():
    findings, others = Findings(Policy()), Findings(Policy())
    assert findings.is_empty()
    others.report("RA-RETRY", AT)
    findings.include(others)
    assert not findings.is_empty()
    assert findings.diagnostics() == others.diagnostics()
