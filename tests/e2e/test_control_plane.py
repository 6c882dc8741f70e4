"""`meshferry up` on go-control-plane, in both variants: what it serves reaches APISIX, its absence takes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from producers.xds.variant import VARIANTS
from schemas import xds
from tests.e2e.process import EtcdClient, Meshferry, State, changed_keys, eventually, free_port
from tests.peers.go_control_plane import GoControlPlane, GoNode, build_program
from tests.producers.xds.dialogue import cluster, endpoints, listener, routes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.watch_client import Client

NODE_ID = "edge"
NAMES = ("a", "b")


def view(port: int) -> list[xds.Message]:
    """Two clusters whose endpoints are on a port, and routes that need both."""
    parts = [make for name in NAMES for make in (cluster(name), endpoints(name, port))]
    return [*parts, listener("l", "r"), listener("m", "q", port=81), routes("r", "a"), routes("q", "b")]


class Plane:
    """A control plane on an address that stays, whether it runs or not."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.start()

    def start(self) -> None:
        """Run, with nothing to serve."""
        self._process = GoControlPlane(self.address)
        self.node = GoNode(self._process, NODE_ID)

    def kill(self) -> None:
        """End as a crash would."""
        self._process.kill()

    def stop(self) -> None:
        self._process.stop()


@pytest.fixture
def planes():
    build_program()
    running = [Plane(), Plane()]
    yield running
    for plane in running:
        plane.stop()


class Up:
    """A running `meshferry up` that subscribes to control planes."""

    def __init__(self, folder: Path, variant: str, planes: list[Plane]) -> None:
        self.port = free_port()
        self.etcd = EtcdClient(self.port)
        servers = ",".join(plane.address for plane in planes)
        flags = ("--xds", servers, "--node-id", NODE_ID, "--variant", variant, "--view", "edge")
        listen = f"127.0.0.1:{self.port}"
        self.process = Meshferry("up", *flags, "--etcd-listen", listen, "--state", str(folder / "state"), cwd=folder)

    def ports(self) -> set[int]:
        """The ports of all upstream nodes, of a state in which there is one upstream for each cluster."""
        upstreams = self.etcd.state().values("upstreams")
        return {node["port"] for upstream in upstreams for node in upstream["nodes"]} if len(upstreams) == 2 else set()

    def until_ports(self, *ports: int) -> State:
        eventually(lambda: self.ports() == set(ports), f"endpoints on {ports}: {self.process.text()}")
        return self.etcd.state()


@pytest.fixture(params=sorted(VARIANTS))
def up(request, tmp_path, planes):
    """Start it; gives the function for it."""
    running = []

    def start(count: int) -> Up:
        running.append(Up(tmp_path, request.param, planes[:count]))
        return running[-1]

    yield start
    for one in running:
        one.process.stop()


async def test_a_snapshot_is_served_and_one_endpoint_is_one_event(up, planes, client: Client):
    node = planes[0].node
    await node.snapshot("1", *view(8080))
    running = up(1)
    before = running.until_ports(8080)
    assert len(before.values("routes")) == 2
    watch = await client.watch(running.port)
    await node.snapshot(
        "2", endpoints("a", 8081), *(message for message in view(8080) if message != endpoints("a", 8080))
    )
    [event] = await watch.events(1)
    after = running.etcd.state()
    assert {event.key.decode()} == changed_keys(before, after)
    assert b"8081" in event.value
    assert not node.nacks(xds.CLUSTER)


async def test_a_control_plane_that_is_killed_and_comes_back_empty_removes_nothing(up, planes, client: Client):
    [plane, _] = planes
    await plane.node.snapshot("1", *view(8080))
    running = up(1)
    before = running.until_ports(8080)
    watch = await client.watch(running.port)
    plane.kill()
    running.process.wait_for_line("the stream ended")
    plane.start()
    await plane.node.snapshot("1")
    running.process.wait_for_line("they stay until that is confirmed")
    await plane.node.until(lambda: plane.node.acks(xds.CLUSTER) and plane.node.acks(xds.LISTENER))
    assert running.etcd.state().keys == before.keys
    await plane.node.snapshot("2", *view(8082))
    after = running.until_ports(8082)
    events = await watch.events(len(changed_keys(before, after)))
    assert all(event.value is not None for event in events)
    assert after.keys.keys() == before.keys.keys()


async def test_a_second_control_plane_stands_in_for_the_first_and_the_first_for_the_second(up, planes, client: Client):
    first, second = planes
    await first.node.snapshot("1", *view(8080))
    await second.node.snapshot("1", *view(8080))
    running = up(2)
    before = running.until_ports(8080)
    watch = await client.watch(running.port)
    first.kill()
    await second.node.until(lambda: all(map(second.node.acks, (xds.CLUSTER, xds.LISTENER))))
    assert running.etcd.state().keys == before.keys
    await second.node.snapshot("2", *view(8083))
    between = running.until_ports(8083)
    first.start()
    await first.node.snapshot("1", *view(8083))
    second.kill()
    await first.node.until(lambda: all(map(first.node.acks, (xds.CLUSTER, xds.LISTENER))))
    await first.node.snapshot("2", *view(8084))
    after = running.until_ports(8084)
    events = await watch.events(len(changed_keys(before, between)) + len(changed_keys(between, after)))
    assert all(event.value is not None for event in events)
    assert after.keys.keys() == before.keys.keys()
