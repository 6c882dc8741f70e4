from __future__ import annotations

import base64
import re
import sqlite3
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml

from pipeline.cli.exit_code import UsageError
from pipeline.cli.up import instructions, up_settings, up_source
from pipeline.log import open_log
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.settings import Settings
    from tests.pipeline.cli.conftest import Outcome

    Meshferry = Callable[..., Outcome]

SOURCE_FLAGS = {"xds", "node_id", "profile", "identity", "variant"}
FLAGS = {"xds": "", "node_id": "", "etcd_listen": "127.0.0.1:2379", "view": "edge"}


def flags(file: str, state: Path, **changed: Any) -> Settings:
    given = {**FLAGS, **changed}
    source = up_source(file, **{key: value for key, value in given.items() if key in SOURCE_FLAGS})
    return up_settings(source, state, **{key: value for key, value in given.items() if key not in SOURCE_FLAGS})


def test_a_file_is_a_source_and_everything_is_kept_in_the_state_directory(tmp_path: Path):
    found = flags("envoy.yaml", tmp_path / "state")
    view = found.views["edge"]
    assert view.source.file.endswith("/envoy.yaml")
    assert view.source.file.startswith("/")  # whatever the working directory is later
    assert view.source.xds is None
    assert found.log.url == f"sqlite://{tmp_path}/state/log.db"
    assert (found.seal.directory, found.agent.state) == (f"{tmp_path}/state/keys", f"{tmp_path}/state/agent")
    assert (found.agent.view, found.agent.listen) == ("edge", "127.0.0.1:2379")
    assert (tmp_path / "state").is_dir()


def test_a_control_plane_is_a_source(tmp_path: Path):
    source = flags("", tmp_path, xds="istiod:15010", node_id="router~1").views["edge"].source
    assert source.file == ""
    assert source.xds is not None
    assert (source.xds.server, source.xds.node_id) == (["istiod:15010"], "router~1")


def test_several_control_planes_and_a_profile(tmp_path):
    settings = flags("", tmp_path, xds="cp:1,cp:2", profile="kuma", identity={"name": "gw"}, variant="delta")
    xds = settings.views["edge"].source.xds
    assert (xds.server, xds.profile, xds.identity.name) == (["cp:1", "cp:2"], "kuma", "gw")
    assert xds.variant == "delta"


def test_the_policy_file_goes_into_the_view(tmp_path: Path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("port_map: {80: 9080}")
    assert flags("f", tmp_path, policy=str(policy)).views["edge"].policy["port_map"] == {80: 9080}


async def test_a_state_directory_may_have_any_name(tmp_path: Path):
    state = tmp_path / "50% of #1? é"
    async with open_log(flags("f", state).log.url):
        assert (state / "log.db").is_file()


@pytest.mark.parametrize(
    ("file", "changed", "message"),
    [
        ("", {}, "give either an Envoy file or --xds HOST:PORT"),
        ("f", {"xds": "a:1", "node_id": "n"}, "give either an Envoy file or --xds HOST:PORT"),
        ("", {"xds": "a:1"}, "--xds needs --node-id"),
        ("f", {"node_id": "n"}, "go with --xds HOST:PORT; a file needs none"),
        ("f", {"profile": "kuma"}, "go with --xds HOST:PORT; a file needs none"),
        ("f", {"variant": "delta"}, "go with --xds HOST:PORT; a file needs none"),
        ("", {"xds": "a:1", "node_id": "n", "variant": "both"}, "Invalid enum value 'both'"),
        ("", {"xds": "a:1", "profile": "linkerd"}, "Invalid enum value 'linkerd'"),
        ("", {"xds": "a:1", "profile": "kuma", "identity": {"nam": "x"}}, "unknown field `nam`"),
        ("", {"xds": "a", "node_id": "n"}, "--xds: 'a' is not HOST:PORT"),
        ("f", {"etcd_listen": "localhost"}, "--etcd-listen: 'localhost' is not HOST:PORT"),
        ("f", {"etcd_listen": "a:65536"}, "--etcd-listen: 'a:65536' is not HOST:PORT"),
        ("f", {"etcd_listen": "a:²"}, "--etcd-listen: 'a:²' is not HOST:PORT"),
        ("f", {"view": "Bad_View"}, "view name 'Bad_View': use 1 to 40 of a-z, 0-9 and '-'"),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_anything_is_made(
    tmp_path: Path, file: str, changed: dict[str, str], message: str
):
    with pytest.raises(UsageError, match=re.escape(message)):
        flags(file, tmp_path / "state", **changed)
    assert not (tmp_path / "state").exists()


def test_a_state_directory_that_cannot_be_made_is_bad_configuration(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(
        SettingsError, match=f"^--state {tmp_path}/file/x: Not a directory; choose a directory that can"
    ):
        flags("f", tmp_path / "file" / "x")


def test_the_instructions_name_the_address_and_all_keys():
    text = instructions("", ("127.0.0.1", 12379), "/apisix")
    config, _, commands = text.partition("# Show the keys")
    assert yaml.safe_load(config)["deployment"]["etcd"]["host"] == ["http://127.0.0.1:12379"]
    curl = re.search(r"^curl -s http://127\.0\.0\.1:12379/v3/kv/range -d '([^']*)'", commands, re.MULTILINE)
    assert curl is not None
    asked = {name: base64.b64decode(value) for name, value in orjson.loads(curl[1]).items()}
    assert asked == {"key": b"/apisix/", "range_end": b"/apisix0"}


def test_an_ipv6_address_stands_in_brackets():
    assert "http://[::1]:2379/v3/kv/range" in instructions("", ("::1", 2379), "/apisix")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 64, "give either an Envoy file or --xds"),
        (["f", "--log-level", "LOUD"], 64, "log level 'LOUD': use one of DEBUG, INFO, WARNING, ERROR"),
        (["f", "--bogus"], 64, "Unknown option: --bogus"),
        (["f", "--state"], 64, "--state requires an argument"),
        (["f", "g"], 64, "Unused Tokens: ['g']"),
        (["f", "--policy", "/nowhere.yaml"], 78, "/nowhere.yaml: No such file or directory; give a policy file"),
        (["f", "--state", "/dev/null/x"], 78, "--state /dev/null/x: Not a directory"),
    ],
)
def test_exit_codes_of_what_never_starts(meshferry: Meshferry, arguments: list[str], code: int, message: str):
    found = meshferry("up", *arguments)
    assert found.code == code
    assert message in found.line()


def test_a_log_of_another_version_is_78_and_stays_as_it_is(meshferry: Meshferry, tmp_path: Path):
    (tmp_path / "state").mkdir()
    with sqlite3.connect(tmp_path / "state" / "log.db") as connection:
        connection.executescript(f"CREATE TABLE t (x); PRAGMA application_id = {0x4D53_4652}; PRAGMA user_version = 7")
    connection.close()
    before = (tmp_path / "state" / "log.db").read_bytes()
    found = meshferry("up", "f", "--state", tmp_path / "state")
    assert found.code == 78
    assert "log.db: a log of version 7, this meshferry reads version 1; use the release that wrote it" in found.line()
    assert (tmp_path / "state" / "log.db").read_bytes() == before
