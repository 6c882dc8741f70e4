from __future__ import annotations

from typing import Any

import pytest

from tests.translators.unit_outcome import Outcome, cluster_outcome, lb_endpoint, locality, packed

ONE = [locality(lb_endpoint("10.0.0.1"))]
TIMING = {"timeout": "1s", "interval": "2.5s", "unhealthy_threshold": 3, "healthy_threshold": 2}
TLS = {
    "transport_socket": {
        "name": "tls",
        "typed_config": packed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
    }
}


def probed(*checks: dict[str, Any], **cluster: Any) -> Outcome:
    return cluster_outcome({"health_checks": [{**TIMING, **check} for check in checks], **cluster}, ONE)


def http(**fields: Any) -> dict[str, Any]:
    return probed({"http_health_check": {"path": "/ok", **fields}}).value["checks"]["active"]  # type: ignore[no-any-return]  # JSON


def test_a_path_is_probed():
    found = probed({"http_health_check": {"path": "/ok"}})
    active = found.value["checks"]["active"]
    bad = active["unhealthy"].pop("http_statuses")
    assert active == {
        "type": "http",
        "timeout": 1,
        "host": "backend",
        "http_path": "/ok",
        "healthy": {"interval": 3, "successes": 2, "http_statuses": [200]},
        "unhealthy": {"interval": 3, "tcp_failures": 3, "timeouts": 3, "http_failures": 1},
    }
    assert (len(bad), 200 in bad) == (399, False)
    assert found.codes == []


def test_what_is_expected():
    active = http(expected_statuses=[{"start": 200, "end": 300}, {"start": 404, "end": 405}])
    assert active["healthy"]["http_statuses"] == [*range(200, 300), 404]
    assert active["unhealthy"]["http_statuses"] == [s for s in range(300, 600) if s != 404]


@pytest.mark.parametrize("statuses", [{"start": 100, "end": 200}, {"start": 100, "end": 600}])
def test_statuses_that_say_nothing(statuses: dict[str, int]):
    found = probed({"http_health_check": {"path": "/", "expected_statuses": [statuses]}})
    assert (found.value["checks"]["active"]["type"], found.codes) == ("tcp", ["CL-FEATURE"])


def test_the_probe_in_detail():
    active = http(
        host="probe.example",
        method="POST",
        send={"text": "4f4b"},
        retriable_statuses=[{"start": 500, "end": 600}],
        request_headers_to_add=[
            {"header": {"key": "x-probe", "value": "1"}},
            {"header": {"key": "x-dynamic", "value": "%START_TIME%"}},
        ],
    )
    assert (active["host"], active["http_method"], active["http_req_body"]) == ("probe.example", "POST", "OK")
    assert active["req_headers"] == ["x-probe: 1"]
    assert active["unhealthy"]["http_failures"] == 3


def test_a_host_or_body_that_apisix_cannot_send():
    assert "host" not in http(host="a b")
    found = probed({"http_health_check": {"path": "ok", "send": {"binary": "/w=="}}})
    assert (found.value["checks"]["active"]["http_path"], found.codes) == ("/ok", ["CL-FEATURE"])


def test_tls_is_probed_without_verification():
    active = probed({"http_health_check": {"path": "/ok"}}, **TLS).value["checks"]["active"]
    assert (active["type"], active["https_verify_certificate"]) == ("https", False)
    assert probed({"tcp_health_check": {}}, **TLS).value["checks"]["active"]["type"] == "tcp"


@pytest.mark.parametrize(
    ("check", "codes"),
    [
        ({"tcp_health_check": {}}, []),
        ({"tcp_health_check": {"send": {"text": "00"}}}, ["CL-FEATURE"]),
        ({"grpc_health_check": {"service_name": "x"}}, ["CL-HC-GRPC"]),
        ({"custom_health_check": {"name": "redis"}}, ["CL-FEATURE"]),
        ({"alt_port": 8081, "tcp_health_check": {}}, []),
    ],
)
def test_everything_else_probes_the_port(check: dict[str, Any], codes: list[str]):
    found = probed(check)
    active = found.value["checks"]["active"]
    assert (active["type"], found.codes) == ("tcp", codes)
    assert active.get("port") == check.get("alt_port")


def test_only_the_first_check_is_used():
    found = probed({"tcp_health_check": {}}, {"http_health_check": {"path": "/"}})
    assert (found.value["checks"]["active"]["type"], found.codes) == ("tcp", ["CL-HC-MULTI"])


def test_intervals_of_sick_endpoints():
    found = probed({"tcp_health_check": {}, "unhealthy_interval": "9s"})
    assert found.value["checks"]["active"]["unhealthy"]["interval"] == 9


def test_every_variant_probes_by_itself():
    checks = {"health_checks": [{**TIMING, "tcp_health_check": {}}]}
    uses: tuple[dict[str, Any], ...] = ({}, {"retry_policy": {"retry_on": "5xx"}})
    assert cluster_outcome(checks, ONE, uses=uses).codes == ["CL-VARIANTS"]
