from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf import descriptor_pool

from schemas import etcd, message_pool

if TYPE_CHECKING:
    from pathlib import Path


def test_messages_are_found_by_their_short_and_full_names():
    assert etcd.message_class("RangeRequest") is etcd.message_class("etcdserverpb.RangeRequest")
    message = etcd.message_class("mvccpb.KeyValue")(key=b"k", lease=1)
    assert message.SerializeToString() == b"\n\x01k\x30\x01"
    with pytest.raises(KeyError):
        etcd.message_class("RangeStreamRequest")


def test_the_pool_is_private():
    etcd.pool()
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("etcdserverpb.RangeRequest")


def test_a_copy_that_was_not_built_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(message_pool, "files", lambda _: tmp_path)
    with pytest.raises(RuntimeError, match="install the package"):
        etcd.pool.__wrapped__()
