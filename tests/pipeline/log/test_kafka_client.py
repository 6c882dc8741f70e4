from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from aiokafka import errors

from pipeline.log import BrokenTopicError, LogUnreachableError, WriterFencedError
from pipeline.log.kafka_client import PASSWORD_VARIABLE, client_options, explained
from pipeline.log.kafka_url import KafkaAddress

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = KafkaAddress(("a:9092", "b:9092"))
SASL = PLAIN._replace(security="sasl_plaintext", username="ferry")


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path):
    (tmp_path / "password").write_text("s3cret\nnot this\n")
    options = client_options(SASL._replace(password_file=str(tmp_path / "password")))
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("ferry", "s3cret")


def test_the_password_is_the_variable_without_a_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, "s3cret")
    assert client_options(SASL)["sasl_plain_password"] == "s3cret"


def test_a_missing_password_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(BrokenTopicError, match=PASSWORD_VARIABLE):
        client_options(SASL)
    missing = str(tmp_path / "missing")
    with pytest.raises(BrokenTopicError, match=re.escape(missing) + ": No such file"):
        client_options(SASL._replace(password_file=missing))
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(BrokenTopicError, match="binary: not UTF-8"):
        client_options(SASL._replace(password_file=str(tmp_path / "binary")))


def test_tls_verifies_the_brokers():
    options = client_options(PLAIN._replace(security="ssl"))
    assert options["ssl_context"].check_hostname
    assert options["security_protocol"] == "SSL"
    assert "ssl_context" not in client_options(PLAIN)


def test_unusable_tls_files_are_named(tmp_path: Path):
    missing = str(tmp_path / "ca.pem")
    with pytest.raises(BrokenTopicError, match=re.escape(missing) + r".*: No such file or directory; PEM is wanted"):
        client_options(PLAIN._replace(security="ssl", ca=missing))
    (tmp_path / "ca.pem").write_text("-----BEGIN NONSENSE-----")
    with pytest.raises(BrokenTopicError, match=re.escape(missing) + ".*PEM is wanted"):
        client_options(PLAIN._replace(security="ssl", ca=missing))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (errors.ProducerFenced(), WriterFencedError),
        (errors.InvalidProducerEpoch(), WriterFencedError),
        (errors.UnknownTopicOrPartitionError(), BrokenTopicError),
        (errors.InvalidTopicError(), BrokenTopicError),
        (errors.KafkaConnectionError("two\nlines"), LogUnreachableError),
        (errors.TopicAuthorizationFailedError("t"), LogUnreachableError),
        (ConnectionResetError(104, "reset"), LogUnreachableError),
        (errors.MessageSizeTooLargeError(), ValueError),
    ],
)
async def test_errors_become_those_of_the_contract(raised: Exception, expected: type[Exception]):
    with pytest.raises(expected, match="the topic t") as told:
        async with explained(PLAIN, "the topic t"):
            raise raised
    assert type(told.value) is expected
    assert told.value.__cause__ is raised
    assert "\n" not in str(told.value)


async def test_what_takes_too_long_is_unreachable():
    with pytest.raises(LogUnreachableError, match=r"Kafka at a:9092,b:9092: t: no answer within 0\.01 s"):
        async with explained(PLAIN, "t", timeout_s=0.01):
            await asyncio.Event().wait()


async def test_errors_of_the_contract_pass_as_they_are():
    error = LogUnreachableError("as it is")
    with pytest.raises(LogUnreachableError) as told:
        async with explained(PLAIN, "t"):
            raise error
    assert told.value is error
