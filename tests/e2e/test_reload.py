"""Many views in one producer, whose settings are read again while it runs."""

from __future__ import annotations

import asyncio
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
import yaml

from pipeline.key_directory import rotate_keys
from pipeline.log import open_log
from pipeline.topics import view_specs
from schemas import xds
from tests.e2e.process import Meshferry
from tests.peers.ads import ADSPeer, build
from tests.producers.xds.dialogue import listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.log import Record

TIMEOUT_S = 20.0


def cluster(name: str, host: str = "10.0.0.1") -> xds.Message:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": 80}}}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return build(xds.CLUSTER, {"name": name, "type": "STATIC", "load_assignment": assignment})


class Home:
    """A control plane, a log, a settings file, and the processes that use them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.peer = ADSPeer()
        self.url = f"sqlite://{folder}/log.db"
        self.file = folder / "meshferry.yaml"
        self.views: dict[str, dict] = {}
        self.processes: list[Meshferry] = []

    def view(self, name: str, node_id: str, **fields) -> None:
        self.views[name] = {"source": {"xds": {"server": self.peer.address, "node_id": node_id}}, **fields}

    def settings(self, **sections) -> str:
        tree = {
            "log": {"url": self.url},
            "seal": {"directory": f"{self.folder}/keys"},
            "views": self.views,
            **sections,
        }
        return yaml.safe_dump(tree)

    def write(self, text: str | None = None) -> None:
        """Put the file in place as a whole."""
        new = self.folder / "new.yaml"
        new.write_text(self.settings() if text is None else text)
        new.rename(self.file)

    async def make_topics(self, *views: str) -> None:
        async with open_log(self.url) as log:
            for view in views:
                await log.apply(view_specs("meshferry.", view))

    def start(self, role: str = "producer", *arguments: str) -> Meshferry:
        process = Meshferry(role, "--settings", str(self.file), *arguments, cwd=self.folder)
        self.processes.append(process)
        return process

    async def said(self, process: Meshferry, text: str) -> str:
        return await asyncio.to_thread(process.wait_for_line, text, TIMEOUT_S)

    async def records(self, view: str, kind: str = "units") -> list[Record]:
        async with open_log(self.url) as log:
            return [record async for batch in log.read(f"meshferry.{view}.{kind}", 0) for record in batch]

    async def until_records(self, view: str, wanted: Callable[[list[Record]], bool], kind: str = "units") -> None:
        found: list[Record] = []
        async with open_log(self.url) as log, asyncio.timeout(TIMEOUT_S):
            async for batch in log.follow(f"meshferry.{view}.{kind}", 0):
                found += batch
                if wanted(found):
                    return

    def opened(self) -> list[str]:
        """The node ids of all streams, in the order they were opened: only the first request has the node."""
        return [request.node.id for request in self.peer.requests if request.HasField("node")]


def has(*keys: str) -> Callable[[list[Record]], bool]:
    return lambda records: set(keys) <= {record.key for record in records if record.value is not None}


@pytest.fixture
async def home(tmp_path: Path):
    home = Home(tmp_path)
    await home.peer.start()
    await home.peer.set(xds.CLUSTER, cluster("c"))
    await home.peer.set(xds.LISTENER, listener("l"))
    yield home
    for process in home.processes:
        await asyncio.to_thread(process.stop)
    await home.peer.stop()


@pytest.fixture
async def three(home: Home) -> Meshferry:
    """A producer of the views kept, gone and moved."""
    for name in ("kept", "gone", "moved"):
        home.view(name, f"{name}-node")
    await home.make_topics("kept", "gone", "moved", "added")
    home.write()
    process = home.start()
    for name in ("kept", "gone", "moved"):
        await home.until_records(name, has("cluster/c", "view"))
    return process


@pytest.mark.parametrize("is_signalled", [True, False])
async def test_a_reload_touches_only_what_is_other(home: Home, three: Meshferry, is_signalled):
    before = {name: await home.records(name) for name in ("kept", "gone", "moved")}
    assert sorted(home.opened()) == ["gone-node", "kept-node", "moved-node"]
    gone = next(stream for stream in home.peer.streams if stream.node_id == "gone-node")
    del home.views["gone"]
    home.view("moved", "other-node")
    home.view("added", "added-node")
    home.view("kept", "kept-node", policy={"overrides": {}})
    home.write()
    if is_signalled:
        three.send(signal.SIGHUP)
    said = await home.said(three, "settings read again")
    assert said.endswith("started added, stopped gone, begun anew moved, 1 unchanged")
    await home.until_records("added", has("cluster/c", "view"))
    await asyncio.wait_for(gone.ended.wait(), TIMEOUT_S)
    await home.peer.until(lambda: len(home.opened()) == 5)

    await home.peer.set(xds.CLUSTER, cluster("c"), cluster("d"))
    for name in ("kept", "moved", "added"):
        await home.until_records(name, has("cluster/d"))
    assert sorted(home.opened()[3:]) == ["added-node", "other-node"]
    assert await home.records("gone") == before["gone"]
    for name in ("kept", "moved"):
        new = (await home.records(name))[len(before[name]) :]
        assert {record.key for record in new} <= {"cluster/d", "view"}
        assert all(record.value is not None for record in new)


async def test_another_identity_removes_nothing_before_its_source_is_complete(home: Home, three: Meshferry):
    before = await home.records("moved")
    home.peer.misbehaviour.silent = {xds.CLUSTER, xds.LISTENER}
    home.view("moved", "other-node", guard=False)
    home.write()
    await home.said(three, "begun anew moved")
    await home.peer.until(lambda: "other-node" in home.opened())
    assert await home.records("moved") == before
    home.peer.misbehaviour.silent = set()
    await home.peer.set(xds.CLUSTER, cluster("e"))
    await home.peer.bump(xds.LISTENER)
    await home.until_records("moved", lambda records: records[-1].value is None)
    new = (await home.records("moved"))[len(before) :]
    written = [(record.key, record.value is not None) for record in new]
    assert written.index(("cluster/e", True)) < written.index(("cluster/c", False))


async def test_settings_that_cannot_be_used_leave_everything_as_it_was(home: Home, three: Meshferry):
    before = {name: await home.records(name) for name in home.views}
    good = home.settings()
    for text, said in [
        (good + "views: [", "meshferry.yaml: not YAML"),
        (good.replace("node_id", "node_ID"), "meshferry.yaml: Object contains unknown field `node_ID` - at `$.views"),
        ("", "meshferry.yaml: views: none is left"),
        (good.replace("xds:", "xdS:", 1), "unknown field `xdS`"),
    ]:
        home.write(text)
        assert "ERROR" in await home.said(three, said)
    home.file.unlink()
    await home.said(three, "meshferry.yaml: No such file")
    assert sorted(home.opened()) == ["gone-node", "kept-node", "moved-node"]
    assert {name: await home.records(name) for name in home.views} == before

    home.views["moved"]["source"] = {"xds": {"server": home.peer.address, "profile": "istio-router"}}
    home.view("added", "added-node")
    home.write()
    await home.said(three, "views.moved.source.xds: profile istio-router: identity.name")
    await home.said(three, "settings read again: started added, 3 unchanged")
    await home.until_records("added", has("cluster/c", "view"))
    assert sorted(home.opened()) == ["added-node", "gone-node", "kept-node", "moved-node"]


async def test_what_a_reload_cannot_change_is_said_and_the_rest_is_done(home: Home, three: Meshferry):
    del home.views["gone"]
    home.write(home.settings(log={"url": "sqlite:///elsewhere/log.db", "prefix": "other."}))
    said = await home.said(three, "only read at the start")
    assert "log.url, log.prefix; restart the process" in said
    assert "elsewhere" not in said
    await home.said(three, "stopped gone, 2 unchanged")
    rotate_keys(home.folder / "keys")
    three.send(signal.SIGHUP)
    await home.said(three, "log.url, log.prefix, the keys for sealing; restart the process")
    shutil.rmtree(home.folder / "keys")
    three.send(signal.SIGHUP)
    await home.said(three, "the keys that were read at the start stay in use")


async def test_a_view_without_topics_leaves_the_others_alone_and_comes_with_the_next_reload(home: Home):
    home.view("lost", "lost-node")
    home.view("kept", "kept-node")
    await home.make_topics("kept")
    home.write()
    process = home.start()
    await home.said(process, "producer lost: meshferry.lost.units: no such topic; create it with")
    await home.until_records("kept", has("cluster/c"))
    await home.make_topics("lost")
    process.send(signal.SIGHUP)
    await home.until_records("lost", has("cluster/c"))
    assert home.opened().count("kept-node") == 1


async def test_when_no_view_can_start_the_process_ends_with_78(home: Home):
    home.view("lost", "lost-node")
    home.views["bare"] = {}
    home.write()
    process = home.start()
    assert await asyncio.to_thread(process.stop_when_done) == 78
    assert "Traceback" not in process.text()
    assert "producer bare: views.bare.source: give" in process.text()


async def test_a_mounted_config_map_is_followed(home: Home):
    """Kubernetes renames a link to a directory; the file itself is a link through that."""
    await home.make_topics("kept", "added")
    home.view("kept", "kept-node")

    def mount(number: int) -> None:
        version = home.folder / f"..{number}"
        version.mkdir()
        (version / "meshferry.yaml").write_text(home.settings())
        link = home.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(home.folder / "..data")

    mount(1)
    home.file.symlink_to("..data/meshferry.yaml")
    process = home.start()
    await home.until_records("kept", has("cluster/c"))
    home.view("added", "added-node")
    mount(2)
    await home.said(process, "started added, 1 unchanged")
    await home.until_records("added", has("cluster/c"))


async def test_a_translator_takes_new_views_once_they_have_topics(home: Home, three: Meshferry):
    translator = home.start("translator")
    await home.until_records("kept", has("cluster/c"), "bundles")
    home.view("late", "late-node")
    home.write()
    await home.said(translator, "meshferry.late.units: no such topic; create it with `meshferry topics apply`")
    await home.make_topics("late")
    for process in (three, translator):
        process.send(signal.SIGHUP)
    await home.said(translator, "translator: settings read again: views gone, kept, late, moved")
    await home.until_records("late", has("cluster/c"), "bundles")
    assert len(await home.records("kept", "bundles")) == len(await home.records("kept"))


async def test_a_translator_takes_another_policy_and_nothing_that_is_not_its_own(home: Home, three: Meshferry):
    translator = home.start("translator", "--view", "kept")
    await home.until_records("kept", has("cluster/c"), "bundles")
    home.view("kept", "kept-node", guard=False)
    home.write()
    await home.said(translator, "nothing has changed for it")
    home.view("kept", "kept-node", policy={"overrides": {"NO-SUCH": "allow"}})
    home.write()
    await home.said(translator, "views.kept.policy.overrides: no such diagnostic code: NO-SUCH")
    home.view("kept", "kept-node", policy={"port_map": {80: 9080}})
    home.write(home.settings(translator={"group": "other"}))
    await home.said(translator, "only read at the start: translator.group")
    await home.said(translator, "translator: settings read again: views kept")
    await home.peer.set(xds.CLUSTER, cluster("c"), cluster("d"))
    await home.until_records("kept", has("cluster/d"), "bundles")
    assert len(await home.records("kept", "bundles")) == len(await home.records("kept"))
