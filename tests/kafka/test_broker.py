from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kafka import broker

if TYPE_CHECKING:
    from pathlib import Path


def test_a_machine_without_any_broker_fails_and_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MESHFERRY_TEST_KAFKA", raising=False)
    monkeypatch.setattr(broker, "_docker_answers", lambda: False)
    monkeypatch.setattr(broker.shutil, "which", lambda _name: None)
    with pytest.raises(pytest.fail.Exception, match=r"MESHFERRY_TEST_KAFKA=host:port.*Docker.*Java 17 and Maven"):
        broker.find_broker(tmp_path)


@pytest.mark.kafka
def test_a_broker_that_is_there_is_used_and_controlled_by_a_command(
    kafka: broker.Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MESHFERRY_TEST_KAFKA", kafka.bootstrap)
    found = broker.find_broker(tmp_path)
    assert found.bootstrap == kafka.bootstrap
    with pytest.raises(pytest.fail.Exception, match=r"MESHFERRY_TEST_KAFKA_CONTROL"):
        found.stop()
    monkeypatch.setenv("MESHFERRY_TEST_KAFKA_CONTROL", f"sh -c 'echo $0 > {tmp_path}/order'")
    found = broker.find_broker(tmp_path)
    found.stop()
    assert (tmp_path / "order").read_text() == "stop\n"
    found.start()
    assert (tmp_path / "order").read_text() == "start\n"
