from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.cli.conftest import Outcome

    Meshferry = Callable[..., Outcome]

ROLES = ("producer", "translator", "agent")
COMMANDS = (*ROLES, "status", "topics plan", "topics apply", "topics check")


@pytest.mark.parametrize("role", ["producer", "translator"])
def test_a_missing_topic_is_78_with_the_command_that_creates_it(meshferry: Meshferry, settings: Path, role: str):
    found = meshferry(role, "--settings", settings)
    assert found.code == 78
    assert found.out == ""
    assert found.err.splitlines()[-1] == (
        "meshferry: meshferry.edge.units: no such topic; create it with `meshferry topics apply`"
    )
    assert "Traceback" not in found.err


@pytest.mark.parametrize("role", ["producer", "translator"])
def test_a_topic_with_a_wrong_cleanup_policy_is_78(meshferry: Meshferry, settings: Path, tmp_path: Path, role: str):
    meshferry("topics", "apply", "--settings", settings, "-o", "json")
    connection = sqlite3.connect(tmp_path / "log.db")
    connection.execute("UPDATE topic_config SET value = 'delete' WHERE name = 'cleanup.policy'")
    connection.commit()
    connection.close()
    found = meshferry(role, "--settings", settings)
    assert found.code == 78
    assert "meshferry.edge.units: cleanup.policy is delete, needs compact; set it with" in found.err.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log: {url: 'redis://x'}", "log.url: log URL with scheme 'redis': use sqlite:///path/log.db or kafka://"),
        ("log: {url: 'sqlite://relative.db'}", "give an absolute path after three slashes"),
        ("log: {url: 'kafka://host:port'}", "log.url: log URL: 'host:port' is not host:port"),
        ("log: {url: 'kafka://me:secret@h:1'}", "log.url: log URL"),
        ("log: {url: 'sqlite:///nowhere/log.db'}", "/nowhere/log.db: the directory /nowhere does not exist; create it"),
        ("log: {url: ''}", "log.url is not set: give --settings FILE or MESHFERRY_LOG__URL=kafka://host:9092"),
        ("lgo: {}", "meshferry.yaml: Object contains unknown field `lgo`"),
        ("views: {}", "views: "),
        ("views: {No_View: {}}", "meshferry.yaml: views: view name 'No_View'"),
        ("views: [1]", "meshferry.yaml: Expected `object`, got `array` - at `$.views`"),
        ("logging: {level: LOUD}", "logging: log level 'LOUD': use one of DEBUG, INFO, WARNING, ERROR"),
        ("logging: {format: xml}", "logging: log format 'xml': use one of text, json"),
        ("agent: {listen: '127.0.0.1:-1'}", "agent.listen: '127.0.0.1:-1' is not HOST:PORT"),
        ("agent: [", "meshferry.yaml: not YAML: "),
        ("agent: {node: 2024-13-01}", "meshferry.yaml: not YAML: month must be in 1..12"),
        ("- 1", "meshferry.yaml: a mapping is wanted at the top, not a list"),
        ("\udcff", "meshferry.yaml: not UTF-8; give the settings file with --settings"),
    ],
)
def test_settings_that_cannot_be_used_are_78_in_every_role(
    meshferry: Meshferry, settings: Path, command: str, text: str, message: str
):
    name = text.partition(":")[0]
    kept = [line for line in settings.read_text().splitlines() if not line.startswith(f"{name}:") and text != "- 1"]
    settings.write_text("\n".join([*kept, text]), encoding="utf-8", errors="surrogateescape")
    found = meshferry(*command.split(), "--settings", settings)
    assert found.code == 78
    assert found.out == ""
    said = [line for line in found.err.splitlines() if not line[0].isdigit()]  # roles log that they start
    assert len(said) == 1
    assert message in said[0]
    assert "secret" not in found.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_settings_file_that_is_not_there_or_a_directory_is_78(meshferry: Meshferry, tmp_path: Path, command: str):
    found = meshferry(*command.split(), "--settings", tmp_path / "gone.yaml")
    assert (found.code, found.line()) == (
        78,
        f"{tmp_path}/gone.yaml: No such file or directory; give the settings file with --settings",
    )
    found = meshferry(*command.split(), "--settings", tmp_path)
    assert (found.code, found.line()) == (
        78,
        f"{tmp_path}: Is a directory; give the settings file with --settings",
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_view_is_78(meshferry: Meshferry, settings: Path, command: str):
    found = meshferry(*command.split(), "--settings", settings, "--view", "nope")
    assert (found.code, found.line()) == (78, "views: no view 'nope'; there are ['edge']")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("arguments", [["--bogus"], ["extra"], ["--settings"]])
def test_wrong_arguments_are_64(meshferry: Meshferry, role: str, arguments: list[str]):
    found = meshferry(role, *arguments)
    assert found.code == 64
    assert found.line().endswith(f"; see `meshferry {role} --help`")


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("MESHFERRY_AGENT__NODE=2024-13-01", "MESHFERRY_AGENT__NODE: the value is not YAML; put text"),
        ("MESHFERRY_AGENT__LISTEN__X=1", "MESHFERRY_AGENT__LISTEN__X: listen is not a section"),
        ("MESHFERRY_LOG__URL_FILE=/nowhere", "MESHFERRY_LOG__URL_FILE: /nowhere: No such file or directory"),
        ("MESHFERRY_LOG__RULE=x", "Object contains unknown field `rule`"),
    ],
)
def test_the_environment_is_checked_like_the_file(
    meshferry: Meshferry, settings: Path, monkeypatch: pytest.MonkeyPatch, variable: str, message: str
):
    monkeypatch.setenv(*variable.split("=", 1))
    found = meshferry("producer", "--settings", settings)
    assert found.code == 78
    assert message in found.line()


def test_a_producer_needs_a_source_and_keys(meshferry: Meshferry, settings: Path):
    text = settings.read_text()
    settings.write_text(text.replace("source: {file:", "source: {}}} # {"))
    found = meshferry("producer", "--settings", settings)
    assert found.code == 78
    assert found.err.splitlines()[1:] == [
        "meshferry: views.edge.source: give `file: PATH` or `xds: {server: HOST:PORT, node_id: …}`"
    ]
    settings.write_text("\n".join(line for line in text.splitlines() if not line.startswith("seal")))
    found = meshferry("producer", "--settings", settings)
    assert found.code == 78
    assert found.line().startswith("seal.directory is not set: ")


def test_a_policy_with_an_unknown_code_is_78(meshferry: Meshferry, settings: Path):
    settings.write_text(settings.read_text().replace("edge: {", "edge: {policy: {overrides: {NO-SUCH: allow}}, "))
    found = meshferry("translator", "--settings", settings)
    assert found.code == 78
    assert "views.edge.policy.overrides: no such diagnostic code: NO-SUCH; see docs/diagnostics.md" in found.err


def test_an_agent_whose_state_directory_cannot_be_written_is_1(meshferry: Meshferry, settings: Path, tmp_path: Path):
    settings.write_text(settings.read_text().replace(f"{tmp_path}/agent", "/dev/null/agent"))
    found = meshferry("agent", "--settings", settings)
    assert (found.code, found.line()) == (
        1,
        "/dev/null/agent: Not a directory: choose a directory the agent can write",
    )


def test_help_teaches_purpose_example_and_exit_codes(meshferry: Meshferry):
    listed = meshferry("--help").out
    for command in (*COMMANDS, "up", "translate", "features", "schemas pull", "version"):
        found = meshferry(*command.split(), "--help")
        assert found.code == 0
        assert f"meshferry {command}" in found.out.partition("Exit codes:")[0].partition("\n")[2], command
        assert "Exit codes: 0 " in found.out
        assert f"│ {command.split()[0]} " in listed
        assert found.out.partition("\n\n")[2].split()[0] in listed.split() or command.startswith(
            ("topics ", "schemas ")
        )
