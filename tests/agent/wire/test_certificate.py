from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest

from agent.wire.certificate import SAY_EVERY_S, TLSContext, TLSFileError, TLSFiles, build_context
from tests.conformance.authority import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_only_tls_1_2_and_later_without_renegotiation(authority: Authority):
    context = build_context(authority.issue("agent"))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("certificate", b"", "NO_START_LINE|PEM lib|PEM_LIB|not usable"),
        ("private_key", b"junk", "give a PEM certificate and its own key"),
        ("client_ca", b"junk", "agent.tls.client_ca: .*bad: .*give PEM certificates"),
    ],
)
def test_a_file_without_what_it_should_hold_is_named(
    authority: Authority, tmp_path: Path, name: str, content: bytes, message: str
):
    bad = tmp_path / "bad"
    bad.write_bytes(content)
    with pytest.raises(TLSFileError, match=message) as caught:
        build_context(authority.issue("agent")._replace(**{name: bad}))
    assert str(bad) in str(caught.value)


def test_the_key_must_be_the_certificates(authority: Authority):
    files = authority.issue("agent")._replace(private_key=authority.issue("other").private_key)
    with pytest.raises(TLSFileError, match="KEY_VALUES_MISMATCH: give a PEM certificate and its own key"):
        build_context(files)


def test_a_passphrase_is_not_asked_for(authority: Authority):
    with pytest.raises(TLSFileError, match="without a passphrase"):
        build_context(authority.issue("agent", passphrase=b"secret"))


@pytest.mark.parametrize("name", ["certificate", "private_key", "client_ca"])
def test_a_file_that_is_not_there_is_named(authority: Authority, name: str):
    with pytest.raises(TLSFileError, match="/nowhere: No such file or directory: give a file that the agent may read"):
        TLSContext(authority.issue("agent")._replace(**{name: Path("/nowhere")}))


def test_files_are_read_again_when_they_change(authority: Authority, caplog):
    caplog.set_level(logging.INFO)
    context = TLSContext(authority.issue("agent"))
    first = context.current
    context.renew()
    assert context.current is first
    authority.issue("agent")
    context.renew()
    assert context.current is not first
    assert "agent.pem has changed: new connections get it" in caplog.text


def test_what_cannot_be_used_leaves_the_certificate_from_before(authority: Authority, caplog):
    files: TLSFiles = authority.issue("agent")
    context = TLSContext(files)
    first, key = context.current, files.private_key.read_bytes()
    files.private_key.unlink()
    for _ in range(3):
        context.renew()
    assert context.current is first
    assert caplog.text.count("new connections get the certificate from before") == 1
    files.private_key.write_bytes(key)
    context.renew()
    assert context.current is not first


def test_each_reason_of_failures_is_told_once_a_minute(authority: Authority, caplog):
    context = TLSContext(authority.issue("agent"))
    for now_s in (0.0, 1.0, SAY_EVERY_S - 0.1, SAY_EVERY_S):
        context.note_failure(("192.0.2.1", 5), "no certificate", now_s)
    context.note_failure(None, "other", SAY_EVERY_S)
    assert [record.message for record in caplog.records] == [
        "agent: TLS with 192.0.2.1 failed: no certificate (1 failed so far)",
        "agent: TLS with 192.0.2.1 failed: no certificate (4 failed so far)",
        "agent: TLS with unknown failed: other (5 failed so far)",
    ]
