"""Check our own output before it leaves: nodes skip what they cannot validate, silently (mapping.md section 1.8).

The schemas are our own (schemas/apisix): stricter than those of APISIX, because what we never mean to emit is refused.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import orjson

from translators.fitting import closed, fitted
from translators.requirement import NEWEST_REQUIREMENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.records import EtcdObject
    from translators.findings import Findings
    from translators.reference import Reference
    from translators.where import Where

DIRECTORIES = (
    "routes",
    "upstreams",
    "ssls",
    "stream_routes",
    "plugin_configs",
    "plugin_metadata",
    "services",
    "global_rules",
    "consumers",
)
_REFUSED = "nodes would refuse or skip it: a route answers 503 instead, anything else is left out"
_REMEDIES = {
    "HF-PLUGIN-DISABLED": "enable the plugin in config.yaml of the nodes, then pull the schemas again",
    "OUT-SCHEMA": "name the nodes' versions in apisix_versions of the policy, or report it with the input",
}
_SHARED = ("definitions", "plugins")


def validated(
    objects: Iterable[EtcdObject],
    at: Where,
    findings: Findings,
    *,
    origins: Mapping[str, Where] | None = None,
    reference: Reference | None = None,
) -> tuple[EtcdObject, ...]:
    """Keep the objects that may leave, sorted by key, fitted to the nodes of the policy.

    Args:
        objects: what a translation made, in any order.
        at: the unit, for the diagnostics; an object is named by its key.
        findings: receives OUT-VERSION for what is left out of objects, OUT-SCHEMA, OUT-SIZE, HF-PLUGIN-DISABLED and
            ID-COLLISION for those that are left out.
        origins: key -> place in the source; what has none is named below the unit.
        reference: the schemas of the nodes, beside our own.
    """
    kept: dict[str, EtcdObject] = {}
    has_older_nodes = findings.policy.versions()[0] < NEWEST_REQUIREMENT
    for made in sorted(objects, key=lambda item: (item.key, item.value)):
        place = (origins or {}).get(made.key) or at.item("objects", made.key)
        candidate = fitted(made, place, findings) if has_older_nodes else made
        if candidate is not None and reference is not None:
            candidate = _fitting_the_nodes(candidate, place, findings, reference)
        if candidate is None:
            continue
        first = kept.get(candidate.key)
        if first is not None:
            if first.value != candidate.value:
                findings.report("ID-COLLISION", place, value=candidate.key)
        elif len(candidate.value) > findings.policy.max_object_bytes:
            findings.report("OUT-SIZE", place, value=f"{len(candidate.value)} bytes")
        elif (problem := problem_of(candidate)) is not None:
            findings.report("OUT-SCHEMA", place, value=problem)
        else:
            kept[candidate.key] = candidate
    return tuple(kept.values())


def _fitting_the_nodes(candidate: EtcdObject, at: Where, findings: Findings, reference: Reference) -> EtcdObject | None:
    """Give an object that nodes take: itself, a route that denies in its stead, or nothing."""
    stand_in: EtcdObject | None = candidate
    for problem in reference.problems(candidate.key, orjson.loads(candidate.value)):
        code = "HF-PLUGIN-DISABLED" if problem.is_missing_plugin else "OUT-SCHEMA"
        findings.report(code, at, value=f"{candidate.key}: {problem.text}", effect=_REFUSED, remedy=_REMEDIES[code])
        stand_in = closed(candidate, code)
    if (
        stand_in is not candidate
        and stand_in is not None
        and reference.problems(stand_in.key, orjson.loads(stand_in.value))
    ):
        return None
    return stand_in


def problem_of(candidate: EtcdObject) -> str | None:
    """Say where an object breaks its schema, without quoting its content (it may hold a key); None if it does not."""
    directory = candidate.key.split("/")[1] if candidate.key.startswith("/") else ""
    if directory not in DIRECTORIES:
        return f"no schema for {candidate.key}"
    error = next(_validator(directory).iter_errors(orjson.loads(candidate.value)), None)
    if error is None:
        return None
    path = "/".join(str(part) for part in error.instance_path)
    return f"{path or 'object'} breaks {'/'.join(str(part) for part in error.schema_path)}"


@cache
def _validator(directory: str) -> Any:
    registry = jsonschema_rs.Registry([(f"urn:meshferry:apisix:{name}", _schema(name)) for name in _SHARED])
    return jsonschema_rs.validator_for(_schema(directory), registry=registry, validate_formats=True, offline=True)


def _schema(name: str) -> Any:
    return orjson.loads((files("schemas") / "apisix" / f"{name}.json").read_bytes())
