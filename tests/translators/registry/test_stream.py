"""The descriptor walk of the family `stream`: no field without a decision (law 8)."""

from __future__ import annotations

import pytest

from schemas import xds
from translators.registry import find

MESSAGES = [
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_a_row(name: str):
    fields = [field.full_name for field in xds.message_class(name).DESCRIPTOR.fields]
    assert [field for field in fields if find(field) is None] == []
