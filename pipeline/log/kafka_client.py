"""What every Kafka client here is given, and what aiokafka's errors mean to a user of the log."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiokafka import errors

from pipeline.log.contract import BrokenTopicError, LogUnreachableError, WriterFencedError
from pipeline.log.kafka_url import PASSWORD_VARIABLE, KafkaAddress
from pipeline.log.refusal import no_such_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RETRY_BACKOFF_MS: Final = 100
METADATA_MAX_AGE_MS: Final = 60_000
"""A leader that moved unnoticed is found after this."""
HEARTBEATS_PER_SESSION: Final = 6
"""A member learns this part of a session late that another one wants to join."""
CONTRACT_ERRORS: Final = (BrokenTopicError, LogUnreachableError, WriterFencedError)


def client_options(address: KafkaAddress) -> dict[str, Any]:
    """Give the options that consumers, producers and the admin client share.

    Raises:
        BrokenTopicError: a certificate, key or password file cannot be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(address.bootstrap),
        "client_id": address.client_id,
        "request_timeout_ms": address.timeout_ms,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        "security_protocol": address.security.upper(),
    }
    if address.security.endswith("ssl"):
        options["ssl_context"] = _tls_context(address)
    if address.security.startswith("sasl"):
        options["sasl_mechanism"] = address.sasl_mechanism
        options["sasl_plain_username"] = address.username
        options["sasl_plain_password"] = _password(address)
    return options


def group_options(address: KafkaAddress) -> dict[str, Any]:
    """Give the options of a consumer that is a member of a group.

    A request to join is only answered when all members have, at most a session timeout later.
    """
    return client_options(address) | {
        "request_timeout_ms": 2 * address.session_timeout_ms,
        "session_timeout_ms": address.session_timeout_ms,
        "heartbeat_interval_ms": address.session_timeout_ms // HEARTBEATS_PER_SESSION,
    }


def join_timeout_s(address: KafkaAddress) -> float:
    """Give how long joining a group may take, in seconds: a request that timed out is made once more."""
    return (4 * address.session_timeout_ms + address.timeout_ms) / 1000


def _tls_context(address: KafkaAddress) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.ca or None)
        if address.cert:
            context.load_cert_chain(address.cert, address.key, password=_no_passphrase)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(name for name in (address.ca, address.cert, address.key) if name)
        reason = error.strerror or "not what it should be"
        raise BrokenTopicError(f"TLS files of the log URL ({files}): {reason}; PEM is wanted") from error
    return context


def _no_passphrase() -> str:
    raise BrokenTopicError("the key of the log URL has a passphrase; give an unencrypted key with mode 0600")


def _password(address: KafkaAddress) -> str:
    if not address.password_file:
        if PASSWORD_VARIABLE not in os.environ:
            raise BrokenTopicError(f"log URL: set password_file=PATH or the variable {PASSWORD_VARIABLE}")
        return os.environ[PASSWORD_VARIABLE]
    try:
        return Path(address.password_file).read_text("utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BrokenTopicError(f"password_file {address.password_file}: {reason}") from error


@asynccontextmanager
async def explained(address: KafkaAddress, doing: str, *, timeout_s: float | None = None) -> AsyncIterator[None]:
    """Bound an operation in time and translate its errors into those of the log contract.

    Args:
        address: the brokers.
        doing: what was tried, as it should stand in the message.
        timeout_s: how long it may take; None is the address's timeout.

    Raises:
        BrokenTopicError: the topic is not there, or its name is none.
        WriterFencedError: another producer has the transactional id.
        LogUnreachableError: anything that another attempt may cure.
    """
    limit_s = address.timeout_ms / 1000 if timeout_s is None else timeout_s
    try:
        async with asyncio.timeout(limit_s):
            yield
    except CONTRACT_ERRORS:
        raise
    except (errors.ProducerFenced, errors.InvalidProducerEpoch) as error:
        raise WriterFencedError(f"{doing}: a newer one has taken over") from error
    except (errors.UnknownTopicOrPartitionError, errors.InvalidTopicError) as error:
        raise no_such_topic(doing) from error
    except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError) as error:
        raise ValueError(f"{doing}: a record exceeds max.message.bytes of the topic") from error
    except TimeoutError as error:
        raise LogUnreachableError(f"{address.name}: {doing}: no answer within {limit_s:g} s") from error
    except errors.KafkaConnectionError as error:
        reason = "no broker answers; check its address and the security options of the log URL"
        raise LogUnreachableError(f"{address.name}: {doing}: {reason}") from error
    except (errors.KafkaError, OSError) as error:
        raise LogUnreachableError(f"{address.name}: {doing}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return " ".join(str(cause).split()) or type(cause).__name__
