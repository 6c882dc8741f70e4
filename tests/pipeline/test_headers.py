from __future__ import annotations

import re

import pytest

from pipeline.headers import new_traceparent, record_headers

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")


def test_a_record_is_a_cloud_event_in_binary_mode():
    assert dict(record_headers("unit", "/views/v/producer", "id-1", 1_700_000_000_123)) == {
        "ce_specversion": b"1.0",
        "ce_id": b"id-1",
        "ce_source": b"/views/v/producer",
        "ce_type": b"meshferry.unit",
        "ce_time": b"2023-11-14T22:13:20.123Z",
        "content-type": b"application/avro",
    }


def test_a_trace_goes_along():
    trace = new_traceparent(bytes(15) + b"\x01", bytes(7) + b"\x02")
    assert TRACEPARENT.fullmatch(trace)
    assert dict(record_headers("unit", "s", "i", 0, trace))["traceparent"] == trace.encode()


@pytest.mark.parametrize(("trace_id", "parent_id"), [(b"1", b"12345678"), (b"1" * 16, b"1"), (bytes(16), b"12345678")])
def test_ids_that_w3c_forbids_are_refused(trace_id, parent_id):
    with pytest.raises(ValueError, match="traceparent"):
        new_traceparent(trace_id, parent_id)
