from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.cli.conftest import Outcome

    Meshferry = Callable[..., Outcome]

KINDS = ("units", "bundles", "control", "status")


def test_plan_shows_what_apply_would_do_and_changes_nothing(meshferry: Meshferry, settings: Path):
    for _ in range(2):
        found = meshferry("topics", "plan", "-s", settings, "-o", "json")
        assert (found.code, found.err) == (0, "")
        assert [(row["topic"], row["action"]) for row in found.data()] == [
            (f"meshferry.edge.{kind}", "create") for kind in KINDS
        ]
        assert "cleanup.policy=compact" in found.data()[0]["settings"]


def test_apply_creates_the_topics_and_then_there_is_nothing_to_do(meshferry: Meshferry, settings: Path):
    assert meshferry("topics", "check", "-s", settings, "-o", "json").code == 2
    applied = meshferry("topics", "apply", "-s", settings, "-o", "json")
    assert applied.code == 0
    assert len(applied.data()) == 4
    assert meshferry("topics", "apply", "-s", settings, "-o", "json").data() == []
    assert meshferry("topics", "check", "-s", settings, "-o", "json") == (0, "[]\n", "")


def test_every_format_has_the_same_rows_and_a_pipe_gets_json(meshferry: Meshferry, settings: Path):
    rows = meshferry("topics", "check", "-s", settings, "-o", "json")
    assert meshferry("topics", "check", "-s", settings) == rows
    found = meshferry("topics", "check", "-s", settings, "-o", "yaml")
    assert (found.code, yaml.safe_load(found.out)) == (2, rows.data())
    table = meshferry("topics", "check", "-s", settings, "-o", "table")
    assert table.code == 2
    assert table.out.split()[:4] == ["topic", "action", "settings", "reason"]
    assert all(f"meshferry.edge.{kind}" in table.out for kind in KINDS)


def test_a_topic_that_needs_other_settings_is_found_and_configured(
    meshferry: Meshferry, settings: Path, tmp_path: Path
):
    meshferry("topics", "apply", "-s", settings, "-o", "json")
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("UPDATE topic_config SET value = '1' WHERE name = 'max.message.bytes'")
    connection.close()
    found = meshferry("topics", "check", "-s", settings, "-o", "json")
    assert (found.code, {row["action"] for row in found.data()}) == (2, {"configure"})
    assert meshferry("topics", "apply", "-s", settings, "-o", "json").code == 0
    assert meshferry("topics", "check", "-s", settings, "-o", "json").code == 0


class TestUnfit:
    """A topic with a wrong cleanup.policy loses records or never forgets: it is refused, with the remedy."""

    @pytest.fixture(autouse=True)
    def unfit(self, meshferry: Meshferry, settings: Path, tmp_path: Path) -> None:
        meshferry("topics", "apply", "-s", settings, "-o", "json")
        with sqlite3.connect(tmp_path / "log.db") as connection:
            connection.execute(
                "UPDATE topic_config SET value = 'delete' WHERE name = 'cleanup.policy' AND topic_id = "
                "(SELECT id FROM topic WHERE name = 'meshferry.edge.units')"
            )
        connection.close()

    @pytest.mark.parametrize("form", ["json", "yaml", "table"])
    def test_check_shows_it_and_ends_with_78(self, meshferry: Meshferry, settings: Path, form: str):
        found = meshferry("topics", "check", "-s", settings, "-o", form)
        assert found.code == 78
        assert "refuse" in found.out
        assert "needs" in found.out

    def test_apply_refuses_and_changes_nothing(self, meshferry: Meshferry, settings: Path):
        found = meshferry("topics", "apply", "-s", settings)
        assert found.code == 78
        assert found.line().startswith("meshferry.edge.units: cleanup.policy is delete, needs compact; set it with")
        [row] = meshferry("topics", "plan", "-s", settings, "-o", "json").data()
        assert row["action"] == "refuse"


@pytest.mark.parametrize("command", ["plan", "apply", "check"])
def test_a_broker_that_is_not_there_is_69(
    meshferry: Meshferry, settings: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.setenv("MESHFERRY_LOG__URL", "kafka://127.0.0.1:1")
    found = meshferry("topics", command, "-s", settings)
    assert found.code == 69
    assert found.line().startswith("Kafka at 127.0.0.1:1: describing topics: no broker answers; check its address")


@pytest.mark.parametrize("command", ["plan", "apply", "check"])
def test_a_log_file_of_another_version_is_78(meshferry: Meshferry, settings: Path, tmp_path: Path, command: str):
    meshferry("topics", "plan", "-s", settings)
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    found = meshferry("topics", command, "-s", settings)
    assert found.code == 78
    assert f"{tmp_path}/log.db: a log of version 99, this meshferry reads version 1; use the release" in found.line()


@pytest.mark.parametrize("command", [("topics", "check"), ("topics", "foo"), ("topics", "plan", "extra")])
def test_only_existing_views_and_commands_are_taken(meshferry: Meshferry, settings: Path, command: tuple[str, ...]):
    found = meshferry(*command, "-s", settings, "--view", "nope")
    assert found.code == (78 if command[-1] == "check" else 64)
    assert found.line()
