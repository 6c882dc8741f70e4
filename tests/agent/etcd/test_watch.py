from __future__ import annotations

import orjson
import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from agent.etcd.errors import EtcdError
from agent.etcd.json_codec import Identity
from agent.etcd.watch import (
    MAX_WATCH_BODY_BYTES,
    CancelRequest,
    CreateRequest,
    OtherRequest,
    parse_watch,
    render_canceled,
    render_compacted,
    render_created,
    render_events,
    split_object,
)
from agent.store.delta import Change, Event
from agent.store.feed import WatchSpec
from agent.store.image import KeyValue

IDS = Identity(1, 2)
HEADER = b'{"cluster_id":"1","member_id":"2","revision":"9","raft_term":"2"}'
SPEC = WatchSpec(b"/a")
BODY = b'{"create_request":{"key":"L2FwaXNpeC8=","range_end":"L2FwaXNpeDA=","start_revision":32}}'


def test_the_request_of_apisix():
    assert parse_watch(BODY) == CreateRequest(WatchSpec(b"/apisix/", b"/apisix0"), 32)


def test_every_field_of_a_create_request():
    body = orjson.dumps(
        {
            "createRequest": {
                "key": "YQ",
                "prevKv": True,
                "watch_id": "7",
                "filters": ["NOPUT", 1],
                "startRevision": "-3",
            }
        }
    )
    spec = WatchSpec(b"a", b"", prev_kv=True, no_put=True, no_delete=True, watch_id=7)
    assert parse_watch(body) == CreateRequest(spec, -3)
    assert parse_watch(b'{"create_request":{"filters":"NODELETE"}}') == CreateRequest(
        WatchSpec(b"\0", no_delete=True), 0
    )


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b'{"cancel_request":{"watch_id":0}}', CancelRequest()),
        (b'{"cancelRequest":{}}', CancelRequest()),
        (b'{"progress_request":{}}', OtherRequest()),
        (b"{}", OtherRequest()),
    ],
)
def test_other_requests(body: bytes, request_: object):
    assert parse_watch(body) == request_


@pytest.mark.parametrize("body", [b'{"create_request":1}', b'{"create_request":{"key":"!"}}', b'{"create_request":'])
def test_an_unreadable_request_is_500_code_2(body: bytes):
    with pytest.raises(EtcdError) as caught:
        parse_watch(body)
    assert (caught.value.status, caught.value.code) == (500, 2)


@seed(1)
@given(st.integers(0, len(BODY)))
def test_an_object_is_cut_off_when_it_is_complete(at: int):
    found, rest = split_object(b" \n" + BODY[:at])
    assert (found, rest) == ((BODY, b"") if at == len(BODY) else (b"", BODY[:at]))
    assert split_object(BODY + BODY[:at]) == (BODY, BODY[:at])


@pytest.mark.parametrize(
    "literal", [b"true", b"false", b"null", b"-1", b"1.5e3", b'"\\u00e9"', b"{}", b"[1]", b'"}\\"}"']
)
def test_an_object_may_be_cut_inside_any_value(literal: bytes):
    body = b'{"a":' + literal + b"}"
    for at in range(1, len(body)):
        assert split_object(body[:at]) == (b"", body[:at])


@pytest.mark.parametrize("data", [b"x", b"[]", b"{" + b" " * MAX_WATCH_BODY_BYTES])
def test_what_can_never_become_an_object(data: bytes):
    with pytest.raises(EtcdError):
        split_object(data)


def test_lines():
    kv, old = KeyValue(b"{}", 5, 9, 2), KeyValue(b"[]", 5, 5, 1)
    events = (Event(b"/a", kv, old), Event(b"/b", None, old))
    kv_json = b'{"key":"L2E=","create_revision":"5","mod_revision":"9","version":"2","value":"e30="}'
    put, delete = b'{"kv":%b}' % kv_json, b'{"type":"DELETE","kv":{"key":"L2I=","mod_revision":"9"}}'
    assert render_events(IDS, SPEC, [Change(9, events)]) == b'{"result":{"header":%b,"events":[%b,%b]}}\n' % (
        HEADER,
        put,
        delete,
    )
    assert render_created(IDS, SPEC, 9) == b'{"result":{"header":%b,"created":true}}\n' % HEADER
    assert render_canceled(IDS, SPEC, 9) == b'{"result":{"header":%b,"canceled":true}}\n' % HEADER
    assert render_compacted(IDS, SPEC, 9) == (
        b'{"result":{"header":{"cluster_id":"1","member_id":"2","raft_term":"2"},"canceled":true,"compact_revision":"9"}}\n'
    )


def test_changes_in_one_line_keep_their_order_and_their_revisions():
    one, two = KeyValue(b"{}", 5, 5, 1), KeyValue(b"{}", 9, 9, 1)
    changes = [
        Change(5, (Event(b"/a", one, None),)),
        Change(7, (Event(b"/a", None, one), Event(b"/b", None, one))),
        Change(9, (Event(b"/a", two, None),)),
    ]
    line = render_events(IDS, SPEC, changes)
    assert line.count(b"\n") == 1
    result = orjson.loads(line)["result"]
    assert result["header"] == orjson.loads(HEADER)
    assert [(event.get("type"), event["kv"]["key"], event["kv"]["mod_revision"]) for event in result["events"]] == [
        (None, "L2E=", "5"),
        ("DELETE", "L2E=", "7"),
        ("DELETE", "L2I=", "7"),
        (None, "L2E=", "9"),
    ]


def test_lines_with_a_watch_id_and_previous_values():
    spec = SPEC._replace(watch_id=7, prev_kv=True)
    old = KeyValue(b"[]", 5, 5, 1)
    for line in (
        render_created(IDS, spec, 9),
        render_canceled(IDS, spec, 9),
        render_compacted(IDS, spec, 9),
        render_events(IDS, spec, [Change(9, (Event(b"/b", None, old),))]),
    ):
        assert orjson.loads(line)["result"]["watch_id"] == "7"
    event = orjson.loads(render_events(IDS, spec, [Change(9, (Event(b"/b", None, old),))]))["result"]["events"][0]
    assert event["prev_kv"]["value"] == "W10="
    new = orjson.loads(render_events(IDS, spec, [Change(9, (Event(b"/b", old, None),))]))["result"]["events"][0]
    assert "prev_kv" not in new
