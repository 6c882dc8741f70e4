from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
import yaml

from pipeline.log import NewRecord, open_log
from pipeline.topics import view_specs
from schemas.codec import encode
from schemas.keys import GENESIS_KEY, TopicKind, revision_of, topic
from schemas.records import Bundle, BundleClass, EtcdObject, Genesis, NeighbourStatus, NodeStatus, RejectedUnit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.cli.conftest import Outcome

    Meshferry = Callable[..., Outcome]

GENESIS = Genesis("edge", 1_700_000_000_000, "g")
NODE = NodeStatus(
    node="n1",
    view="edge",
    applied_revision=revision_of(GENESIS.created_ms, 1),
    target_revision=revision_of(GENESIS.created_ms, 1),
    watchers=3,
    is_live=True,
    time_ms=0,
    build="x",
)


@pytest.fixture
def filled(settings: Path, tmp_path: Path) -> Path:
    """The settings of a view with one unit, one bundle and one node that has applied it."""

    async def fill() -> None:
        async with open_log(f"sqlite://{tmp_path}/log.db") as log:
            await log.apply(view_specs("meshferry.", "edge"))
            writer = await log.writer("test")
            genesis = NewRecord(GENESIS_KEY, encode(GENESIS))
            bundle = Bundle("u", BundleClass.ROUTING, 1, (EtcdObject("/routes/1", b"{}"),), ())
            await writer.append(topic("meshferry.", "edge", TopicKind.UNITS), [genesis, NewRecord("u", b"unit")])
            await writer.append(
                topic("meshferry.", "edge", TopicKind.BUNDLES), [genesis, NewRecord("u", encode(bundle))]
            )
            await writer.append(topic("meshferry.", "edge", TopicKind.STATUS), [NewRecord("n1", encode(NODE))])

    asyncio.run(fill())
    return settings


def test_it_shows_revision_units_and_nodes_of_each_view(meshferry: Meshferry, filled: Path):
    found = meshferry("status", "-s", filled, "-o", "json")
    assert (found.code, found.err) == (0, "")
    [view] = found.data()
    [node] = view.pop("nodes")
    assert view == {
        "view": "edge",
        "revision": revision_of(GENESIS.created_ms, 1),
        "units": 1,
        "bundles": 1,
        "objects": 1,
        "errors": 0,
        "unreadable": 0,
        "held": [],
    }
    assert (node["node"], node["is_synced"], node["is_live"], node["watchers"]) == ("n1", True, True, 3)
    assert node["age_s"] == pytest.approx(time.time(), abs=60)  # its status says 1970


def test_every_format_shows_the_same_and_a_pipe_gets_json(meshferry: Meshferry, filled: Path):
    [view] = meshferry("status", "-s", filled).data()
    found = meshferry("status", "-s", filled, "-o", "yaml")
    assert found.code == 0
    assert yaml.safe_load(found.out)[0]["revision"] == view["revision"]
    table = meshferry("status", "-s", filled, "-o", "table")
    assert table.code == 0
    assert table.out.split()[:3] == ["view", "revision", "units"]
    assert str(view["revision"]) in table.out
    assert "n1" in table.out


def test_a_view_with_empty_topics_is_shown(meshferry: Meshferry, settings: Path):
    meshferry("topics", "apply", "-s", settings, "-o", "json")
    [view] = meshferry("status", "-s", settings, "-o", "json").data()
    assert (view["revision"], view["units"], view["nodes"]) == (0, 0, [])
    assert meshferry("status", "-s", settings, "-o", "table").code == 0


def test_missing_topics_are_78_with_the_command_that_creates_them(meshferry: Meshferry, settings: Path):
    found = meshferry("status", "-s", settings)
    assert found.code == 78
    assert found.line() == "meshferry.edge.units: no such topic; create it with `meshferry topics apply`"


def test_a_broker_that_is_not_there_is_69(meshferry: Meshferry, settings: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MESHFERRY_LOG__URL", "kafka://127.0.0.1:1")
    found = meshferry("status", "-s", settings)
    assert found.code == 69
    assert "Kafka at 127.0.0.1:1: " in found.line()
    assert "no broker answers; check its address" in found.line()


def test_a_log_that_is_none_is_78(meshferry: Meshferry, settings: Path, tmp_path: Path):
    (tmp_path / "log.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    found = meshferry("status", "-s", settings)
    assert found.code == 78
    assert f"{tmp_path}/log.db: not a meshferry log file; choose another path" in found.line()


def test_a_log_of_another_program_is_78(meshferry: Meshferry, settings: Path, tmp_path: Path):
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    found = meshferry("status", "-s", settings)
    assert found.code == 78
    assert "a database of another program, not a meshferry log; choose another path" in found.line()


def with_status(tmp_path: Path, node: NodeStatus) -> None:
    async def write() -> None:
        async with open_log(f"sqlite://{tmp_path}/log.db") as log:
            await (await log.writer("test")).append(
                topic("meshferry.", "edge", TopicKind.STATUS), [NewRecord(node.node, encode(node))]
            )

    asyncio.run(write())


def test_waiting_ends_at_once_when_all_nodes_have_everything(meshferry: Meshferry, filled: Path):
    found = meshferry("status", "-s", filled, "--wait", "synced", "-o", "json")
    assert (found.code, found.err) == (0, "")
    assert found.data()[0]["nodes"][0]["is_synced"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"applied_revision": 7}, "node n1: it serves revision 7, not 1700000000001"),
        ({"rejected": (RejectedUnit("u", "too large"),)}, "node n1: it has rejected u: too large"),
        (
            {
                "apisix": NeighbourStatus(
                    is_reachable=True, applied_revision=5, behind=1, reason="it has not taken /apisix/routes/1"
                )
            },
            "node n1: its APISIX has revision 5, not 1700000000001: it has not taken /apisix/routes/1",
        ),
        (
            {"apisix": NeighbourStatus(is_reachable=False, applied_revision=0, behind=0, reason="connection refused")},
            "node n1: its APISIX has revision 0, not 1700000000001: connection refused",
        ),
    ],
)
def test_waiting_in_vain_is_75_and_says_what_for(
    meshferry: Meshferry, filled: Path, tmp_path: Path, changes: dict[str, object], reason: str
):
    with_status(tmp_path, msgspec.structs.replace(NODE, **changes))
    found = meshferry("status", "-s", filled, "--wait", "synced", "--timeout", "0.6")
    assert found.code == 75
    assert found.err.splitlines()[0] == f"waiting: {reason}"
    assert f"not synced within 0.6 s: {reason}" in found.err.splitlines()[-1]


def test_waiting_ends_when_the_node_catches_up(meshferry: Meshferry, filled: Path, tmp_path: Path):
    with_status(tmp_path, msgspec.structs.replace(NODE, applied_revision=7))
    later = threading.Timer(0.7, with_status, (tmp_path, NODE))
    later.start()
    found = meshferry("status", "-s", filled, "--wait", "synced", "-o", "json")
    later.join()
    assert found.code == 0
    assert found.err.startswith("waiting: node n1")


def test_a_timeout_that_is_none_is_64(meshferry: Meshferry, filled: Path):
    found = meshferry("status", "-s", filled, "--wait", "synced", "--timeout", "soon")
    assert found.code == 64
    assert "--timeout 'soon': give a duration such as 60s or 2m" in found.line()


@pytest.mark.parametrize("arguments", [["-o", "xml"], ["--bogus"], ["extra"]])
def test_wrong_arguments_are_64(meshferry: Meshferry, settings: Path, arguments: list[str]):
    found = meshferry("status", "-s", settings, *arguments)
    assert found.code == 64
    assert found.line().endswith("; see `meshferry status --help`")
