from __future__ import annotations

import pytest

from agent.wire.address import own_url
from tests.agent.wire.recorded_transport import RecordedTransport


@pytest.mark.parametrize(
    ("sockname", "ssl_object", "url"),
    [
        (("10.0.0.1", 2379), None, "http://10.0.0.1:2379"),
        (("::1", 2379, 0, 0), None, "http://[::1]:2379"),
        (("10.0.0.1", 2379), object(), "https://10.0.0.1:2379"),
    ],
)
def test_the_url_of_this_end(sockname: tuple[object, ...], ssl_object: object, url: str):
    transport = RecordedTransport()
    transport._extra = {"sockname": sockname, "ssl_object": ssl_object}  # type: ignore[attr-defined]  # where asyncio keeps them
    assert own_url(transport) == url
