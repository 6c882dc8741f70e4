from __future__ import annotations

import pytest

from agent.etcd.errors import EtcdError
from agent.etcd.json_codec import Identity
from agent.grpc.message import encode, frame, header, key_value, parse
from agent.store.image import KeyValue


def test_what_cannot_be_decoded_is_an_internal_error():
    with pytest.raises(EtcdError) as error:
        parse("RangeRequest", b"\xff")
    assert error.value.code == 13


def test_parts():
    assert (header(Identity(1, 2), 3).cluster_id, header(Identity(1, 2), 3).revision) == (1, 3)
    assert not header(Identity(1, 2), 0).revision
    assert key_value(b"k", KeyValue(b"v", 1, 2, 3)).mod_revision == 2
    assert frame(encode(parse("RangeRequest", b"\n\x01a"))) == b"\0\0\0\0\x03\n\x01a"
