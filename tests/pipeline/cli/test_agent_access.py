from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.etcd.auth import User
from pipeline.cli.agent_access import read_users, tls_context
from pipeline.settings import AgentSettings, ServerTLSSettings, SettingsError, UserSettings
from tests.conformance.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path


def users(**given: UserSettings) -> tuple[User, ...]:
    return read_users(AgentSettings(users=given))


def test_a_user_has_the_prefix_of_apisix_unless_it_has_others(tmp_path: Path):
    (tmp_path / "password").write_text(" hush\n")
    assert users(
        a=UserSettings(password_file=str(tmp_path / "password")), b=UserSettings(password="p", prefixes=["/x/", ""])
    ) == (User("a", "hush", (b"/apisix",)), User("b", "p", (b"/x/", b"")))


def test_a_password_that_cannot_be_read_is_a_clear_error(tmp_path: Path):
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff")
    for path, message in ((empty, "is empty; write"), (binary, "not UTF-8"), (tmp_path / "none", "No such file")):
        with pytest.raises(SettingsError, match=f"agent.users.a.password_file: {path}: {message}"):
            users(a=UserSettings(password_file=str(path)))


def test_client_certificates_are_required_where_their_authority_is_given(tmp_path: Path):
    authority = Authority(tmp_path)
    files = authority.issue("agent")
    plain = ServerTLSSettings(certificate=str(files.certificate), private_key=str(files.private_key))
    assert tls_context(plain).current.verify_mode.name == "CERT_NONE"
    for is_required, mode in ((None, "CERT_REQUIRED"), (True, "CERT_REQUIRED"), (False, "CERT_OPTIONAL")):
        settings = ServerTLSSettings(
            certificate=plain.certificate,
            private_key=plain.private_key,
            client_ca=str(authority.certificate),
            is_client_certificate_required=is_required,
        )
        assert tls_context(settings).current.verify_mode.name == mode


def test_a_certificate_that_cannot_be_used_is_a_configuration_error(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"agent\.tls: /nowhere: No such file"):
        tls_context(ServerTLSSettings(certificate="/nowhere", private_key="/nowhere"))
