from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml

from pipeline.log import NewRecord, open_log
from pipeline.topics import view_specs
from schemas.codec import encode
from schemas.keys import GENESIS_KEY, TopicKind, topic
from schemas.records import Bundle, BundleClass, EtcdObject, Genesis
from tests.pipeline.cli.test_translate import bootstrap, cluster, listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.cli.conftest import Outcome

GOOD = bootstrap([listener()], [cluster()])
MANIFEST = {
    "node_listen": [{"port": 8080}],
    "router": "radixtree_host_uri",
    "ssl_listen": [],
    "stream_tcp": [{"addr": 9000, "tls": False}],
    "stream_udp": [],
}


@pytest.fixture
def envoy(tmp_path: Path) -> Path:
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(GOOD))
    return path


@pytest.fixture
def node(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def publish(settings: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write bundles, or removals of them, into the log of the settings."""

    async def fill(bundles: dict[str, Bundle | None]) -> None:
        async with open_log(f"sqlite://{tmp_path}/log.db") as log:
            await log.apply(view_specs("meshferry.", "edge"))
            writer = await log.writer("test")
            records = [NewRecord(GENESIS_KEY, encode(Genesis("edge", 1_700_000_000_000, "g")))]
            records += [NewRecord(key, None if one is None else encode(one)) for key, one in bundles.items()]
            await writer.append(topic("meshferry.", "edge", TopicKind.BUNDLES), records)

    def write(**bundles: Bundle | None) -> Path:
        asyncio.run(fill(bundles))
        return settings

    return write


def bundle(key: str, plugin: str = "", *, manifest: dict[str, Any] | None = None) -> Bundle:
    objects = (EtcdObject(f"/routes/{key}", orjson.dumps({"plugins": {plugin: {}}})),) if plugin else ()
    text = orjson.dumps(manifest).decode() if manifest else ""
    return Bundle(key, BundleClass.ROUTING, 1, objects, (), text)


def test_a_view_gives_what_its_newest_bundles_need(meshferry: Callable[..., Outcome], publish: Callable[..., Path]):
    publish(gone=bundle("gone", "brotli"), kept=bundle("kept", "cors"))
    settings = publish(gone=None, kept=bundle("kept", "skywalking"), view=bundle("view", manifest=MANIFEST))
    found = meshferry("bootstrap", "--view", "edge", "-s", settings, "-o", "json")
    assert (found.code, found.err) == (0, "")
    assert found.data()["plugins"] == ["skywalking"]
    assert found.data()["apisix"]["proxy_mode"] == "http&stream"


def test_a_view_without_translation(meshferry: Callable[..., Outcome], publish: Callable[..., Path]):
    found = meshferry("bootstrap", "--view", "edge", "-s", publish(kept=bundle("kept", "cors")))
    assert found.code == 65
    assert "not translated yet" in found.line()


def port_of(document: dict[str, Any]) -> int:
    socket = document["static_resources"]["listeners"][0]["address"]["socket_address"]
    return int(socket["port_value"])


def test_a_file_gives_a_config_that_fits_it(meshferry: Callable[..., Outcome], envoy: Path, node: Callable[..., Path]):
    printed = meshferry("bootstrap", envoy, "--agent", "http://a:1", "--agent", "http://b:2")
    assert (printed.code, printed.err) == (0, "")
    data = yaml.safe_load(printed.out)
    assert data["deployment"]["etcd"]["host"] == ["http://a:1", "http://b:2"]
    assert data["apisix"]["node_listen"] == [{"port": port_of(GOOD)}]
    assert "# plugins in use, all on by default: prometheus, proxy-rewrite, request-id\n" in printed.out
    assert meshferry("bootstrap", envoy, "--check", node(printed.out)) == (0, "", "")


def test_json_names_the_plugins_in_use(meshferry: Callable[..., Outcome], envoy: Path):
    data = meshferry("bootstrap", envoy, "-o", "json").data()
    assert data["plugins"] == ["prometheus", "proxy-rewrite", "request-id"]
    assert data["stream_plugins"] == []


def test_differences_are_lines_and_2(meshferry: Callable[..., Outcome], envoy: Path, node: Callable[..., Path]):
    path = node("apisix: {router: {http: radixtree_uri}}\nplugins: [prometheus, request-id]\n")
    found = meshferry("bootstrap", envoy, "--check", path)
    assert (found.code, found.err) == (2, "")
    codes = [(line.split()[1], line.split()[3].rstrip(":")) for line in found.out.splitlines()]
    assert codes == [
        ("CFG-NODE", "apisix.router.http"),
        ("HF-PLUGIN-DISABLED", "plugins[proxy-rewrite]"),
        ("LST-PORT-CLOSED", f"apisix.node_listen[{port_of(GOOD)}]"),
    ]
    data = meshferry("bootstrap", envoy, "--check", path, "-o", "json").data()
    assert {(one["code"], one["class"]) for one in data} == {(code, "BOOTSTRAP") for code, _ in codes}


def test_variables_are_replaced(
    meshferry: Callable[..., Outcome], envoy: Path, node: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    path = node(f"apisix: {{node_listen: '${{{{NODE_PORT:={port_of(GOOD)}}}}}'}}\n")
    assert meshferry("bootstrap", envoy, "--check", path).code == 0
    monkeypatch.setenv("NODE_PORT", "1")
    assert meshferry("bootstrap", envoy, "--check", path).code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 64, "give either an Envoy file or --view NAME"),
        (("x.yaml", "--view", "edge"), 64, "give either"),
        (("x.yaml", "--state", "s"), 64, "give either"),
        (("--view", "edge", "--policy", "p"), 64, "--policy goes with a file"),
        (("--view", "a/b"), 64, "a/b"),
        (("--view", "edge"), 78, "views"),
        (("x.yaml", "--check", "gone.yaml"), 65, "gone.yaml: No such file"),
        (("x.yaml",), 65, "x.yaml: No such file"),
    ],
)
def test_what_cannot_be_done(meshferry: Callable[..., Outcome], arguments: tuple[str, ...], code: int, message: str):
    found = meshferry("bootstrap", *arguments)
    assert found.code == code
    assert message in found.line()


@pytest.mark.parametrize(("text", "message"), [("- 1", "a mapping is expected"), ("a: [", "not YAML")])
def test_a_config_that_is_none(
    meshferry: Callable[..., Outcome], envoy: Path, node: Callable[..., Path], text: str, message: str
):
    found = meshferry("bootstrap", envoy, "--check", node(text))
    assert found.code == 65
    assert message in found.line()


def test_an_empty_config_is_all_defaults(meshferry: Callable[..., Outcome], envoy: Path, node: Callable[..., Path]):
    assert meshferry("bootstrap", envoy, "--check", node("")).code == 2


def test_broken_resources_are_no_basis(meshferry: Callable[..., Outcome], tmp_path: Path):
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(bootstrap([listener(-1)], [cluster()])))
    found = meshferry("bootstrap", path)
    assert found.code == 65
    assert "port_value" in found.line()
