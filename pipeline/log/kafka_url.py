"""The URL of a Kafka log: `kafka://host:9092,host2:9092?security=sasl_ssl&ca=…`. Pure; files are read on connecting."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qsl

DEFAULT_PORT: Final = 9092
PASSWORD_VARIABLE: Final = "MESHFERRY_KAFKA_PASSWORD"  # noqa: S105 - the name of the variable, not a password
SECURITIES: Final = ("plaintext", "ssl", "sasl_ssl", "sasl_plaintext")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_NO_PASSWORD: Final = f"a password does not belong in a URL; use password_file=PATH or the variable {PASSWORD_VARIABLE}"


class KafkaAddress(NamedTuple):
    """Where the brokers are and how to talk to them.

    Attributes:
        bootstrap: `host:port` of some brokers.
        security: one of SECURITIES.
        ca: PEM file with the authorities to trust; empty trusts the system's.
        cert: PEM file with the client certificate; empty for none.
        key: PEM file with its key.
        sasl_mechanism: one of MECHANISMS, with a sasl security.
        username: for SASL.
        password_file: its first line is the password; empty takes it from MESHFERRY_KAFKA_PASSWORD.
        client_id: what the brokers' logs and quotas call this client.
        timeout_ms: how long an operation tries before the log counts as unreachable.
        session_timeout_ms: a process that died or hangs keeps what it leads or translates this long. 6000 is the least
            that brokers allow by default.
    """

    bootstrap: tuple[str, ...]
    security: str = "plaintext"
    ca: str = ""
    cert: str = ""
    key: str = ""
    sasl_mechanism: str = "PLAIN"
    username: str = ""
    password_file: str = ""
    client_id: str = "meshferry"
    timeout_ms: int = 10_000
    session_timeout_ms: int = 6_000

    @property
    def name(self) -> str:
        """For messages."""
        return "Kafka at " + ",".join(self.bootstrap)


_OPTIONS: Final = tuple(name for name in KafkaAddress._fields if name != "bootstrap")


def parse_kafka_url(url: str) -> KafkaAddress:
    """Parse the URL of a Kafka log.

    Raises:
        ValueError: one line with what is wrong and what to write; never with the URL itself, it may hold a secret.
    """
    # Several hosts are no authority of RFC 3986: newer versions of urlsplit refuse them where one is an IPv6 address.
    rest, _, query = url.partition("://")[2].partition("?")
    hosts, _, path = rest.partition("/")
    if "@" in hosts:
        raise ValueError(f"log URL: {_NO_PASSWORD}, and username=NAME")
    if path.strip("/") or "#" in rest or "#" in query or not hosts:
        raise ValueError("log URL: write kafka://host:9092,host2:9092?option=value, without a path")
    options = _parse_options(query)
    bootstrap = tuple(_host_port(text) for text in hosts.split(","))
    timeout_ms = _milliseconds(options, "timeout_ms", 10_000)
    session_timeout_ms = _milliseconds(options, "session_timeout_ms", 6_000)
    return _checked(KafkaAddress(bootstrap, timeout_ms=timeout_ms, session_timeout_ms=session_timeout_ms, **options))


def _parse_options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if "password" in name and name != "password_file":
            raise ValueError(f"log URL: {_NO_PASSWORD}")
        if name not in _OPTIONS:
            raise ValueError(f"log URL: unknown option {name!r}; there are {', '.join(_OPTIONS)}")
        if name in options:
            raise ValueError(f"log URL: option {name} is given twice")
        options[name] = value
    return options


def _milliseconds(options: dict[str, str], name: str, default: int) -> int:
    text = options.pop(name, str(default))
    if not text.isdecimal() or not int(text):
        raise ValueError(f"log URL: {name}={text} is not a positive number of milliseconds")
    return int(text)


def _host_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not host or not port.isdigit() or not 0 < int(port) <= 65535:  # noqa: PLR2004 - the largest port
        raise ValueError(f"log URL: {text!r} is not host:port")
    return f"{host}:{port}"


def _checked(address: KafkaAddress) -> KafkaAddress:
    """Refuse options that do not go together, where a broker would only say that it hung up."""
    if address.security not in SECURITIES:
        raise ValueError(f"log URL: security={address.security}: use one of {', '.join(SECURITIES)}")
    if address.sasl_mechanism not in MECHANISMS:
        raise ValueError(f"log URL: sasl_mechanism={address.sasl_mechanism}: use one of {', '.join(MECHANISMS)}")
    has_tls, has_sasl = address.security.endswith("ssl"), address.security.startswith("sasl")
    if (address.ca or address.cert or address.key) and not has_tls:
        raise ValueError("log URL: ca, cert and key need security=ssl or security=sasl_ssl")
    if bool(address.cert) != bool(address.key):
        raise ValueError("log URL: cert and key are given together or not at all")
    if (address.username or address.password_file) and not has_sasl:
        raise ValueError("log URL: username and password_file need security=sasl_ssl or security=sasl_plaintext")
    if has_sasl and not address.username:
        raise ValueError(f"log URL: security={address.security} needs username=NAME")
    return address
