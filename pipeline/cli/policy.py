"""Read a policy from the settings or from a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from translators.policy import Policy


def read_policy(path: str) -> Policy:
    """Read a policy file; an empty path is the default policy.

    Raises:
        SettingsError: the file cannot be read, or has a key or value that no policy has.
    """
    try:
        tree = yaml.load(Path(path).read_text("utf-8"), Loader=yaml.CSafeLoader) if path else {}
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; give a policy file with --policy") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML: {error}") from error
    return policy_from(tree or {}, path or "policy")


def policy_from(tree: Any, place: str) -> Policy:
    """Check JSON-like data as a policy.

    Args:
        tree: what stands under `views.NAME.policy` or in a policy file.
        place: for error messages.

    Raises:
        SettingsError: a key, value or diagnostic code that no policy has.
    """
    from translators.diagnostics import CODES  # noqa: PLC0415 - only the roles that translate need it
    from translators.policy import Policy  # noqa: PLC0415 - only the roles that translate need it

    try:
        policy = msgspec.convert(tree, Policy, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{place}: {error}") from error
    unknown = sorted(set(policy.overrides) - set(CODES))
    if unknown:
        raise SettingsError(
            f"{place}.overrides: no such diagnostic code: {', '.join(unknown)}; see docs/diagnostics.md"
        )
    return policy
