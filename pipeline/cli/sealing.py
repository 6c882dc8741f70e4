"""Sealing and opening of private keys for the roles, from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.key_directory import SealKeys, list_keys, load_or_create_keys, opener_of
from pipeline.seal import SealError
from pipeline.settings import SealSettings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.seal import PrivateKeys


def seal_keys(seal: SealSettings) -> SealKeys:
    """Read the keys, or make them on first use.

    Raises:
        SettingsError: no directory is set, or its keys cannot be used.
    """
    if not seal.directory:
        raise SettingsError(
            "seal.directory is not set: producer and agent need the keys that private keys are sealed with"
        )
    try:
        return load_or_create_keys(Path(seal.directory))
    except (SealError, OSError) as error:
        raise SettingsError(f"seal.directory: {error}") from error


def current_key_id(seal: SealSettings) -> str:
    """Tell which key is the current one; makes none.

    Raises:
        SettingsError: there are no keys, or they cannot be read.
    """
    try:
        return next(key.key_id for key in list_keys(Path(seal.directory)) if key.is_current)
    except (SealError, OSError) as error:
        raise SettingsError(f"seal.directory: {error}") from error


def reveal_with(seal: SealSettings) -> Callable[[bytes], bytes]:
    """Give what opens sealed keys inside a value; without a directory sealed values are refused when they come.

    Raises:
        SettingsError: the keys cannot be used.
    """
    if not seal.directory:
        return _refuse
    try:
        return opener_of(seal_keys(seal), lambda: _reread(seal)).open_value
    except SealError as error:
        raise SettingsError(f"seal.directory: {error}") from error


def _reread(seal: SealSettings) -> PrivateKeys:
    """Look for keys that came with a rotation; where that fails, what was there before still opens."""
    try:
        return seal_keys(seal).private_keys
    except SettingsError as error:
        raise SealError(str(error)) from error


def _refuse(value: bytes) -> bytes:
    del value
    raise SealError("a private key is sealed and seal.directory is not set: share the producer's keys with the agent")
