"""Who may reach the agent's port, and how: the files that the settings name, read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.etcd.auth import User
from agent.wire.certificate import TLSContext, TLSFileError, TLSFiles
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from pipeline.settings import AgentSettings, ServerTLSSettings, UserSettings


def tls_context(settings: ServerTLSSettings) -> TLSContext:
    """Make the context of the port.

    Raises:
        SettingsError: a file cannot be used.
    """
    is_required = settings.is_client_certificate_required
    files = TLSFiles(
        Path(settings.certificate),
        Path(settings.private_key),
        Path(settings.client_ca) if settings.client_ca else None,
        is_client_certificate_required=bool(settings.client_ca) if is_required is None else is_required,
    )
    try:
        return TLSContext(files)
    except TLSFileError as error:
        raise SettingsError(str(error)) from error


def read_users(settings: AgentSettings) -> tuple[User, ...]:
    """Read the users' passwords.

    Raises:
        SettingsError: a file cannot be read, or is empty.
    """
    return tuple(
        User(name, _password(name, user), tuple(prefix.encode() for prefix in user.prefixes or [settings.prefix]))
        for name, user in settings.users.items()
    )


def _password(name: str, user: UserSettings) -> str:
    if user.password:
        return user.password
    setting = f"agent.users.{name}.password_file: {user.password_file}"
    try:
        password = Path(user.password_file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{setting}: {reason}; give a file that the agent may read") from error
    if not password:
        raise SettingsError(f"{setting}: is empty; write the password into it")
    return password
