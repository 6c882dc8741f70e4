from __future__ import annotations

from pipeline.log.contract import Record
from pipeline.status import ViewStatus
from schemas.codec import encode
from schemas.keys import GENESIS_KEY
from schemas.records import Bundle, BundleClass, Diagnostic, EtcdObject, Genesis, NodeStatus, Severity

GENESIS = Record(0, GENESIS_KEY, encode(Genesis("v", 1000, "x")), 0)


def bundle(offset: int, key: str, *severities: Severity) -> Record:
    diagnostics = tuple(
        Diagnostic("C", severity, "", "", "", str(i), "", "", "") for i, severity in enumerate(severities)
    )
    value = Bundle(key, BundleClass.ROUTING, 1, (EtcdObject("/routes/a", b"{}"),), diagnostics)
    return Record(offset, key, encode(value), 0)


def test_a_view_is_summed_up():
    status = ViewStatus("v")
    status.replay_units([GENESIS, Record(1, "a", b"", 0), Record(2, "b", b"", 0), Record(3, "a", None, 0)])
    status.replay_bundles(
        [GENESIS, bundle(1, "a", Severity.ERROR, Severity.INFO), bundle(2, "b"), Record(3, "b", None, 0)]
    )
    node = NodeStatus("n1", "v", 1002, 1003, 2, is_live=True, time_ms=5_000, build="0")
    status.replay_status([Record(0, "n1", encode(node), 0), Record(1, "gone", None, 0)])
    summary = status.summary(now_ms=6_500)
    assert summary["revision"] == 1003
    assert (summary["units"], summary["bundles"], summary["objects"], summary["errors"]) == (1, 1, 1, 1)
    (shown,) = summary["nodes"]
    assert (shown["node"], shown["is_synced"], shown["age_s"], shown["watchers"]) == ("n1", False, 1.5, 2)


def test_an_unreadable_record_is_counted_and_does_not_stop_the_rest():
    status = ViewStatus("v")
    status.replay_bundles([GENESIS, Record(1, "a", b"garbage", 0), bundle(2, "b")])
    status.replay_status([Record(0, "n", b"garbage", 0)])
    summary = status.summary(0)
    assert (summary["unreadable"], summary["bundles"], summary["nodes"]) == (2, 1, [])
