from __future__ import annotations

from typing import Any

import orjson
import pytest

from agent.etcd import rendered as rendered_module
from agent.etcd.errors import EtcdError
from agent.etcd.json_codec import Identity, parse_object
from agent.etcd.kv import MAX_REQUEST_BYTES
from agent.etcd.kv_json import KVJSON, parse_range
from agent.etcd.member import Member
from agent.store.range import RangeRequest, SortOrder, SortTarget
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis
from tests.conformance.watch_client import b64

HEADER = {"cluster_id": "1", "member_id": "2", "revision": str(CREATED_MS + 1), "raft_term": "2"}
ROUTES = {"key": b64(b"/apisix/routes/"), "range_end": b64(b"/apisix/routes0")}


@pytest.fixture
def store() -> Store:
    made = Store()
    made.replay(0, GENESIS_KEY, genesis())
    made.replay(1, "a", bundle("a", 1, {"/routes/1": b"{}", "/routes/2": b"{}"}))
    return made


@pytest.fixture
def kv(store: Store) -> KVJSON:
    return KVJSON(Member(store, Identity(1, 2), "node-1", lambda: 0.0))


def ask(kv: KVJSON, **fields: object) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(kv.range(orjson.dumps(fields)))
    return found


def test_range(kv: KVJSON):
    revisions = {"create_revision": HEADER["revision"], "mod_revision": HEADER["revision"], "version": "1"}
    found = ask(kv, **ROUTES)
    assert found["header"] == HEADER
    assert found["kvs"][1] == {"key": b64(b"/apisix/routes/1"), **revisions, "value": b64(b"{}")}
    assert found["count"] == "3"
    assert "more" not in found


def test_shapes_of_the_other_ranges(kv: KVJSON):
    assert ask(kv, **ROUTES, count_only=True) == {"header": HEADER, "count": "3"}
    limited = ask(kv, **ROUTES, limit="2")
    assert (len(limited["kvs"]), limited["more"], limited["count"]) == (2, True, "3")
    assert all("value" not in item for item in ask(kv, **ROUTES, keys_only=True)["kvs"])
    assert ask(kv, key=b64(b"/x")) == {"header": HEADER}


def test_a_range_is_rendered_once_per_revision(kv: KVJSON, store: Store):
    body = orjson.dumps(ROUTES)
    first = kv.range(body)
    assert kv.range(body) is first
    store.replay(2, "b", bundle("b", 2, {"/routes/3": b"{}"}))
    assert orjson.loads(kv.range(body))["count"] == "4"


def test_the_rendered_ranges_are_bounded(kv: KVJSON, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rendered_module, "MAX_RENDERED_BYTES", 500)
    for number in range(20):
        ask(kv, key=b64(b"/x%02d" % number))
    kept = kv._rendered
    assert 1 < len(kept._answers) < 5
    assert kept._bytes == sum(len(body) + len(answer) for body, answer in kept._answers.items()) <= 500


def test_the_rendered_ranges_are_few(kv: KVJSON):
    for number in range(2 * rendered_module.MAX_RENDERED_COUNT):
        ask(kv, key=b64(b"/x%d" % number))
    assert len(kv._rendered._answers) == rendered_module.MAX_RENDERED_COUNT


def test_every_field_of_a_range_request():
    body = orjson.dumps(
        {
            "key": "YQ",
            "rangeEnd": "Yg",
            "limit": "3",
            "revision": 4.0,
            "sort_order": "DESCEND",
            "sortTarget": 3,
            "serializable": True,
            "keysOnly": True,
            "count_only": True,
            "minModRevision": 5,
            "max_mod_revision": "6",
            "min_create_revision": 7,
            "maxCreateRevision": 8,
        }
    )
    assert parse_range(parse_object(body)) == RangeRequest(
        b"a",
        b"b",
        limit=3,
        revision=4,
        sort_order=SortOrder.DESCEND,
        sort_target=SortTarget.MOD,
        keys_only=True,
        count_only=True,
        min_mod_revision=5,
        max_mod_revision=6,
        min_create_revision=7,
        max_create_revision=8,
    )


def test_a_put_that_is_too_large(kv: KVJSON):
    body = orjson.dumps({"key": "YQ==", "value": b64(b"x" * MAX_REQUEST_BYTES)})
    with pytest.raises(EtcdError, match="request is too large"):
        kv.put(body)


def test_a_put_without_key_and_of_a_resource(kv: KVJSON):
    with pytest.raises(EtcdError, match="key is not provided"):
        kv.put(b"{}")
    for key in (b"/apisix/routes/1", b"/apisix/plugins2", b"/other/routes/", b"/apisix/plugin_metadata/x"):
        with pytest.raises(EtcdError, match="permission denied"):
            kv.put(orjson.dumps({"key": b64(key)}))


def ask_txn(kv: KVJSON, **fields: object) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(kv.txn(orjson.dumps(fields)))
    return found


def test_a_txn_of_reads_is_answered_and_one_that_writes_a_resource_is_refused(kv: KVJSON):
    key = b64(b"/apisix/routes/1")
    compare = [{"key": key, "target": "CREATE", "result": "GREATER", "createRevision": "0"}]
    read, write = {"requestRange": {"key": key}}, {"request_put": {"key": key, "value": b64(b"{}")}}
    found = ask_txn(kv, compare=compare, success=[read], failure=[])
    assert found["succeeded"] is True
    assert found["responses"][0]["response_range"]["count"] == "1"
    other = ask_txn(kv, compare=[{**compare[0], "result": "EQUAL"}], success=[read])
    assert other == {"header": HEADER}
    for branch in ("success", "failure"):
        with pytest.raises(EtcdError, match="permission denied"):
            ask_txn(kv, compare=compare, **{branch: [write]})


def test_what_would_change_the_keys_is_refused(kv: KVJSON):
    with pytest.raises(EtcdError, match="permission denied"):
        kv.delete_range(orjson.dumps({"key": b64(b"/apisix/routes/1")}))
    with pytest.raises(EtcdError):
        kv.compact(orjson.dumps({"revision": "5"}))
