"""What became of each object of the source: `meshferry translate --explain`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pipeline.cli.offline import diagnostic_data
from pipeline.cli.output import Format, print_data, print_rows
from pipeline.cli.source_path import SourcePaths
from schemas import xds
from schemas.records import Severity
from translators.ignored import ignored_fields
from translators.where import Where

if TYPE_CHECKING:
    from pipeline.cli.offline import Offline
    from producers.source import Changes

COLUMNS = ("source", "fate", "objects", "code", "at", "effect", "remedy")
_PARTS = frozenset({xds.SECRET, xds.CLUSTER_LOAD_ASSIGNMENT})
"""Types that have no objects of their own: they are in those of the units that hold them."""


def explanation(changes: Changes, offline: Offline, *, with_ignored: bool = False) -> list[dict[str, Any]]:
    """Tell what became of each object of a source.

    Args:
        changes: the whole source.
        offline: what it was translated into.
        with_ignored: list the fields without meaning for the data plane, too.

    Returns:
        JSON-like rows, one per resource, filter chain, virtual host and route, outer before inner: `source` (its own
        path), `fate`, `objects` (keys), `diagnostics`, and `ignored` if wanted. What stands for no object of the source
        is in a row of its own.
    """
    paths = SourcePaths(changes.changes)
    rows: dict[str, dict[str, Any]] = {}
    for found in paths.objects():
        rows.setdefault(found.path, _row(found.path))
    _add_objects(rows, paths, offline)
    for finding in sorted({*offline.notes, *(f for bundle in offline.bundles for f in bundle.diagnostics)}):
        path = paths.text(Where(finding.type_url, finding.name, finding.path))
        _holder(rows, path)["diagnostics"].append({**diagnostic_data(finding), "path": path})
    if with_ignored:
        _add_ignored(rows, paths)
    for row in rows.values():
        row["fate"] = _fate(row)
    return list(rows.values())


def print_explanation(rows: list[dict[str, Any]], form: Format | None) -> None:
    """Print an explanation: a table on a terminal, JSON on a pipe."""
    if form is None:
        form = "table" if sys.stdout.isatty() else "json"
    if form != "table":
        print_data(rows, form)
        return
    print_rows([line for row in rows for line in _lines(row)], COLUMNS, form)


def _row(path: str) -> dict[str, Any]:
    return {"source": path, "fate": "", "objects": [], "diagnostics": []}


def _add_objects(rows: dict[str, dict[str, Any]], paths: SourcePaths, offline: Offline) -> None:
    for unit, bundle in zip(offline.units, offline.bundles, strict=True):
        keys = [found.key for found in bundle.objects]
        for key in keys:
            at = offline.origins.get(key)
            if at is not None:
                _note(_holder(rows, paths.text(at)), key)
        for resource in unit.resources:
            if resource.type_url in _PARTS:
                for key in keys:
                    _note(_holder(rows, paths.text(Where(resource.type_url, resource.name))), key)


def _note(row: dict[str, Any], key: str) -> None:
    if key not in row["objects"]:
        row["objects"].append(key)


def _add_ignored(rows: dict[str, dict[str, Any]], paths: SourcePaths) -> None:
    """Add what is ignored to the innermost row that holds it; outer objects come upon the fields of inner ones too."""
    seen = set()
    for row in rows.values():
        row["ignored"] = []
    for found in paths.objects():
        for at, reason in ignored_fields(found.message, found.place):
            path = paths.text(at)
            if path not in seen:
                seen.add(path)
                _holder(rows, path)["ignored"].append({"path": path, "reason": reason})


def _holder(rows: dict[str, dict[str, Any]], path: str) -> dict[str, Any]:
    """Find the innermost row that holds a path, or make one."""
    for end in range(len(path), 0, -1):
        if path[:end] in rows and path[end : end + 1] in ("", ".", "["):
            return rows[path[:end]]
    return rows.setdefault(path, _row(path))


def _fate(row: dict[str, Any]) -> str:
    severities = {finding["severity"] for finding in row["diagnostics"]}
    if not severities - {Severity.INFO.value}:
        return "translated" if row["objects"] else "in other objects"
    if row["objects"]:
        return "translated with differences"
    return "not translated" if severities & {Severity.ERROR.value, Severity.FATAL.value} else "in part"


def _lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Write a row as lines of a table: the first names the object, each finding and ignored field has its own."""
    head = {"source": row["source"], "fate": row["fate"], "objects": "\n".join(row["objects"])}
    lines = [
        {
            "code": f"{found['severity']} {found['code']}",
            "at": _below(found["path"], row["source"]),
            "effect": found["effect"],
            "remedy": found["remedy"],
        }
        for found in row["diagnostics"]
    ]
    lines += [
        {"code": "ignored", "at": _below(found["path"], row["source"]), "effect": found["reason"]}
        for found in row.get("ignored", ())
    ]
    return [head | (lines[0] if lines else {}), *lines[1:]]


def _below(path: str, source: str) -> str:
    return path.removeprefix(source).lstrip(".")
