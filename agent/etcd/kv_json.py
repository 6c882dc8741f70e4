"""The KV service as JSON: requests read leniently, answers in the gateway's own bytes (etcd-contract.md section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.etcd.errors import EtcdError, invalid_argument
from agent.etcd.json_codec import (
    enum_reader,
    parse_object,
    read_bool,
    read_bytes,
    read_fields,
    read_int,
    render_header,
    render_kv,
)
from agent.etcd.kv import DeleteRangeRequest, PutRequest, PutResult, TxnRequest, TxnResult
from agent.etcd.rendered import Rendered
from agent.etcd.txn import Compare, CompareResult, CompareTarget
from agent.store.range import RangeRequest, RangeResult, SortOrder, SortTarget

if TYPE_CHECKING:
    from agent.etcd.kv import Operation, Result
    from agent.etcd.member import Member

MAX_TXN_DEPTH = 20
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
_PUT_FIELDS = {
    "key": read_bytes,
    "value": read_bytes,
    "lease": read_int,
    "prev_kv": read_bool,
    "ignore_value": read_bool,
    "ignore_lease": read_bool,
}
_COMPARE_FIELDS = {
    "key": read_bytes,
    "range_end": read_bytes,
    "result": enum_reader(CompareResult),
    "target": enum_reader(CompareTarget),
    "version": read_int,
    "create_revision": read_int,
    "mod_revision": read_int,
    "lease": read_int,
    "value": read_bytes,
}
_KEY_FIELD = {"key": read_bytes}
_KEYLESS = {"key": b""}


class KVJSON:
    """The KV service of one member over JSON.

    Args:
        member: who answers.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self._rendered = Rendered(member.store, self._render_range)

    def range(self, body: bytes) -> bytes:
        """Answer a Range; an answer is rendered once per revision and request.

        Raises:
            EtcdError: what etcd refuses; Unavailable before there is a state.
        """
        self._member.check_ready()
        return self._rendered.answer(body)

    def _render_range(self, body: bytes) -> bytes:
        return self._answer(self._member.kv.range(parse_range(parse_object(body))))

    def put(self, body: bytes) -> bytes:
        """Answer a Put.

        Raises:
            EtcdError: as `KV.put`.
        """
        return self._answer(self._member.kv.put(parse_put(parse_object(body))))

    def delete_range(self, body: bytes) -> bytes:
        """Refuse a DeleteRange.

        Raises:
            EtcdError: as `KV.delete_range`.
        """
        self._member.kv.delete_range(parse_delete_range(parse_object(body)))
        return b""

    def txn(self, body: bytes) -> bytes:
        """Answer a Txn.

        Raises:
            EtcdError: as `KV.txn`.
        """
        return self._answer(self._member.kv.txn(parse_txn(parse_object(body))))

    def compact(self, body: bytes) -> bytes:
        """Refuse a Compact.

        Raises:
            EtcdError: as `KV.compact`.
        """
        parse_object(body)
        self._member.kv.compact()
        return b""

    def _answer(self, result: Result) -> bytes:
        revision = self._member.store.revision
        return _render(render_header(self._member.identity, revision), b'{"revision":"%d"}' % revision, result)


def parse_range(message: dict[str, Any]) -> RangeRequest:
    """Read a RangeRequest.

    Raises:
        EtcdError: a field is not of its type.
    """
    return RangeRequest(**(_KEYLESS | read_fields(message, _RANGE_FIELDS)))


def parse_put(message: dict[str, Any]) -> PutRequest:
    """Read a PutRequest.

    Raises:
        EtcdError: a field is not of its type.
    """
    return PutRequest(**(_KEYLESS | read_fields(message, _PUT_FIELDS)))


def parse_delete_range(message: dict[str, Any]) -> DeleteRangeRequest:
    """Read a DeleteRangeRequest.

    Raises:
        EtcdError: the key is not base64.
    """
    return DeleteRangeRequest(**(_KEYLESS | read_fields(message, _KEY_FIELD)))


def parse_txn(message: dict[str, Any], levels: int = MAX_TXN_DEPTH) -> TxnRequest:
    """Read a TxnRequest.

    Raises:
        EtcdError: a field is not of its type, or txns stand too deep in each other.
    """
    if not levels:
        raise invalid_argument("etcdserver: too many operations in txn request")
    branches = read_fields(message, {"compare": _read_objects, "success": _read_objects, "failure": _read_objects})
    return TxnRequest(
        tuple(map(_parse_compare, branches.get("compare", ()))),
        tuple(_parse_operation(operation, levels) for operation in branches.get("success", ())),
        tuple(_parse_operation(operation, levels) for operation in branches.get("failure", ())),
    )


def _read_objects(value: object) -> list[dict[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [_read_object(item) for item in items]


def _read_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid_argument("json: cannot unmarshal into Go value of type map[string]json.RawMessage")
    return value


def _parse_compare(message: dict[str, Any]) -> Compare:
    fields = read_fields(message, _COMPARE_FIELDS)
    numbers = [fields.pop(name) for name in ("version", "create_revision", "mod_revision", "lease") if name in fields]
    return Compare(**(_KEYLESS | fields), number=numbers[0] if numbers else 0)


def _parse_operation(message: dict[str, Any], levels: int) -> Operation:
    found = read_fields(message, _OPERATION_FIELDS)
    if "request_range" in found:
        return parse_range(found["request_range"])
    if "request_put" in found:
        return parse_put(found["request_put"])
    if "request_delete_range" in found:
        return parse_delete_range(found["request_delete_range"])
    if "request_txn" in found:
        return parse_txn(found["request_txn"], levels - 1)
    raise EtcdError(400, 3, "etcdserver: key not found")


_OPERATION_FIELDS = {
    "request_range": _read_object,
    "request_put": _read_object,
    "request_delete_range": _read_object,
    "request_txn": _read_object,
}
_RESPONSES = {RangeResult: b"range", PutResult: b"put", TxnResult: b"txn"}


def _render(header: bytes, inner_header: bytes, result: Result) -> bytes:
    """Render a result; those inside a txn have a header with the revision alone."""
    match result:
        case RangeResult(kvs, total, has_more):
            rendered = b",".join([render_kv(key, kv) for key, kv in kvs])
            body = b',"kvs":[%b]' % rendered if kvs else b""
            body += b',"more":true' if has_more else b""
            body += b',"count":"%d"' % total if total else b""
        case PutResult(prev_kv):
            body = b',"prev_kv":%b' % render_kv(*prev_kv) if prev_kv is not None else b""
        case TxnResult(succeeded, responses):
            items = [
                b'{"response_%b":%b}' % (_RESPONSES[type(item)], _render(inner_header, inner_header, item))
                for item in responses
            ]
            body = b',"succeeded":true' if succeeded else b""
            body += b',"responses":[%b]' % b",".join(items) if items else b""
    return b'{"header":%b%b}' % (header, body)
