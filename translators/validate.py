"""Check our own output before it leaves: nodes skip what they cannot validate, silently (mapping.md section 1.8).

The schemas are our own (schemas/apisix): stricter than those of APISIX, because what we never mean to emit is refused.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.records import EtcdObject
    from translators.findings import Findings
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
_SHARED = ("definitions", "plugins")


def validated(objects: Iterable[EtcdObject], at: Where, findings: Findings) -> tuple[EtcdObject, ...]:
    """Keep the objects that may leave, sorted by key.

    Args:
        objects: what a translation made, in any order.
        at: the unit, for the diagnostics; an object is named by its key.
        findings: receives OUT-SCHEMA, OUT-SIZE and ID-COLLISION for those that are left out.
    """
    kept: dict[str, EtcdObject] = {}
    for candidate in sorted(objects, key=lambda item: (item.key, item.value)):
        place = at.item("objects", candidate.key)
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
