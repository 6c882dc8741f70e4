from __future__ import annotations

import pytest

from pipeline.log import open_log
from pipeline.log.kafka_url import KafkaAddress, parse_kafka_url


def test_hosts_get_the_default_port_and_options_their_defaults():
    assert parse_kafka_url("kafka://a:9093,b,[::1]:9094,[fe80::1]") == KafkaAddress(
        ("a:9093", "b:9092", "[::1]:9094", "[fe80::1]:9092")
    )


def test_all_options_are_understood():
    url = (
        "kafka://a?security=sasl_ssl&ca=%2Fetc%2Fca.pem&cert=/c.pem&key=/k.pem&sasl_mechanism=SCRAM-SHA-512"
        "&username=mesh%20ferry&password_file=/run/secret&client_id=x&timeout_ms=2500&session_timeout_ms=9000"
    )
    assert parse_kafka_url(url) == KafkaAddress(
        ("a:9092",),
        "sasl_ssl",
        "/etc/ca.pem",
        "/c.pem",
        "/k.pem",
        "SCRAM-SHA-512",
        "mesh ferry",
        "/run/secret",
        "x",
        2500,
        9000,
    )


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("kafka://", r"kafka://host:9092,host2:9092"),
        ("kafka://a/topic", r"without a path"),
        ("kafka://a:port", r"'a:port' is not host:port"),
        ("kafka://a:0", r"is not host:port"),
        ("kafka://a:70000", r"is not host:port"),
        ("kafka://a,,b", r"is not host:port"),
        ("kafka://a?securty=ssl", r"unknown option 'securty'; there are security, ca"),
        ("kafka://a?bootstrap=b", r"unknown option 'bootstrap'"),
        ("kafka://a?security=tls", r"security=tls: use one of plaintext, ssl"),
        ("kafka://a?security=ssl&security=ssl", r"given twice"),
        ("kafka://a?ca=/ca.pem", r"need security=ssl"),
        ("kafka://a?security=ssl&cert=/c.pem", r"cert and key are given together"),
        ("kafka://a?username=u", r"need security=sasl_ssl"),
        ("kafka://a?security=sasl_ssl", r"needs username=NAME"),
        ("kafka://a?security=sasl_ssl&username=u&sasl_mechanism=GSSAPI", r"use one of PLAIN, SCRAM"),
        ("kafka://a?timeout_ms=soon", r"timeout_ms=soon is not a positive number"),
        ("kafka://a?session_timeout_ms=-1", r"session_timeout_ms=-1 is not a positive number"),
        ("kafka://a?timeout_ms=0", r"timeout_ms=0 is not a positive number"),
    ],
)
def test_what_is_wrong_is_said_with_the_remedy(url: str, remedy: str):
    with pytest.raises(ValueError, match=remedy) as told:
        open_log(url)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "kafka://user:hunter2@a:9092",
        "kafka://a?security=sasl_ssl&username=u&password=hunter2",
        "kafka://a?security=sasl_ssl&username=u&sasl_plain_password=hunter2",
        "kafak://user:hunter2@a:9092",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str):
    with pytest.raises(ValueError, match=r"password_file=PATH|use sqlite:///path") as told:
        open_log(url)
    assert "hunter2" not in str(told.value)
