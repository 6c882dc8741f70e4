"""Fit finished objects to the oldest nodes of the policy: what those lack is diagnosed, not emitted.

APISIX refuses an object with a field it does not know, and skips a plugin it does not know, both silently (mapping.md
section 1.8): a restriction would vanish. So this is the last thing that happens to an object before it is validated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from translators.block import UNAVAILABLE, denial
from translators.etcd_object import build_object
from translators.policy import version_text
from translators.requirement import (
    ANY,
    NEWEST_REQUIREMENT,
    PLUGGED,
    REQUIREMENTS,
    TEMPLATE_VERSION,
    Loss,
    has_default,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.records import EtcdObject
    from translators.findings import Findings
    from translators.policy import Version
    from translators.where import Where

Path = tuple[str | int, ...]
CODE = "OUT-VERSION"
PLUGIN_DEPTH = 2
"""Length of the path of a plugin in an object."""
_HEADERS = ("plugins", "proxy-rewrite", "headers")
_KEPT = ("uris", "uri", "hosts", "host", "methods", "remote_addrs", "vars", "priority", "name", "labels")
"""What of a closed route stays: all that decides which requests it takes."""
_TEMPLATE_EFFECT = "what is written by a template with a default is left out"
_DENYING_EFFECT = "the route answers 503: its template needs a default"


def fitted(candidate: EtcdObject, at: Where, findings: Findings) -> EtcdObject | None:
    """Fit an object to the nodes.

    Args:
        candidate: a finished object.
        at: its place in the source, for the diagnostics.
        findings: with the policy; receives OUT-VERSION.

    Returns:
        The object as it may be emitted; None when it has to be left out.
    """
    oldest = findings.policy.versions()[0]
    if oldest >= NEWEST_REQUIREMENT:
        return candidate
    _, directory, object_id = candidate.key.split("/", 2)
    value = orjson.loads(candidate.value)
    if not _fit_fields(value, directory, oldest, at, findings):
        return closed(candidate)
    if oldest < TEMPLATE_VERSION and directory in PLUGGED and not _fit_templates(value, at, findings):
        return closed(candidate)
    return build_object(directory, object_id, value)


def closed(candidate: EtcdObject, code: str = CODE) -> EtcdObject | None:
    """Close an object that cannot be emitted as it is.

    A route goes on taking its requests and answers 503, else a wider one would take them. Anything else is left out:
    what needs it fails by itself (mapping.md section 1.9).
    """
    _, directory, object_id = candidate.key.split("/", 2)
    if directory != "routes":
        return None
    value = orjson.loads(candidate.value)
    kept = {name: value[name] for name in _KEPT if name in value}
    return build_object(directory, object_id, kept | denial(UNAVAILABLE, code).fields)


def _fit_fields(value: dict[str, Any], directory: str, oldest: Version, at: Where, findings: Findings) -> bool:
    """Leave out what nodes lack; False when the object has to be closed."""
    for row in REQUIREMENTS:
        if row.since <= oldest or not (directory in row.directories or ANY in row.directories):
            continue
        if row.among is not None and not row.among(value):
            continue
        for path in list(_paths(value, row.path)):
            found = _at(value, path)
            if row.when is not None and not row.when(found):
                continue
            said = _said(path, row.since)
            if row.loss is Loss.DECISION and findings.blocks(CODE, at, value=said, effect=row.effect):
                return False
            if row.loss is Loss.DECORATION:
                findings.report(CODE, at, value=said, effect=row.effect)
            _leave_out(value, path)
    return True


def _fit_templates(value: dict[str, Any], at: Where, findings: Findings) -> bool:
    """Leave out what older nodes would write with the `??` in it; False when the object has to be closed."""
    paths = [path for path, text in _texts(value.get("plugins", {}), ("plugins",)) if has_default(text)]
    for path in reversed(paths):  # items of one list from the last to the first
        said = _said(path, TEMPLATE_VERSION)
        if _is_header(path):
            findings.report(CODE, at, value=said, effect=_TEMPLATE_EFFECT)
        elif findings.blocks(CODE, at, value=said, effect=_DENYING_EFFECT):
            return False
        _leave_out(value, path)
    return True


def _is_header(path: Path) -> bool:
    """Tell whether a template only writes a header; without its Location a redirect would lead nowhere."""
    return "headers" in path and str(path[-1]).lower() != "location"


def _said(path: Path, since: Version) -> str:
    return f"{'.'.join(str(part) for part in path)} needs APISIX {version_text(since)}"


def _paths(value: Any, pattern: tuple[str, ...], found: Path = ()) -> Iterator[Path]:
    if not pattern:
        yield found
    elif isinstance(value, dict):
        names = list(value) if pattern[0] == ANY else [pattern[0]]
        for name in names:
            if name in value:
                yield from _paths(value[name], pattern[1:], (*found, name))


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _leave_out(value: dict[str, Any], path: Path) -> None:
    """Take out what stands at a path, and the plugin or the part of it that says nothing without it."""
    _guard_request_header(value, path)
    del _at(value, path[:-1])[path[-1]]
    for end in range(len(path) - 1, 1, -1):
        if not _at(value, path[:end]).keys() - {"_meta"} if end == PLUGIN_DEPTH else not _at(value, path[:end]):
            del _at(value, path[: end - 1])[path[end - 1]]


def _guard_request_header(value: dict[str, Any], path: Path) -> None:
    """Where the proxy would overwrite a request header and cannot, the client's own does not get through either."""
    if path[:-1] != (*_HEADERS, "set"):
        return
    name, headers = str(path[-1]), _at(value, _HEADERS)
    texts = headers["set"][name] if isinstance(headers["set"][name], list) else [headers["set"][name]]
    own = f"${{http_{name.lower().replace('-', '_')} "
    if not any(str(text).startswith(own) for text in texts):
        headers["remove"] = sorted({*headers.get("remove", ()), name})
