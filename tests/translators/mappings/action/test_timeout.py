from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import forwarded, route_outcome

POLICY = {"retry_on": "5xx", "per_try_timeout": "2s"}


@pytest.mark.parametrize(
    ("action", "hcm", "io_s"),
    [
        ({}, {}, 15),
        ({"timeout": "3s"}, {}, 3),
        ({"timeout": "0.25s"}, {}, 0.25),
        ({"timeout": "0s"}, {}, 300),
        ({"timeout": "0s"}, {"stream_idle_timeout": "60s"}, 60),
        ({"timeout": "0s"}, {"stream_idle_timeout": "0s"}, 86400),
        ({"timeout": "0s", "idle_timeout": "7s"}, {}, 7),
        ({"timeout": "0s", "idle_timeout": "0s"}, {}, 86400),
        ({"timeout": "9s", "idle_timeout": "7s"}, {}, 7),
        ({"timeout": "9s", "retry_policy": POLICY}, {}, 2),
        ({"timeout": "1s", "retry_policy": POLICY}, {}, 1),
        ({"timeout": "0s", "retry_policy": POLICY}, {}, 2),
    ],
)
def test_the_shortest_limit_is_the_one(action: dict[str, Any], hcm: dict[str, Any], io_s: float):
    part = route_outcome(forwarded(**action), hcm=hcm).only
    assert part.fields["timeout"] == {"connect": 5, "read": io_s, "send": io_s}


def test_the_virtual_host_has_the_default_of_retries():
    part = route_outcome(forwarded(timeout="9s"), virtual_host={"retry_policy": POLICY}).only
    assert part.fields["timeout"]["read"] == 2


def test_the_cluster_has_the_last_default_of_retries():
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    packed = {"@type": f"type.googleapis.com/{options}", "retry_policy": POLICY}
    cluster = {"name": "backend", "typed_extension_protocol_options": {options: packed}}
    assert route_outcome(forwarded(), clusters=[cluster]).only.fields["timeout"]["read"] == 2


def test_the_connect_timeout_is_the_clusters():
    cluster = {"name": "backend", "connect_timeout": "0.25s"}
    assert route_outcome(forwarded(), clusters=[cluster]).only.fields["timeout"]["connect"] == 0.25


@pytest.mark.parametrize(
    ("limit", "codes"), [({"max_stream_duration": "0s"}, []), ({"max_stream_duration": "5s"}, ["RA-TIMEOUT"])]
)
def test_a_limit_of_streams_is_said(limit: dict[str, str], codes: list[str]):
    assert route_outcome(forwarded(max_stream_duration=limit)).codes == codes
