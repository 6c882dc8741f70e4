"""From a record's value to the state of a unit, or the reason why not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from agent.store.directory import DIRECTORIES
from agent.store.image import Carried, UnitState
from schemas.codec import UnreadableRecordError, decode
from schemas.records import Bundle, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.records import EtcdObject

    Reveal = Callable[[bytes], bytes]

SEAL_MARK = b"mfseal1."
MAX_BUNDLE_BYTES = 8 << 20
"""`max.message.bytes` of the bundles topic, architecture.md section 4."""
PLUGIN_LIST = "/plugins"
_OBJECT_KEY = re.compile(rf"{PLUGIN_LIST}|/(?:{'|'.join(DIRECTORIES)})/[^\x00-\x1f]+")


class RejectedBundleError(ValueError):
    """The bundle cannot be served; the message is the reason, one line, without any value."""


def identity(value: bytes) -> bytes:
    """Reveal nothing: the opener of an agent that was given no keys."""
    return value


def read_bundle(unit_key: str, value: bytes, prefix: str, reveal: Reveal) -> UnitState:
    """Decode a bundle and check that each of its objects can be served.

    Args:
        unit_key: the record's key.
        value: the record's value.
        prefix: the etcd prefix the objects live under.
        reveal: opens the `mfseal1.` tokens inside a JSON value.

    Raises:
        RejectedBundleError: too large, unreadable, of an unknown schema, a failed translation (a FATAL diagnostic), or
            with an object that APISIX would take as a delete (contract rule 12) or that cannot be opened.
    """
    if len(value) > MAX_BUNDLE_BYTES:
        raise RejectedBundleError(f"{len(value)} bytes, more than the {MAX_BUNDLE_BYTES} a record may have")
    try:
        bundle = decode(value, Bundle)
    except UnreadableRecordError as error:
        raise RejectedBundleError(str(error)) from error
    if bundle.unit_key != unit_key:
        raise RejectedBundleError(f"it is the bundle of {bundle.unit_key!r}")
    for diagnostic in bundle.diagnostics:
        if diagnostic.severity is Severity.FATAL:
            raise RejectedBundleError(f"it could not be translated: {diagnostic.code} {diagnostic.value}")
    objects = {prefix.encode() + item.key.encode(): carry(item, reveal) for item in bundle.objects}
    if len(objects) != len(bundle.objects):
        raise RejectedBundleError("it carries the same object twice")
    return UnitState(bundle.seq, objects)


def carry(item: EtcdObject, reveal: Reveal) -> Carried:
    """Open and check one object.

    Raises:
        RejectedBundleError: as for `read_bundle`.
    """
    if not _OBJECT_KEY.fullmatch(item.key):
        raise RejectedBundleError(f"object key {item.key!r} is in no directory of APISIX")
    value = open_value(item.key, item.value, reveal)
    try:
        content = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise RejectedBundleError(f"the value of {item.key} is not JSON") from None
    if not isinstance(content, list if item.key == PLUGIN_LIST else dict):
        raise RejectedBundleError(f"the value of {item.key} is a JSON {type(content).__name__}")
    return Carried(item.value, value)


def open_value(key: str, sealed: bytes, reveal: Reveal) -> bytes:
    """Open the sealed private keys inside a value.

    Raises:
        RejectedBundleError: they cannot be opened; the reason names the error's type only, never its text.
    """
    if SEAL_MARK not in sealed:
        return sealed
    try:
        return reveal(sealed)
    except Exception as error:  # noqa: BLE001 - whatever the injected opener raises costs one unit, never the agent
        name = type(error).__name__
    raise RejectedBundleError(f"the private key in {key} cannot be opened ({name}): check the agent's opening keys")
