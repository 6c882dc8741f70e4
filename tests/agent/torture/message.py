"""Every field of the messages, with values of every type; what is answered is worked out beside the agent's way."""

from __future__ import annotations

import base64
import binascii
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tests.agent.torture.heard import answered, answered_with, documented, watched
from tests.conformance.watch_client import b64

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agent.torture.heard import Judge

FLAGS = ("serializable", "keys_only", "count_only")
NUMBERS = ("limit", "revision", *(f"{end}_{kind}_revision" for end in ("min", "max") for kind in ("mod", "create")))
FIELDS: dict[str, dict[str, str]] = {
    "/v3/kv/range": {
        **dict.fromkeys(("key", "range_end"), "bytes"),
        **dict.fromkeys(NUMBERS, "int64"),
        **dict.fromkeys(("keys_only", "count_only"), "bool"),
        **dict.fromkeys(("sort_order", "sort_target"), "enum"),
    },
    "/v3/kv/put": {"key": "bytes", "value": "bytes"},
    "/v3/kv/deleterange": {"key": "bytes"},
    "/v3/watch": {
        **dict.fromkeys(("key", "range_end"), "bytes"),
        **dict.fromkeys(("start_revision", "watch_id"), "int64"),
        "prev_kv": "bool",
        "filters": "enums",
    },
}
WRITES = ("/v3/kv/put", "/v3/kv/deleterange")
OTHERS = {
    "/v3/kv/txn": ("compare", "success", "failure"),
    "/v3/lease/grant": ("TTL", "ID"),
    "/v3/lease/revoke": ("ID",),
    "/v3/lease/timetolive": ("ID", "keys"),
    "/v3/auth/authenticate": ("name", "password"),
    "/v3/watch": ("create_request", "cancel_request", "progress_request"),
}
"""What comes of these depends on more than the field."""
ENUM_NAMES = {"sort_order": ("NONE", "ASCEND", "DESCEND"), "sort_target": ("KEY", "VERSION", "CREATE", "MOD", "VALUE")}
FILTERS = ("NOPUT", "NODELETE")
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 9, 1.5, 1.0, 1e300, -1e18, 2**63 - 1, -(2**63), 2**64 - 1),
    *("", "x", "YQ", "YQ==", "YQ=", "Y Q=", "!!!!", "\0", "é", "\U0001f600", "0", "1", "-1", "1.0", "1e3", "0x1", "²"),
    *("9" * 19, "9" * 5000, "NONE", "none", "KEY", "NOPUT", "true", "null", "L2FwaXNpeC8", "-_-_"),
    *([], [1], ["NOPUT"], ["NOPUT", 1], [[]], [None], [True], {}, {"a": 1}, {"": []}, [["a"] * 50] * 50),
)
KEY = b64(b"/apisix/routes/r1")


class FieldCase(NamedTuple):
    """A message with one field changed."""

    path: str
    body: bytes
    judge: Judge


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def field_cases() -> Iterator[FieldCase]:
    """Make all of them; the next request on the connection is answered, unless this one was a watch."""
    for path, fields in FIELDS.items():
        for name, kind in fields.items():
            for spelled in dict.fromkeys((name, camel(name))):
                for value in VALUES:
                    yield _case(path, spelled, value, is_good=is_good(kind, name, value))
    yield from _other_cases()


def _other_cases() -> Iterator[FieldCase]:
    """Make those of messages that are not judged field by field."""
    for path, names in OTHERS.items():
        for name, value in product(names, VALUES):
            yield FieldCase(path, orjson.dumps({name: value}), documented)


def _case(path: str, name: str, value: Any, *, is_good: bool) -> FieldCase:
    message = {"key": KEY, name: value}
    if path == "/v3/watch":
        return FieldCase(path, orjson.dumps({"create_request": message}), watched if is_good else answered_with(500, 2))
    body = orjson.dumps(message)
    if not is_good:
        return FieldCase(path, body, answered_with(400, 3))
    if name == "key" and not value:
        return FieldCase(path, body, answered(400, 200) if value == "" or value is None else answered_with(400, 3))
    if path in WRITES:
        return FieldCase(path, body, answered_with(403, 7))
    if name == "revision" and is_good and value is not None and int(value) > 0:
        return FieldCase(path, body, answered_with(400, 11))
    return FieldCase(path, body, answered(200, 200))


def is_good(kind: str, name: str, value: Any) -> bool:
    """Tell whether a field of a type takes a value, as the gateway does."""
    if value is None:
        return True
    match kind:
        case "bytes":
            return isinstance(value, str) and _is_base64(value)
        case "int64":
            return _is_int64(value)
        case "bool":
            return isinstance(value, bool)
        case "enums":
            return all(_is_enum(FILTERS, item) for item in (value if isinstance(value, list) else [value]))
        case _:
            return _is_enum(ENUM_NAMES[name], value)


def _is_base64(value: str) -> bool:
    unpadded = value.rstrip("=")  # the agent takes too little padding, as it takes none
    if len(value) - len(unpadded) > -len(unpadded) % 4:
        return False
    try:
        base64.b64decode(unpadded.replace("-", "+").replace("_", "/") + "=" * (-len(unpadded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_int64(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
            return False
    return int(value) == (value if not isinstance(value, str) else int(value)) and -(2**63) <= int(value) < 2**63


def _is_enum(names: tuple[str, ...], value: Any) -> bool:
    return (
        value in names
        if isinstance(value, str) and not value.isdigit()
        else (_is_int64(value) and 0 <= int(value) < len(names))
    )
