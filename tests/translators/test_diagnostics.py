"""What documents say of diagnostics is about codes that exist."""

from __future__ import annotations

import re
from pathlib import Path

import translators
from translators.diagnostics import CODES

LIMITS = Path(translators.__file__).parent.parent / "docs" / "limits.md"
FAMILIES = "|".join(sorted({code.partition("-")[0] for code in CODES}))


def test_the_limits_name_codes_that_exist():
    named = set(re.findall(rf"\b(?:{FAMILIES})-[A-Z][A-Z0-9-]*", LIMITS.read_text()))
    assert len(named) > 40
    assert named <= CODES.keys()
