from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from agent.etcd.errors import EtcdError
from agent.etcd.json_codec import (
    Identity,
    camel,
    enum_reader,
    parse_object,
    read_bool,
    read_bytes,
    read_fields,
    read_int,
    render_header,
    render_kv,
)
from agent.etcd.kv_json import parse_range
from agent.etcd.watch import parse_watch, split_object
from agent.store.image import KeyValue
from agent.store.range import RangeRequest, SortOrder

if TYPE_CHECKING:
    from collections.abc import Callable

READ_ORDER = enum_reader(SortOrder)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        ("-7", -7),
        (1.79e12, 1_790_000_000_000),
        ("0", 0),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_int64_as_number_or_string(value: object, number: int):
    assert read_int(value) == number


@pytest.mark.parametrize("value", [True, "", "x", "1.5", 1.5, [], {}, 2**63, str(2**63), "\u0661", float("inf")])
def test_what_is_no_int64(value: object):
    with pytest.raises(EtcdError, match="into Go value of type int64"):
        read_int(value)


@pytest.mark.parametrize("text", ["L2E=", "L2E", "-_-_", "+/+/"])
def test_base64_with_and_without_padding_and_in_both_alphabets(text: str):
    assert read_bytes(text) == base64.urlsafe_b64decode(
        text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4)
    )


@pytest.mark.parametrize(("text", "at"), [("!", 0), ("L2E!", 3), ("L", 1), ("L2=E", 2), ("Lé", 1), ("L2E=L2E=", 3)])
def test_bad_base64(text: str, at: int):
    with pytest.raises(EtcdError) as caught:
        read_bytes(text)
    assert caught.value.message == f"illegal base64 data at input byte {at}"


@pytest.mark.parametrize(
    ("value", "name"), [(1, "number"), (True, "bool"), ([], "array"), ({}, "object"), (1.5, "number")]
)
def test_bytes_of_another_type(value: object, name: str):
    with pytest.raises(EtcdError) as caught:
        read_bytes(value)
    assert caught.value.message == f"json: cannot unmarshal {name} into Go value of type []uint8"


def test_bool():
    assert read_bool(value=True)
    with pytest.raises(EtcdError, match="cannot unmarshal string into Go value of type bool"):
        read_bool("true")


def test_enum_by_number_or_name():
    assert [READ_ORDER(value) for value in (2, "2", "DESCEND")] == [SortOrder.DESCEND] * 3
    for wrong in (3, "UP", "", None, []):
        with pytest.raises(EtcdError):
            READ_ORDER(wrong)


def test_fields_in_both_styles_and_null_and_unknown():
    table: dict[str, Any] = {"range_end": read_bytes, "limit": read_int, "keys_only": read_bool}
    assert read_fields({"rangeEnd": "YQ==", "limit": None, "keys_only": False, "new": [1]}, table) == {
        "range_end": b"a",
        "keys_only": False,
    }
    assert camel("min_mod_revision") == "minModRevision"


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b"null"])
def test_no_body_is_an_empty_message(body: bytes):
    assert parse_object(body) == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"a":', "unexpected EOF"),
        (b'{"a', "unexpected EOF"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b'{"a":x}', "invalid character 'x' looking for beginning of value"),
        (b"[1]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b'"\xff"', "invalid character in string literal"),
        (b"[" * 100_000, "exceeded max depth"),
        (b'{"a":%b,}' % (b"1" * 5000), "invalid character '}' looking for beginning of value"),
    ],
)
def test_bad_json(body: bytes, message: str):
    with pytest.raises(EtcdError) as caught:
        parse_object(body)
    assert (caught.value.status, caught.value.message) == (400, message)


def test_headers():
    assert render_header(Identity(1, 2), 7) == b'{"cluster_id":"1","member_id":"2","revision":"7","raft_term":"2"}'
    assert render_header(Identity(1, 2), 0) == b'{"cluster_id":"1","member_id":"2","raft_term":"2"}'


def test_kvs():
    kv = KeyValue(b"{}", 5, 6, 2)
    start = b'{"key":"L2E=","create_revision":"5","mod_revision":"6","version":"2"'
    assert render_kv(b"/a", kv) == start + b',"value":"e30="}'
    assert render_kv(b"/a", kv, has_value=False) == start + b"}"
    assert render_kv(b"/a", kv._replace(value=b"")) == start + b"}"


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
NAMES = st.sampled_from([*RangeRequest._fields, "rangeEnd", "create_request", "filters", "watch_id", "cancel_request"])


@seed(11)
@settings(max_examples=500)
@given(st.one_of(st.binary(max_size=60), st.dictionaries(NAMES, JSON, max_size=5)))
def test_hostile_bodies_are_parsed_or_refused_and_nothing_else(body: bytes | dict[str, Any]):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    for parse in (lambda body: parse_range(parse_object(body)), parse_watch, split_object):
        refusal = refusal_of(parse, data)
        assert refusal is None or (refusal.status in {400, 500} and refusal.body())


def refusal_of(parse: Callable[[bytes], object], data: bytes) -> EtcdError | None:
    try:
        parse(data)
    except EtcdError as error:
        return error
    return None
