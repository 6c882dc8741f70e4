"""The KV service in protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.etcd import errors
from agent.etcd.kv import DeleteRangeRequest, PutRequest, PutResult, TxnRequest, TxnResult
from agent.etcd.rendered import Rendered
from agent.etcd.txn import Compare, CompareResult, CompareTarget
from agent.grpc.message import encode, header, key_value, parse
from agent.store.range import RangeRequest, RangeResult, SortOrder, SortTarget
from schemas.etcd import Message, message_class

if TYPE_CHECKING:
    from agent.etcd.kv import Operation, Result
    from agent.etcd.member import Member


class KVMessages:
    """The KV service of one member in protobuf. Every method raises EtcdError for what etcd refuses.

    Args:
        member: who answers.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self._rendered = Rendered(member.store, self._render_range)

    def range(self, data: bytes) -> bytes:
        """Answer a Range; an answer is rendered once per revision and request."""
        self._member.check_ready()
        return self._rendered.answer(data)

    def _render_range(self, data: bytes) -> bytes:
        return self._answer(self._member.kv.range(read_range(parse("RangeRequest", data))))

    def put(self, data: bytes) -> bytes:
        """Answer a Put."""
        return self._answer(self._member.kv.put(read_put(parse("PutRequest", data))))

    def delete_range(self, data: bytes) -> bytes:
        """Refuse a DeleteRange."""
        self._member.kv.delete_range(DeleteRangeRequest(parse("DeleteRangeRequest", data).key))
        return b""

    def txn(self, data: bytes) -> bytes:
        """Answer a Txn."""
        return self._answer(self._member.kv.txn(read_txn(parse("TxnRequest", data))))

    def compact(self, _: bytes) -> bytes:
        """Refuse a Compact."""
        self._member.kv.compact()
        return b""

    def _answer(self, result: Result) -> bytes:
        message = build(result, self._member.store.revision)
        message.header.CopyFrom(header(self._member.identity, self._member.store.revision))
        return encode(message)


def read_range(message: Message) -> RangeRequest:
    """Read a RangeRequest.

    Raises:
        EtcdError: there is no such order or target.
    """
    try:
        order, target = SortOrder(message.sort_order), SortTarget(message.sort_target)
    except ValueError:
        raise errors.invalid_argument("etcdserver: invalid sort option") from None
    return RangeRequest(
        message.key,
        message.range_end,
        message.limit,
        message.revision,
        order,
        target,
        message.keys_only,
        message.count_only,
        message.min_mod_revision,
        message.max_mod_revision,
        message.min_create_revision,
        message.max_create_revision,
    )


def read_put(message: Message) -> PutRequest:
    """Read a PutRequest."""
    return PutRequest(
        message.key, message.value, message.lease, message.prev_kv, message.ignore_value, message.ignore_lease
    )


def read_txn(message: Message) -> TxnRequest:
    """Read a TxnRequest; protobuf itself limits how deep they stand in each other."""
    return TxnRequest(
        tuple(map(_read_compare, message.compare)),
        tuple(map(_read_operation, message.success)),
        tuple(map(_read_operation, message.failure)),
    )


def _read_compare(message: Message) -> Compare:
    union = message.WhichOneof("target_union")
    value: int | bytes = getattr(message, union) if union else 0
    try:
        result, target = CompareResult(message.result), CompareTarget(message.target)
    except ValueError:
        raise errors.invalid_argument("etcdserver: invalid compare") from None
    return Compare(
        message.key,
        result,
        target,
        value if isinstance(value, int) else 0,
        value if isinstance(value, bytes) else b"",
        message.range_end,
    )


def _read_operation(message: Message) -> Operation:
    match message.WhichOneof("request"):
        case "request_put":
            return read_put(message.request_put)
        case "request_delete_range":
            return DeleteRangeRequest(message.request_delete_range.key)
        case "request_txn":
            return read_txn(message.request_txn)
        case _:
            return read_range(message.request_range)


def build(result: Result, revision: int) -> Message:
    """Build a result; inside a txn its header has the revision alone."""
    match result:
        case RangeResult(kvs, total, has_more):
            message = message_class("RangeResponse")(more=has_more, count=total)
            message.kvs.extend(key_value(key, kv) for key, kv in kvs)
        case PutResult(prev_kv):
            message = message_class("PutResponse")()
            if prev_kv is not None:
                message.prev_kv.CopyFrom(key_value(*prev_kv))
        case TxnResult(succeeded, responses):
            message = message_class("TxnResponse")(succeeded=succeeded)
            for item in responses:
                name = _RESPONSES[type(item)]
                getattr(message.responses.add(), name).CopyFrom(build(item, revision))
    message.header.revision = revision
    return message


_RESPONSES = {RangeResult: "response_range", PutResult: "response_put", TxnResult: "response_txn"}
