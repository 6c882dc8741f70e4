from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.settings import SettingsError, host_port, load_settings, parse_settings, read_file_twins

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
log: {url: "sqlite:///tmp/log.db"}
views:
  gateway: {source: {file: envoy.yaml}}
agent: {listen: "127.0.0.1:2379"}
"""


def test_defaults_stand_behind_the_file():
    settings = parse_settings(FILE, {})
    assert settings.log.prefix == "meshferry."
    assert settings.agent.prefix == "/apisix"
    assert settings.the_view() == "gateway"


def test_the_environment_lies_over_the_file():
    environment = {"MESHFERRY_AGENT__LISTEN": "0.0.0.0:9", "MESHFERRY_LOG__REPLICATION": "3", "OTHER__X": "1"}
    settings = parse_settings(FILE, environment)
    assert settings.agent.listen == "0.0.0.0:9"
    assert settings.log.replication == 3


def test_a_file_twin_gives_the_content_of_its_file(tmp_path: Path):
    secret = tmp_path / "url"
    secret.write_text("kafka://k:9092\n")
    environment = read_file_twins({"MESHFERRY_LOG__URL_FILE": str(secret)})
    assert parse_settings("", environment).log.url == "kafka://k:9092"


def test_a_missing_twin_names_the_file():
    with pytest.raises(SettingsError, match=r"MESHFERRY_LOG__URL_FILE: /nowhere: No such file"):
        read_file_twins({"MESHFERRY_LOG__URL_FILE": "/nowhere"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lgo: {}", "unknown field `lgo`"),
        ("log: {url: 3}", r"Expected `str`, got `int` - at `\$.log.url`"),
        ("- 1", "a mapping is wanted at the top, not a list"),
        ("a: [", "not YAML"),
        ("views: {Bad_Name: {}}", "view name 'Bad_Name'"),
        ("views: {v: {source: {file: f, xds: {server: s, node_id: n}}}}", "either `file` or `xds`"),
        (
            "agent: {tls: {certificate: c, private_key: k, is_client_certificate_required: true}}",
            "agent.tls.client_ca: give the authorities",
        ),
        ("agent: {users: {a: {}}}", "agent.users.a: give either `password_file` or `password`"),
        ("agent: {users: {a: {password: p, password_file: f}}}", "agent.users.a: give either"),
        ("agent: {listen: localhost}", "agent.listen: 'localhost' is not HOST:PORT"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, message: str):
    with pytest.raises(SettingsError, match=message):
        parse_settings(text, {}, "f.yaml")


def test_a_settings_file_that_is_not_there_is_a_clear_error():
    with pytest.raises(SettingsError, match=r"/nowhere: No such file.*--settings"):
        load_settings("/nowhere", {})


def test_a_settings_file_that_is_not_utf_8_is_a_clear_error(tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_settings(str(path), {})


def test_one_of_several_views_must_be_named():
    settings = parse_settings("views: {a: {}, b: {}}", {})
    with pytest.raises(SettingsError, match="name one of"):
        settings.the_view()
    assert settings.the_view("b") == "b"
    with pytest.raises(SettingsError, match="no view 'c'"):
        settings.the_view("c")


@pytest.mark.parametrize(("text", "wanted"), [("h:1", ("h", 1)), ("[::1]:2379", ("::1", 2379)), ("h:0", ("h", 0))])
def test_host_and_port(text: str, wanted: tuple[str, int]):
    assert host_port(text, "x") == wanted


@pytest.mark.parametrize("text", ["h", "h:", "h:x", "h:65536", ":-1"])
def test_a_bad_host_and_port(text: str):
    with pytest.raises(SettingsError, match="HOST:PORT"):
        host_port(text, "x")


def test_a_password_comes_from_a_twin_and_is_not_shown(tmp_path: Path):
    (tmp_path / "p").write_text("hush\n")
    environment = {"MESHFERRY_AGENT__USERS__APISIX__PASSWORD_FILE": str(tmp_path / "p")}
    settings = parse_settings("", read_file_twins(environment))
    assert settings.agent.users["apisix"].password == "hush"
    assert "hush" not in repr(settings)
