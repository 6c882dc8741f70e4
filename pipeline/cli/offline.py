"""The whole pipeline in memory: resources of a source through image, cutter and translator, without a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from producers.image import Image
from producers.intake import Intake
from producers.units import Cutter, Removal
from translators.findings import Findings
from translators.translate import translate_with_origins
from translators.where import Where

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.source import Changes, Note, SourceProblem
    from schemas.records import Bundle, Diagnostic, Unit
    from translators.policy import Policy
    from translators.reference import Reference


class Offline(NamedTuple):
    """What a set of resources comes to.

    Attributes:
        bundles: one per unit.
        problems: resources that could not be taken.
        notes: what the source noted while it read, as findings.
        units: what was translated, in the order of the bundles.
        origins: key of an object -> the place in the source that it stands for.
    """

    bundles: tuple[Bundle, ...]
    problems: tuple[SourceProblem, ...]
    notes: tuple[Diagnostic, ...] = ()
    units: tuple[Unit, ...] = ()
    origins: dict[str, Where] = {}  # noqa: RUF012 - never written to

    def objects(self) -> dict[str, dict[str, Any]]:
        """Give the union of the bundles' objects by key below the etcd prefix."""
        return {found.key: orjson.loads(found.value) for bundle in self.bundles for found in bundle.objects}

    def diagnostics(self) -> list[dict[str, Any]]:
        """Give the distinct findings as JSON-like data, worst first."""
        distinct = {*self.notes, *(finding for bundle in self.bundles for finding in bundle.diagnostics)}
        return [diagnostic_data(finding) for finding in sorted(distinct, key=_worst_first)]

    def manifest(self) -> dict[str, Any]:
        """Give what config.yaml must provide."""
        texts = [bundle.manifest for bundle in self.bundles if bundle.manifest]
        found: dict[str, Any] = orjson.loads(texts[0]) if texts else {}
        return found


def units_of(changes: Changes, view: str) -> tuple[list[Unit], tuple[SourceProblem, ...]]:
    """Cut a complete set of resources into units, sensitive fields in the clear: nothing of this goes into a log."""
    image = Image()
    admission = Intake(None).admit(changes)
    cut = Cutter(view, image).apply(image.replay(admission.replacements))
    return [unit for unit in cut if not isinstance(unit, Removal)], admission.problems


def translate_offline(changes: Changes, view: str, policy: Policy, *, reference: Reference | None = None) -> Offline:
    """Translate a complete set of resources, validated against the schemas of nodes where they are given."""
    units, problems = units_of(changes, view)
    translated = [translate_with_origins(unit, policy, reference=reference) for unit in units]
    origins = {key: at for found in translated for key, at in found.origins.items()}
    bundles = tuple(found.bundle for found in translated)
    return Offline(bundles, problems, findings_of(changes.notes, policy), tuple(units), origins)


def findings_of(notes: Iterable[Note], policy: Policy) -> tuple[Diagnostic, ...]:
    """Turn what a source noted into findings, under the policy like all others; the note's text is the value."""
    findings = Findings(policy)
    for note in notes:
        findings.report(note.code, Where(note.type_url, note.name, note.path), value=note.message)
    return findings.diagnostics()


def diagnostic_data(finding: Diagnostic) -> dict[str, Any]:
    """Give a finding in the shape that `translate` prints."""
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "class": finding.diagnostic_class,
        "xds": {"type_url": finding.type_url, "name": finding.name, "path": finding.path},
        "value": finding.value,
        "effect": finding.effect,
        "remedy": finding.remedy,
    }


_SEVERITIES = ("FATAL", "ERROR", "WARN", "INFO")


def _worst_first(finding: Diagnostic) -> tuple[int, Diagnostic]:
    return _SEVERITIES.index(finding.severity), finding


def diagnostic_lines(diagnostics: Iterable[dict[str, Any]]) -> str:
    """Render findings for people, one a line."""
    return "".join(
        f"{found['severity']} {found['code']} {found['xds']['name']} {found['xds']['path']}: "
        f"{found['effect']} ({found['remedy']})\n"
        for found in diagnostics
    )
