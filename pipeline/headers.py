"""Headers of records: CloudEvents 1.0 (Kafka binding, binary mode) and W3C trace context. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.log.contract import Headers

SPEC_VERSION = "1.0"
TYPE_PREFIX = "meshferry."
CONTENT_TYPE = "application/avro"


def record_headers(record_type: str, source: str, event_id: str, time_ms: int, traceparent: str = "") -> Headers:
    """Build the headers of a record.

    Args:
        record_type: `unit`, `bundle`, …; a tombstone has the type of what it removes.
        source: what wrote it, a URI reference such as `/views/shop/producer`.
        event_id: unique among the records of that source.
        time_ms: when it happened, Unix milliseconds.
        traceparent: W3C trace context, see `new_traceparent`; empty for none.
    """
    when = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    headers = (
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", (TYPE_PREFIX + record_type).encode()),
        ("ce_time", when.encode()),
        ("content-type", CONTENT_TYPE.encode()),
    )
    return (*headers, ("traceparent", traceparent.encode())) if traceparent else headers


def new_traceparent(trace_id: bytes, parent_id: bytes) -> str:
    """Write a W3C traceparent of a sampled trace.

    Args:
        trace_id: 16 random bytes.
        parent_id: 8 random bytes.

    Raises:
        ValueError: an id of another length, or all zero, which W3C forbids.
    """
    if len(trace_id) != 16 or len(parent_id) != 8 or not any(trace_id) or not any(parent_id):  # noqa: PLR2004 - W3C's lengths
        raise ValueError("traceparent: a trace id of 16 and a parent id of 8 bytes are needed, neither all zero")
    return f"00-{trace_id.hex()}-{parent_id.hex()}-01"


def derived_headers(headers: Headers, record_type: str, source: str) -> Headers:
    """Build the headers of a record that was made from another one: same id, time and trace, other type and source.

    Args:
        headers: of the record it was made from.
        record_type: as for `record_headers`.
        source: what made it.
    """
    replaced = {"ce_type": (TYPE_PREFIX + record_type).encode(), "ce_source": source.encode()}
    return tuple((name, replaced.get(name, value)) for name, value in headers)
