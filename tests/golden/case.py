"""Golden cases: one YAML file each with `about`, `input` and `want`, found by directory.

`input` is what the file source reads: `static_resources` of a bootstrap, or `resources` by type URL. `kinds` limits
what is wanted to the units of these kinds, `policy` overrides the operator's decisions. `want` is everything the
translation gives: objects by etcd key, diagnostics by code, severity and place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson
import yaml

from producers.files.parse import parse
from producers.image import Image
from producers.intake import Intake
from producers.source import Changes
from producers.units import Cutter
from schemas.records import Unit
from translators import translate
from translators.policy import Policy

ROOT = Path(__file__).parent
WANT = "\nwant:"


def case_paths() -> list[Path]:
    """Give all cases, sorted."""
    return sorted(ROOT.glob("*/*.yaml"))


def load(path: Path) -> dict[str, Any]:
    """Read a case."""
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    return case


def units_of(document: dict[str, Any]) -> list[Unit]:
    """Cut a configuration into units as a producer does."""
    parsed = parse(orjson.dumps(document), "case")
    assert not parsed.problems, parsed.problems
    image = Image()
    admission = Intake(None).admit(Changes(parsed.resources, is_complete=True, source="case"))
    assert not admission.problems, admission.problems
    cutter = Cutter("golden", image)
    return [unit for unit in cutter.apply(image.replay(admission.replacements)) if isinstance(unit, Unit)]


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    """Translate a case's input."""
    policy = msgspec.convert(case.get("policy", {}), Policy)
    objects: dict[str, Any] = {}
    diagnostics: set[tuple[str, str, str, str]] = set()
    for unit in units_of(case["input"]):
        if unit.kind in case.get("kinds", [unit.kind]):
            bundle = translate(unit, policy)
            objects.update((found.key, orjson.loads(found.value)) for found in bundle.objects)
            diagnostics.update((d.code, d.severity.value, d.name, d.path) for d in bundle.diagnostics)
    return {
        "resources": dict(sorted(objects.items())),
        "diagnostics": [
            {"code": code, "severity": severity, "name": name, "path": path}
            for code, severity, name, path in sorted(diagnostics)
        ],
    }


def rewritten(path: Path) -> str:
    """Give a case's text with what is wanted replaced by what the translation gives now."""
    text = path.read_text()
    head = text[: text.index(WANT)] if WANT in text else text.rstrip("\n")
    want = yaml.safe_dump({"want": outcome(load(path))}, sort_keys=True, width=120, allow_unicode=True)
    return f"{head}\n{want}"
