"""Avro single-object encoding of the records: C3 01, the 64-bit fingerprint of the writer schema, the body.

A record can be read without a registry: every writer schema ever released is kept under schemas/released and found by
its fingerprint (architecture.md section 2).
"""

from __future__ import annotations

import io
import json
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import fastavro
import msgspec
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.records import (
    Approval,
    Bundle,
    Freeze,
    Genesis,
    Held,
    NodeStatus,
    Record,
    Release,
    Unit,
)

MAGIC = b"\xc3\x01"
HEADER_BYTES = 10
TYPES: dict[str, type[Record]] = {
    "unit": Unit,
    "bundle": Bundle,
    "genesis": Genesis,
    "node_status": NodeStatus,
    "freeze": Freeze,
    "release": Release,
    "approval": Approval,
    "held": Held,
}
_NAMES = {record_type: name for name, record_type in TYPES.items()}

T = TypeVar("T", Unit, Bundle, Genesis, NodeStatus, Freeze, Release, Approval, Held)


class UnreadableRecordError(ValueError):
    """The bytes are no record of ours, or of a schema this build has never seen."""


def encode(record: Record) -> bytes:
    """Encode a record with its current schema."""
    name = _NAMES[type(record)]
    out = io.BytesIO()
    out.write(_header(name))
    fastavro.schemaless_writer(out, _parsed(name), msgspec.to_builtins(record, builtin_types=(bytes,)))
    return out.getvalue()


def decode(data: bytes, record_type: type[T]) -> T:
    """Decode a record written with any released schema of that type.

    Args:
        data: the record's value, single-object encoded.
        record_type: the expected type.

    Raises:
        UnreadableRecordError: wrong magic, unknown fingerprint, another record type, or a damaged body.
    """
    decoded = decode_any(data)
    if not isinstance(decoded, record_type):
        raise UnreadableRecordError(f"a {type(decoded).__name__} record where a {record_type.__name__} was expected")
    return decoded


def decode_any(data: bytes) -> Record:
    """Decode a record of any type.

    Raises:
        UnreadableRecordError: as for `decode`.
    """
    if data[:2] != MAGIC or len(data) < HEADER_BYTES:
        raise UnreadableRecordError("not a single-object encoded Avro record (the bytes C3 01 are missing)")
    writer = _released().get(data[2:HEADER_BYTES])
    if writer is None:
        raise UnreadableRecordError(
            f"schema {data[2:HEADER_BYTES][::-1].hex()} is unknown to this build: it was written by a newer meshferry"
        )
    name, schema = writer
    try:
        body = fastavro.schemaless_reader(io.BytesIO(data[HEADER_BYTES:]), schema, _parsed(name))
        return msgspec.convert(body, TYPES[name], builtin_types=(bytes,))
    except (EOFError, IndexError, ValueError, TypeError, KeyError, MemoryError, UnicodeDecodeError) as error:
        raise UnreadableRecordError(f"damaged {name} record: {type(error).__name__}") from error


@cache
def schema(name: str) -> dict[str, Any]:
    """Read the current schema of a record type as written, with its docs."""
    loaded: dict[str, Any] = json.loads((files("schemas") / "avro" / f"{name}.avsc").read_text("utf-8"))
    return loaded


@cache
def schema_fingerprint(name: str) -> str:
    """CRC-64-AVRO fingerprint of the current schema, hexadecimal, most significant digit first."""
    return _fingerprint(schema(name)).hex()


@cache
def _parsed(name: str) -> Any:
    return fastavro.parse_schema(schema(name))


@cache
def _header(name: str) -> bytes:
    return MAGIC + _fingerprint(schema(name))[::-1]


def _fingerprint(raw: dict[str, Any]) -> bytes:
    """Most significant byte first; the encoding stores it little-endian."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(raw), "CRC-64-AVRO"))[::-1]


@cache
def _released() -> dict[bytes, tuple[str, Any]]:
    known: dict[bytes, tuple[str, Any]] = {}
    for name in TYPES:
        for raw in (*released_schemas(name), schema(name)):
            known[_fingerprint(raw)[::-1]] = (name, fastavro.parse_schema(raw))
    return known


def released_schemas(name: str) -> list[dict[str, Any]]:
    """Every released schema of a record type, oldest first (file names start with a running number)."""
    folder = files("schemas") / "released" / name
    if not folder.is_dir():
        return []
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".avsc"))
    return [json.loads((folder / entry).read_text("utf-8")) for entry in names]
