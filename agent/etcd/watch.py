"""The Watch service over JSON: the request, and the lines of the answer (contract rules 7-9, section 7)."""

from __future__ import annotations

import re
from binascii import b2a_base64
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.etcd.errors import EtcdError, invalid_argument
from agent.etcd.json_codec import (
    Identity,
    enum_reader,
    parse_object,
    read_bool,
    read_bytes,
    read_fields,
    read_int,
    render_header,
    render_kv,
)
from agent.store.feed import WatchSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.store.delta import Change, Event

MAX_WATCH_BODY_BYTES = 64 << 10
_WHITE = b" \t\r\n"
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}]', re.DOTALL)
"""A brace, or a string with the braces inside it, also one that is not complete."""
_DEPTH = {b"{": 1, b"}": -1}


class Filter(IntEnum):
    """etcdserverpb.WatchCreateRequest.FilterType."""

    NOPUT = 0
    NODELETE = 1


def _read_filters(value: object) -> frozenset[Filter]:
    read = enum_reader(Filter)
    return frozenset(read(item) for item in value) if isinstance(value, list) else frozenset({read(value)})


_CREATE_FIELDS: dict[str, Any] = {
    "key": read_bytes,
    "range_end": read_bytes,
    "start_revision": read_int,
    "prev_kv": read_bool,
    "watch_id": read_int,
    "filters": _read_filters,
}


class CreateRequest(NamedTuple):
    """What a client wants to be told, and from when on."""

    spec: WatchSpec
    start_revision: int


class CancelRequest(NamedTuple):
    """The client ends the watch and keeps the connection."""


class OtherRequest(NamedTuple):
    """A progress request, or one of a later etcd: nothing is answered (contract rule 13)."""


WatchRequest = CreateRequest | CancelRequest | OtherRequest


def split_object(data: bytes) -> tuple[bytes, bytes]:
    """Cut the first complete JSON object off a request body that may still be arriving.

    Returns:
        The object (empty while it is not complete) and the rest.

    Raises:
        EtcdError: they begin with something else, or have become too many.
    """
    data = data.lstrip(_WHITE)
    if not data:
        return b"", b""
    if data[:1] != b"{":
        raise _bad_body(f"invalid character {chr(data[0])!r} looking for beginning of value")
    if len(data) > MAX_WATCH_BODY_BYTES:
        raise _bad_body("the watch request is too large")
    depth = 0
    for token in _TOKEN.finditer(data):
        depth += _DEPTH.get(token[0], 0)
        if depth == 0:
            return data[: token.end()], data[token.end() :]
    return b"", data


def _bad_body(message: str) -> EtcdError:
    return EtcdError(500, 2, message)


def parse_watch(body: bytes) -> WatchRequest:
    """Parse one WatchRequest.

    Raises:
        EtcdError: 500 code 2, as the gateway answers an unreadable watch body; 400 without a key.
    """
    try:
        message = parse_object(body)
        if any(name in message for name in ("cancel_request", "cancelRequest")):
            return CancelRequest()
        create = message.get("create_request", message.get("createRequest"))
        if create is None:
            return OtherRequest()
        if not isinstance(create, dict):
            raise invalid_argument("json: cannot unmarshal into Go value of type etcdserverpb.WatchCreateRequest")
        fields = read_fields(create, _CREATE_FIELDS)
    except EtcdError as error:
        raise _bad_body(error.message) from None
    filters = fields.get("filters", frozenset())
    spec = WatchSpec(
        fields.get("key", b"") or b"\0",
        fields.get("range_end", b""),
        fields.get("prev_kv", False),
        Filter.NOPUT in filters,
        Filter.NODELETE in filters,
        fields.get("watch_id", 0),
    )
    return CreateRequest(spec, fields.get("start_revision", 0))


def render_created(identity: Identity, spec: WatchSpec, revision: int) -> bytes:
    """Render the `created` line, which holds no events (rule 7)."""
    return b'{"result":{"header":%b%b,"created":true}}\n' % (render_header(identity, revision), _watch_id(spec))


def render_compacted(identity: Identity, spec: WatchSpec, compact_revision: int) -> bytes:
    """Render the end of a watch whose start cannot be served; its header has no revision, as etcd's."""
    return b'{"result":{"header":%b%b,"canceled":true,"compact_revision":"%d"}}\n' % (
        render_header(identity, 0),
        _watch_id(spec),
        compact_revision,
    )


def render_canceled(identity: Identity, spec: WatchSpec, revision: int) -> bytes:
    """Render the answer to the client's own cancel."""
    return b'{"result":{"header":%b%b,"canceled":true}}\n' % (render_header(identity, revision), _watch_id(spec))


def render_events(identity: Identity, spec: WatchSpec, changes: Sequence[Change]) -> bytes:
    """Render the one line of changes in a row (rule 8).

    Args:
        identity: the ids in the header.
        spec: whose line it is.
        changes: by rising revision, at least one; the header has the revision of the last, each event that of its own.
    """
    rendered = b",".join(
        [_render_event(event, change.revision, prev_kv=spec.prev_kv) for change in changes for event in change.events]
    )
    return b'{"result":{"header":%b%b,"events":[%b]}}\n' % (
        render_header(identity, changes[-1].revision),
        _watch_id(spec),
        rendered,
    )


def _render_event(event: Event, revision: int, *, prev_kv: bool) -> bytes:
    prev = b',"prev_kv":%b' % render_kv(event.key, event.prev) if prev_kv and event.prev is not None else b""
    if event.kv is None:
        key = b2a_base64(event.key, newline=False)
        return b'{"type":"DELETE","kv":{"key":"%b","mod_revision":"%d"}%b}' % (key, revision, prev)
    return b'{"kv":%b%b}' % (render_kv(event.key, event.kv), prev)


def _watch_id(spec: WatchSpec) -> bytes:
    return b',"watch_id":"%d"' % spec.watch_id if spec.watch_id else b""
