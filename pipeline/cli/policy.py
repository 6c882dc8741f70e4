"""Read a policy from the settings or from a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.settings import SettingsError, read_yaml

if TYPE_CHECKING:
    from translators.policy import Policy


def read_policy(path: str) -> Policy:
    """Read a policy file; an empty path is the default policy.

    Raises:
        SettingsError: the file cannot be read, or has a key or value that no policy has.
    """
    if not path:
        return policy_from({}, "policy")
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{path}: {reason}; give a policy file with --policy") from error
    return policy_from(read_yaml(text, path) or {}, path)


def policy_from(tree: Any, place: str) -> Policy:
    """Check JSON-like data as a policy.

    Args:
        tree: what stands under `views.NAME.policy` or in a policy file.
        place: for error messages.

    Raises:
        SettingsError: a key, value, port or diagnostic code that no policy has.
    """
    from translators.diagnostics import CODES  # noqa: PLC0415 - only the roles that translate need it
    from translators.policy import Policy  # noqa: PLC0415 - only the roles that translate need it

    if isinstance(tree, dict) and isinstance(tree.get("apisix_versions"), float):
        raise SettingsError(f"{place}.apisix_versions: a number is no version: write it in quotes, such as '3.10'")
    try:
        policy = msgspec.convert(tree, Policy, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{place}: {error}") from error
    unknown = sorted(set(policy.overrides) - set(CODES))
    if unknown:
        raise SettingsError(
            f"{place}.overrides: no such diagnostic code: {', '.join(unknown)}; see docs/diagnostics.md"
        )
    for port in (*policy.port_map, *policy.port_map.values()):
        if not 0 < port < 65536:  # noqa: PLR2004 - the largest port and one
            raise SettingsError(f"{place}.port_map: {port} is no port; use 1 to 65535")
    return policy
