"""The JSON of etcd's grpc-gateway, read leniently and written exactly (etcd-contract.md sections 3.1 and 7).

Read: int64 as number or string, enums as number or name, snake_case or camelCase, base64 with or without padding,
unknown fields ignored. Written: int64 as strings, zero values left out, no space after commas.
"""

from __future__ import annotations

import binascii
import json
import re
from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from agent.etcd.errors import invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import IntEnum

    from agent.store.image import KeyValue

    Read = Callable[[Any], Any]

RAFT_TERM = 2
_DECODER = json.JSONDecoder(parse_int=str)  # never converted: Python refuses to above 4,300 digits
_INT64 = 1 << 63
_INT64_TEXT = re.compile(r"-?[0-9]{1,19}")


class Identity(NamedTuple):
    """The ids every header carries."""

    cluster_id: int
    member_id: int


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a request body; an empty one, or null, is an empty message. What follows the first value is ignored.

    Raises:
        EtcdError: 400 with the text of Go's decoder.
    """
    if not body.strip():
        return {}
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = _first_value(body)
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise invalid_argument(
            f"json: cannot unmarshal {_go_type(parsed)} into Go value of type map[string]json.RawMessage"
        )
    return parsed


def _first_value(body: bytes) -> Any:
    """Parse what Go's JSON decoder would take, or say what it would; Python's own decoder tells where.

    Raises:
        EtcdError: 400.
    """
    try:
        text = body.decode().lstrip()
        end = _DECODER.raw_decode(text)[1]
        return orjson.loads(text[:end])
    except json.JSONDecodeError as error:
        reason = _go_text(text, error)
    except UnicodeDecodeError:
        reason = "invalid character in string literal"
    except RecursionError:
        reason = "exceeded max depth"
    except ValueError:  # an integer of more digits than Python takes
        reason = "json: cannot unmarshal number into Go value of type int64"
    raise invalid_argument(reason)


def _go_text(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text.rstrip()) or "Unterminated" in error.msg:
        return "unexpected EOF"
    return f"invalid character {text[error.pos]!r} looking for beginning of value"


def read_fields(message: Mapping[str, Any], table: Mapping[str, Read]) -> dict[str, Any]:
    """Read the known fields of a message under their proto names.

    Args:
        message: the parsed JSON object.
        table: proto field name -> the reader of its type.

    Raises:
        EtcdError: a field has a type it cannot have.
    """
    found: dict[str, Any] = {}
    for name, read in table.items():
        value = message.get(name)
        if value is None and "_" in name:
            value = message.get(camel(name))
        if value is not None:
            found[name] = read(value)
    return found


def camel(name: str) -> str:
    """Give the JSON name of a proto field."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def read_bytes(value: object) -> bytes:
    """Read a bytes field: standard base64, padding optional.

    Raises:
        EtcdError: not a string, or not base64.
    """
    if not isinstance(value, str):
        raise invalid_argument(f"json: cannot unmarshal {_go_type(value)} into Go value of type []uint8")
    text = value.translate(_URL_SAFE)
    try:
        return a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise invalid_argument(f"illegal base64 data at input byte {_bad_byte(text)}") from None


_URL_SAFE = str.maketrans("-_", "+/")
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def _bad_byte(text: str) -> int:
    return next((at for at, letter in enumerate(text) if letter not in _ALPHABET), len(text))


def read_int(value: object) -> int:
    """Read an int64 field: a number, also one written as `1.79e+12` as Lua does, or a string.

    Raises:
        EtcdError: not an integer, or not one of 64 bits.
    """
    number: int | None = None
    if isinstance(value, str):
        number = int(value) if _INT64_TEXT.fullmatch(value) else None
    elif isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        number = int(value)
    if number is None or not -_INT64 <= number < _INT64:
        raise invalid_argument(f"json: cannot unmarshal {_go_type(value)} into Go value of type int64")
    return number


def read_bool(value: object) -> bool:
    """Read a bool field.

    Raises:
        EtcdError: neither true nor false.
    """
    if not isinstance(value, bool):
        raise invalid_argument(f"json: cannot unmarshal {_go_type(value)} into Go value of type bool")
    return value


def read_text(value: object) -> str:
    """Read a string field.

    Raises:
        EtcdError: not a string.
    """
    if not isinstance(value, str):
        raise invalid_argument(f"json: cannot unmarshal {_go_type(value)} into Go value of type string")
    return value


def enum_reader(enum: type[IntEnum]) -> Callable[[Any], Any]:
    """Make the reader of an enum field: a number, or a name.

    The reader raises EtcdError for a value the enum does not have.
    """

    def read(value: object) -> IntEnum:
        try:
            return enum[value] if isinstance(value, str) and not value.isdigit() else enum(read_int(value))
        except (KeyError, ValueError):
            raise invalid_argument(
                f"unknown value {json.dumps(value)[:40]} for enum etcdserverpb.{enum.__name__}"
            ) from None

    return read


def _go_type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "null"


def render_header(identity: Identity, revision: int) -> bytes:
    """Render a ResponseHeader; revision 0 leaves the field out, as a compaction notice does."""
    middle = b',"revision":"%d"' % revision if revision else b""
    return b'{"cluster_id":"%d","member_id":"%d"%b,"raft_term":"%d"}' % (*identity, middle, RAFT_TERM)


def render_kv(key: bytes, kv: KeyValue, *, has_value: bool = True) -> bytes:
    """Render a KeyValue; an empty value is left out."""
    value = b',"value":"%b"' % b2a_base64(kv.value, newline=False) if has_value and kv.value else b""
    return b'{"key":"%b","create_revision":"%d","mod_revision":"%d","version":"%d"%b}' % (
        b2a_base64(key, newline=False),
        kv.create_revision,
        kv.mod_revision,
        kv.version,
        value,
    )
