"""What `meshferry status` shows of a view, from the records of its topics. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.codec import UnreadableRecordError, decode, decode_any
from schemas.keys import GENESIS_KEY, revision_of
from schemas.records import Bundle, Genesis, Held, NeighbourStatus, NodeStatus, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.log import Record


class ViewStatus:
    """Replays the records of a view's topics into what an operator asks for."""

    def __init__(self, view: str) -> None:
        self._view = view
        self._genesis_ms = 0
        self._revision = 0
        self._units: set[str] = set()
        self._bundles: dict[str, tuple[int, int]] = {}
        self._nodes: dict[str, NodeStatus] = {}
        self._held: dict[str, Held] = {}
        self._unreadable_count = 0

    def replay_units(self, records: Iterable[Record]) -> None:
        """Replay records of the units topic."""
        for record in records:
            if record.key != GENESIS_KEY:
                (self._units.discard if record.value is None else self._units.add)(record.key)

    def replay_bundles(self, records: Iterable[Record]) -> None:
        """Replay records of the bundles topic."""
        for record in records:
            try:
                self._replay_bundle(record)
            except UnreadableRecordError:
                self._unreadable_count += 1

    def _replay_bundle(self, record: Record) -> None:
        if record.key == GENESIS_KEY:
            self._genesis_ms = decode(record.value or b"", Genesis).created_ms
        elif record.value is None:
            self._bundles.pop(record.key, None)
        else:
            bundle = decode(record.value, Bundle)
            errors = sum(d.severity in (Severity.ERROR, Severity.FATAL) for d in bundle.diagnostics)
            self._bundles[record.key] = (len(bundle.objects), errors)
        if self._genesis_ms:
            self._revision = revision_of(self._genesis_ms, record.offset)

    def replay_status(self, records: Iterable[Record]) -> None:
        """Replay records of the status topic."""
        for record in records:
            if record.value is None:
                self._nodes.pop(record.key, None)
                continue
            try:
                self._nodes[record.key] = decode(record.value, NodeStatus)
            except UnreadableRecordError:
                self._unreadable_count += 1

    def replay_control(self, records: Iterable[Record]) -> None:
        """Replay records of the control topic."""
        for record in records:
            self._held.pop(record.key, None)
            if record.value is None:
                continue
            try:
                value = decode_any(record.value)
            except UnreadableRecordError:
                self._unreadable_count += 1
                continue
            if isinstance(value, Held):
                self._held[record.key] = value

    def held(self) -> list[Held]:
        """Give what producers hold, in the order of their keys."""
        return [held for _, held in sorted(self._held.items())]

    def summary(self, now_ms: int) -> dict[str, Any]:
        """Give the view's status as JSON-like data.

        Args:
            now_ms: the present, Unix milliseconds, to tell how old a node's word is.
        """
        return {
            "view": self._view,
            "revision": self._revision,
            "units": len(self._units),
            "bundles": len(self._bundles),
            "objects": sum(objects for objects, _ in self._bundles.values()),
            "errors": sum(errors for _, errors in self._bundles.values()),
            "unreadable": self._unreadable_count,
            "held": [_held(held, now_ms) for held in self.held()],
            "nodes": [_node(status, self._revision, now_ms) for _, status in sorted(self._nodes.items())],
        }


def _held(held: Held, now_ms: int) -> dict[str, Any]:
    return {
        "fingerprint": held.fingerprint,
        "kind": held.kind.value,
        "count": held.count,
        "age_s": round((now_ms - held.since_ms) / 1000, 1),
        "reason": held.reason,
    }


def _neighbour(status: NeighbourStatus, revision: int) -> dict[str, Any]:
    return {
        "is_reachable": status.is_reachable,
        "applied_revision": status.applied_revision,
        "is_synced": status.is_reachable and status.applied_revision >= revision,
        "behind": status.behind,
        "reason": status.reason,
    }


def unsynced(summary: dict[str, Any]) -> list[str]:
    """Name, with the reason, what `status --wait synced` still waits for in a view.

    Args:
        summary: what `ViewStatus.summary` gives.
    """
    view, nodes = summary["view"], summary["nodes"]
    if not nodes:
        return [f"view {view}: no node has reported yet"]
    return [
        f"node {node['node']}: {reason}" for node in nodes if (reason := _reason_unsynced(node, summary["revision"]))
    ]


def _reason_unsynced(node: dict[str, Any], revision: int) -> str:
    apisix = node["apisix"]
    if not node["is_synced"]:
        return f"it serves revision {node['applied_revision']}, not {revision}"
    if node["rejected"]:
        return f"it has rejected {node['rejected'][0]['unit']}: {node['rejected'][0]['reason']}"
    if apisix is not None and not apisix["is_synced"]:
        return f"its APISIX has revision {apisix['applied_revision']}, not {revision}: {apisix['reason']}"
    return ""


def _node(status: NodeStatus, revision: int, now_ms: int) -> dict[str, Any]:
    return {
        "node": status.node,
        "applied_revision": status.applied_revision,
        "is_synced": status.applied_revision >= revision,
        "is_live": status.is_live,
        "last_good_age_s": round(status.last_good_age_ms / 1000, 1),
        "apisix": None if status.apisix is None else _neighbour(status.apisix, revision),
        "watchers": status.watchers,
        "age_s": round((now_ms - status.time_ms) / 1000, 1),
        "rejected": [{"unit": unit.unit_key, "reason": unit.reason} for unit in status.rejected],
    }
