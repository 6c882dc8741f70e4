"""Run commands in the process of the test."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest

from pipeline.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Outcome(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    def data(self) -> Any:
        """Standard output as JSON."""
        return orjson.loads(self.out)

    def line(self) -> str:
        """The one line on standard error, and nothing else was said."""
        assert self.out == ""
        assert self.err.startswith("meshferry: ")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("meshferry: ").rstrip("\n")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Commands send the log to standard error; later tests have another one."""
    root, kafka = logging.getLogger(), logging.getLogger("aiokafka")
    before = (root.handlers[:], root.level, kafka.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    kafka.setLevel(before[2])


@pytest.fixture
def meshferry(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `meshferry` with arguments."""

    def call(*arguments: str | Path) -> Outcome:
        code = run([str(argument) for argument in arguments])
        found = capsys.readouterr()
        return Outcome(code, found.out, found.err)

    return call


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that runs in the process of the test must not replace it by a parent."""
    monkeypatch.setenv("MESHFERRY_AGENT__SUPERVISE", "false")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file of one view on the embedded log."""
    path = tmp_path / "meshferry.yaml"
    path.write_text(
        f"log: {{url: 'sqlite://{tmp_path}/log.db'}}\n"
        f"views: {{edge: {{source: {{file: '{tmp_path}/envoy.yaml'}}}}}}\n"
        f"seal: {{directory: '{tmp_path}/keys'}}\n"
        f"agent: {{listen: '127.0.0.1:0', state: '{tmp_path}/agent'}}\n"
    )
    return path
