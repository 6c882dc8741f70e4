"""The KV service over JSON: range, and writes that are swallowed or refused (contract rule 6, section 2.4)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from agent.etcd import errors
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
from agent.store.directory import DIRECTORIES
from agent.store.range import (
    CompactedError,
    FutureRevisionError,
    RangeRequest,
    SortOrder,
    SortTarget,
    read_range,
)

if TYPE_CHECKING:
    from agent.store.store import Store

MAX_REQUEST_BYTES = 3 << 19
"""etcd's --max-request-bytes: 1.5 MiB."""
MAX_RENDERED_BYTES = 32 << 20
"""Rendered answers that are kept, beside the newest one."""
MAX_RENDERED_COUNT = 256
"""How many they are at most: an answer costs more than its bytes, and APISIX asks for a few dozen ranges."""
_RANGE_FIELDS = {
    "key": read_bytes,
    "range_end": read_bytes,
    "limit": read_int,
    "revision": read_int,
    "sort_order": enum_reader(SortOrder),
    "sort_target": enum_reader(SortTarget),
    "keys_only": read_bool,
    "count_only": read_bool,
    "min_mod_revision": read_int,
    "max_mod_revision": read_int,
    "min_create_revision": read_int,
    "max_create_revision": read_int,
}
_PUT_FIELDS: dict[str, Any] = {"key": read_bytes, "value": read_bytes}


class KV:
    """The KV service of one store.

    Args:
        store: what is served.
        identity: the ids in the headers.
    """

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store = store
        self._identity = identity
        self._swallowed = {
            f"{store.prefix}/{path}".encode()
            for path in ("plugins", "gen_id", *(f"{directory}/" for directory in DIRECTORIES))
        }
        self._swallowed_prefix = f"{store.prefix}/data_plane/server_info/".encode()
        self._rendered: OrderedDict[bytes, bytes] = OrderedDict()
        self._rendered_revision = -1
        self._rendered_bytes = 0

    def range(self, body: bytes) -> bytes:
        """Answer a Range; an answer is rendered once per revision and request.

        Raises:
            EtcdError: 503 before there is a state; 400 for what etcd refuses.
        """
        if not self._store.image.is_ready:
            raise errors.not_ready()
        if self._rendered_revision != self._store.revision:
            self._rendered.clear()
            self._rendered_revision, self._rendered_bytes = self._store.revision, 0
        answer = self._rendered.get(body)
        if answer is None:
            answer = self._rendered[body] = self._render(parse_range(body))
            self._rendered_bytes += len(body) + len(answer)
            while len(self._rendered) > 1 and (
                self._rendered_bytes > MAX_RENDERED_BYTES or len(self._rendered) > MAX_RENDERED_COUNT
            ):
                old_body, old_answer = self._rendered.popitem(last=False)
                self._rendered_bytes -= len(old_body) + len(old_answer)
        return answer

    def _render(self, request: RangeRequest) -> bytes:
        try:
            result = read_range(self._store, request)
        except CompactedError:
            raise errors.compacted() from None
        except FutureRevisionError:
            raise errors.future_revision() from None
        parts = [b'{"header":', render_header(self._identity, self._store.revision)]
        for key, kv in result.kvs:
            parts += (b",", render_kv(key, kv, has_value=not request.keys_only))
        if result.kvs:
            parts[2] = b',"kvs":['
            parts.append(b"]")
        if result.has_more:
            parts.append(b',"more":true')
        if result.total:
            parts.append(b',"count":"%d"' % result.total)
        return b"".join((*parts, b"}"))

    def put(self, body: bytes) -> bytes:
        """Swallow the puts APISIX makes at its start and by itself; refuse the others.

        Raises:
            EtcdError: 403 for a resource, 400 for what etcd refuses, 503 before there is a state.
        """
        fields = read_fields(parse_object(body), _PUT_FIELDS)
        key: bytes = fields.get("key", b"")
        if not key:
            raise errors.key_not_provided()
        if len(key) + len(fields.get("value", b"")) > MAX_REQUEST_BYTES:
            raise errors.request_too_large()
        if key not in self._swallowed and not key.startswith(self._swallowed_prefix):
            raise errors.permission_denied()
        if not self._store.image.is_ready:
            raise errors.not_ready()
        return b'{"header":%b}' % render_header(self._identity, self._store.revision)

    def refuse(self, body: bytes) -> bytes:
        """Refuse a deleterange or txn: the keys come from the log and from nowhere else.

        Raises:
            EtcdError: always: 400 when the body is not JSON, else 403.
        """
        parse_object(body)
        raise errors.permission_denied()


def parse_range(body: bytes) -> RangeRequest:
    """Parse a RangeRequest.

    Raises:
        EtcdError: 400.
    """
    fields = read_fields(parse_object(body), _RANGE_FIELDS)
    if not fields.get("key"):
        raise errors.key_not_provided()
    return RangeRequest(**fields)
