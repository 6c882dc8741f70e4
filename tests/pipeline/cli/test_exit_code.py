from __future__ import annotations

import pytest

from pipeline.cli import run
from pipeline.cli.exit_code import BadInputError, ExitCode, RefusedError, UsageError, exit_code_of, message_of
from pipeline.log import BrokenTopicError, LogUnreachableError, WriterFencedError
from pipeline.settings import SettingsError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 64),
        (BadInputError("x"), 65),
        (LogUnreachableError("x"), 69),
        (TimeoutError("x"), 75),
        (RefusedError("x"), 77),
        (SettingsError("x"), 78),
        (BrokenTopicError("x"), 78),
        (WriterFencedError("x"), 1),
        (PermissionError(13, "x"), 1),
    ],
)
def test_each_failure_has_its_exit_code(error: Exception, code: int):
    assert exit_code_of(error) == code
    assert exit_code_of(ExceptionGroup("g", [error])) == code


def test_a_defect_has_none():
    assert exit_code_of(KeyError("x")) is None
    assert exit_code_of(ExceptionGroup("g", [SettingsError("x"), KeyError("y")])) is None


def test_messages_are_one_line():
    assert message_of(ExceptionGroup("g", [BadInputError("a\n  b")])) == "a b"


def test_version_in_every_format(capsys: pytest.CaptureFixture[str]):
    for form in ("json", "yaml", "table"):
        assert run(["version", "-o", form]) == ExitCode.OK
        assert "0.1.0" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["status", "--bogus"], ["nonsense"], ["version", "-o", "xml"]])
def test_wrong_usage_is_64(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(arguments) == ExitCode.USAGE
    capsys.readouterr()


@pytest.mark.parametrize("command", ["topics check", "status", "producer", "translator", "agent"])
def test_missing_settings_are_78_with_a_remedy(command: str, capsys: pytest.CaptureFixture[str]):
    assert run(command.split()) == ExitCode.BAD_CONFIGURATION
    said = capsys.readouterr().err
    assert said.startswith("meshferry: ")
    assert said.count("\n") == 1
