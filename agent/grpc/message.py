"""Messages of the etcd v3 API from and to what the services understand, and their frames (gRPC over HTTP/2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from agent.etcd import errors
from agent.etcd.json_codec import RAFT_TERM
from schemas.etcd import Message, message_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.etcd.json_codec import Identity
    from agent.store.image import KeyValue

PREFIX_BYTES = 5
"""What stands before each message: a flag for compression, which is never used, and the length."""


def parse(name: str, data: bytes) -> Message:
    """Parse a message by its name.

    Raises:
        EtcdError: Internal, as gRPC answers what it cannot decode.
    """
    message = message_class(name)()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise errors.undecodable() from None
    return message


def named_ranges(message: Message) -> Iterator[tuple[bytes, bytes]]:
    """Give each key and range_end of a request, at any depth: a txn has them in its operations."""
    fields = message.DESCRIPTOR.fields_by_name
    if "key" in fields and message.key:
        yield message.key, message.range_end if "range_end" in fields else b""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                yield from named_ranges(inner)


def header(identity: Identity, revision: int) -> Message:
    """Build a ResponseHeader; revision 0 leaves the field out."""
    return message_class("ResponseHeader")(
        cluster_id=identity.cluster_id, member_id=identity.member_id, revision=revision, raft_term=RAFT_TERM
    )


def key_value(key: bytes, kv: KeyValue) -> Message:
    """Build a KeyValue."""
    return message_class("mvccpb.KeyValue")(
        key=key,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=kv.value,
    )


def frame(data: bytes) -> bytes:
    """Put the prefix before a message."""
    return b"\0%b%b" % (len(data).to_bytes(4), data)


def encode(message: Message) -> bytes:
    """Encode a message without its prefix."""
    return bytes(message.SerializeToString())
