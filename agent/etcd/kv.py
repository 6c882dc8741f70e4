"""The KV service, whoever asks: reads are answered, bookkeeping puts swallowed, other writes refused.

The keys come from the log and from nowhere else; the puts that APISIX makes at its start and by itself are accepted
and change nothing (contract rule 6, section 2.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent.etcd import errors
from agent.etcd.txn import MAX_TXN_OPERATIONS, Compare, holds
from agent.store.directory import DIRECTORIES
from agent.store.range import CompactedError, FutureRevisionError, RangeRequest, RangeResult, read_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.etcd.lease import Leases
    from agent.store.image import KeyValue
    from agent.store.store import Store

MAX_REQUEST_BYTES = 3 << 19
"""etcd's --max-request-bytes: 1.5 MiB."""


class PutRequest(NamedTuple):
    """etcdserverpb.PutRequest."""

    key: bytes
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRangeRequest(NamedTuple):
    """etcdserverpb.DeleteRangeRequest; it is refused whatever else it says."""

    key: bytes


class TxnRequest(NamedTuple):
    """etcdserverpb.TxnRequest."""

    compare: tuple[Compare, ...] = ()
    success: tuple[Operation, ...] = ()
    failure: tuple[Operation, ...] = ()


class PutResult(NamedTuple):
    """What a put answers; `prev_kv` only if it was asked for and there is one."""

    prev_kv: tuple[bytes, KeyValue] | None = None


class TxnResult(NamedTuple):
    """What a txn answers."""

    succeeded: bool
    responses: tuple[Result, ...]


Operation = RangeRequest | PutRequest | DeleteRangeRequest | TxnRequest
Result = RangeResult | PutResult | TxnResult


class KV:
    """The KV service of one store.

    Args:
        store: what is served.
        leases: what a put may name.
    """

    def __init__(self, store: Store, leases: Leases) -> None:
        self._store = store
        self._leases = leases
        self._swallowed = {
            f"{store.prefix}/{path}".encode()
            for path in ("plugins", "gen_id", *(f"{directory}/" for directory in DIRECTORIES))
        }
        self._swallowed_prefix = f"{store.prefix}/data_plane/server_info/".encode()

    def range(self, request: RangeRequest) -> RangeResult:
        """Answer a Range; with `keys_only` the values are empty.

        Raises:
            EtcdError: Unavailable before there is a state; what etcd refuses.
        """
        _check_key(request.key)
        self._check_ready()
        try:
            found = read_range(self._store, request)
        except CompactedError:
            raise errors.compacted() from None
        except FutureRevisionError:
            raise errors.future_revision() from None
        if request.keys_only:
            return found._replace(kvs=[(key, kv._replace(value=b"")) for key, kv in found.kvs])
        return found

    def put(self, request: PutRequest) -> PutResult:
        """Swallow the puts APISIX makes at its start and by itself; refuse the others.

        Raises:
            EtcdError: PermissionDenied for a resource; what etcd refuses; Unavailable before there is a state.
        """
        self._check_put(request)
        self._check_ready()
        previous = read_range(self._store, RangeRequest(request.key)).kvs if request.prev_kv else ()
        if request.lease:
            self._leases.attach(request.lease, request.key)
        return PutResult(previous[0] if previous else None)

    def _check_put(self, request: PutRequest) -> None:
        _check_key(request.key)
        if request.ignore_value and request.value:
            raise errors.invalid_argument("etcdserver: value is provided")
        if request.ignore_lease and request.lease:
            raise errors.invalid_argument("etcdserver: lease is provided")
        if len(request.key) + len(request.value) > MAX_REQUEST_BYTES:
            raise errors.request_too_large()
        if request.key not in self._swallowed and not request.key.startswith(self._swallowed_prefix):
            raise errors.permission_denied()
        if request.lease and self._leases.find(request.lease) is None:
            raise errors.lease_not_found()

    def delete_range(self, request: DeleteRangeRequest) -> None:
        """Refuse to delete.

        Raises:
            EtcdError: always.
        """
        _check_key(request.key)
        raise errors.permission_denied()

    def txn(self, request: TxnRequest) -> TxnResult:
        """Answer a txn of reads and of puts that are swallowed; refuse one with anything else in either branch.

        Raises:
            EtcdError: as for its operations; nothing has been done then.
        """
        self._check_txn(request)
        self._check_ready()
        return self._apply_txn(request)

    def _check_txn(self, request: TxnRequest) -> None:
        if max(map(len, (request.compare, request.success, request.failure))) > MAX_TXN_OPERATIONS:
            raise errors.too_many_operations()
        for compare in request.compare:
            _check_key(compare.key)
        for branch in (request.success, request.failure):
            puts = [operation.key for operation in branch if isinstance(operation, PutRequest)]
            if len(puts) != len(set(puts)):
                raise errors.duplicate_key()
            for operation in branch:
                self._check_operation(operation)

    def _check_operation(self, operation: Operation) -> None:
        match operation:
            case RangeRequest():
                _check_key(operation.key)
            case PutRequest():
                self._check_put(operation)
            case DeleteRangeRequest():
                self.delete_range(operation)
            case TxnRequest():
                self._check_txn(operation)

    def _apply_txn(self, request: TxnRequest) -> TxnResult:
        succeeded = all(holds(self._store, compare) for compare in request.compare)
        chosen = request.success if succeeded else request.failure
        return TxnResult(succeeded, tuple(self._results(chosen)))

    def _results(self, operations: tuple[Operation, ...]) -> Iterator[Result]:
        for operation in operations:
            match operation:
                case RangeRequest():
                    yield self.range(operation)
                case PutRequest():
                    yield self.put(operation)
                case TxnRequest():
                    yield self._apply_txn(operation)

    def compact(self) -> None:
        """Refuse to compact: the history belongs to all clients, and bounds itself.

        Raises:
            EtcdError: always.
        """
        raise errors.permission_denied()

    def _check_ready(self) -> None:
        if not self._store.image.is_ready:
            raise errors.not_ready()


def _check_key(key: bytes) -> None:
    if not key:
        raise errors.key_not_provided()
