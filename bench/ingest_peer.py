"""The control plane of bench/ingest.py, in a process of its own: commands on standard input, one answer line each.

`resend` pushes every type again under a new version, `endpoint N` one changed ClusterLoadAssignment as Istio does. The
answer comes when every stream has acknowledged what was pushed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

from schemas import xds
from tests.peers.ads import ADSPeer

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE_COUNT = 1000
CLUSTER_COUNT = 2400
HTTP_LISTENER_COUNT = 10
TCP_LISTENER_COUNT = 100
ENDPOINT_COUNT = 2
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": xds.TYPE_URL_PREFIX + "envoy.extensions.filters.http.router.v3.Router"},
}
ADS = {"ads": {}, "resource_api_version": "V3"}
RETRY = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": xds.TYPE_URL_PREFIX + "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": 5,
}
ACK_TIMEOUT_S = 120.0


def service(number: int) -> str:
    """Host name of a service."""
    return f"service-{number:04}.namespace-{number % 20:02}.svc.cluster.local"


def cluster_name(number: int) -> str:
    """Istio's name of a cluster: some services have subsets."""
    subset = "" if number < SERVICE_COUNT else f"v{number // SERVICE_COUNT}"
    return f"outbound|8080|{subset}|{service(number % SERVICE_COUNT)}"


def cluster(name: str) -> xds.Message:
    """An EDS cluster with the metadata, limits and keep-alive that Istio gives it."""
    namespace = name.split(".")[1] if "." in name else "default"
    names = {"services": [{"host": name.rpartition("|")[2], "name": name, "namespace": namespace}]}
    data: dict[str, Any] = {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": ADS, "service_name": name},
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 4294967295, "max_pending_requests": 4294967295, "max_retries": 4294967295}
            ]
        },
        "metadata": {"filter_metadata": {"istio": names}},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
        "common_lb_config": {"locality_weighted_lb_config": {}},
    }
    return _build(xds.CLUSTER, data)


def endpoints(name: str, port: int = 8080) -> xds.Message:
    """A ClusterLoadAssignment; the first endpoint is on the port."""
    number = sum(name.encode())
    addresses = [
        {"socket_address": {"address": f"10.0.{number % 250}.{index + 1}", "port_value": port if index == 0 else 8080}}
        for index in range(ENDPOINT_COUNT)
    ]
    hosts = [
        {"endpoint": {"address": address}, "health_status": "HEALTHY", "load_balancing_weight": 1}
        for address in addresses
    ]
    locality = {"region": "eu-west-1", "zone": "eu-west-1a"}
    data = {
        "cluster_name": name,
        "endpoints": [{"locality": locality, "lb_endpoints": hosts, "load_balancing_weight": 2}],
    }
    return _build(xds.CLUSTER_LOAD_ASSIGNMENT, data)


def virtual_host(number: int) -> dict[str, Any]:
    """A service's virtual host: as many domains as Istio writes, and a canary by header beside a split."""
    host = service(number)
    short = host.split(".")
    names = [host, short[0], f"{short[0]}.{short[1]}", f"{short[0]}.{short[1]}.svc"]
    first, second = cluster_name(number), cluster_name(number + SERVICE_COUNT)
    split = {"clusters": [{"name": first, "weight": 90}, {"name": second, "weight": 10}]}
    header = {"name": "x-canary", "string_match": {"exact": "always"}}
    action: dict[str, Any] = {"timeout": "0s", "retry_policy": RETRY, "max_grpc_timeout": "0s"}
    istio = {"config": f"/apis/networking.istio.io/v1/namespaces/{short[1]}/virtual-service/{short[0]}"}
    routes = [
        {
            "name": f"{kind}-{version}",
            "match": {
                "prefix": f"/{version}/",
                "case_sensitive": True,
                **({"headers": [header]} if kind == "canary" else {}),
            },
            "route": {**action, **({"cluster": second} if kind == "canary" else {"weighted_clusters": split})},
            "metadata": {"filter_metadata": {"istio": istio}},
            "decorator": {"operation": f"{host}:8080/{version}/*"},
        }
        for version in ("v1", "v2", "v3")
        for kind in ("canary", "split")
    ]
    domains = [domain for name in names for domain in (name, f"{name}:8080")]
    return {"name": f"{host}:8080", "domains": domains, "routes": routes, "include_request_attempt_count": True}


def routes(number: int) -> xds.Message:
    """The RouteConfiguration of a listener."""
    hosts = [virtual_host(one) for one in range(number, SERVICE_COUNT, HTTP_LISTENER_COUNT)]
    return _build(
        xds.ROUTE_CONFIGURATION, {"name": f"{8080 + number}", "virtual_hosts": hosts, "validate_clusters": False}
    )


def listener(port: int, network_filter: dict[str, Any]) -> xds.Message:
    """A listener that no socket belongs to, so that Envoy takes a hundred of them."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    data = {
        "name": f"0.0.0.0_{port}",
        "address": address,
        "bind_to_port": False,
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [network_filter]}],
    }
    return _build(xds.LISTENER, data)


def http_filter(route_config: str) -> dict[str, Any]:
    """An HttpConnectionManager that takes its routes by RDS."""
    hcm: dict[str, Any] = {
        "@type": xds.TYPE_URL_PREFIX + HCM,
        "stat_prefix": f"outbound_{route_config}",
        "http_filters": [ROUTER],
    }
    hcm["rds"] = {"route_config_name": route_config, "config_source": ADS}
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}


def tcp_filter(cluster: str) -> dict[str, Any]:
    """A TcpProxy."""
    proxy = {"@type": xds.TCP_PROXY, "stat_prefix": cluster, "cluster": cluster}
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}


def view(cluster_count: int) -> Iterator[list[xds.Message]]:
    """Give the resources, one type after the other."""
    names = [cluster_name(number) for number in range(cluster_count)]
    yield [cluster(name) for name in names]
    yield [endpoints(name) for name in names]
    if cluster_count == CLUSTER_COUNT:
        yield [routes(number) for number in range(HTTP_LISTENER_COUNT)]
        http = [listener(8080 + number, http_filter(f"{8080 + number}")) for number in range(HTTP_LISTENER_COUNT)]
        yield [*http, *(listener(20000 + number, tcp_filter(names[number])) for number in range(TCP_LISTENER_COUNT))]
    else:
        yield [listener(20000 + number, tcp_filter(name)) for number, name in enumerate(names)]


def _build(type_url: str, data: dict[str, Any]) -> xds.Message:
    return xds.from_json(data, xds.message_class(type_url)())


class Control:
    """Runs the commands."""

    def __init__(self, peer: ADSPeer, names: list[str]) -> None:
        self._peer = peer
        self._names = names
        self._turn = 0

    async def run(self, command: str, argument: str) -> None:
        """Run one and wait until it is acknowledged."""
        self._peer.requests.clear()
        if command == "resend":
            for type_url in self._peer.resources:
                await self._peer.bump(type_url)
            await self._acknowledged(len(self._peer.resources) * len(self._peer.streams))
        elif command == "endpoint":
            self._turn += 1
            changed = endpoints(self._names[int(argument) % len(self._names)], 10000 + self._turn)
            await self._peer.replace(changed)
            await self._acknowledged(len(self._peer.streams))

    async def _acknowledged(self, count: int) -> None:
        await self._peer.until(
            lambda: sum(bool(request.response_nonce) for request in self._peer.requests) >= count, ACK_TIMEOUT_S
        )
        for request in self._peer.requests:
            if request.HasField("error_detail"):
                raise RuntimeError(f"the client refused {request.type_url}: {request.error_detail.message}")


async def serve(cluster_count: int) -> None:
    """Serve until standard input ends."""
    peer = ADSPeer()
    rds_bytes = 0
    for messages in view(cluster_count):
        type_url = xds.type_url_of(messages[0])
        await peer.set(type_url, *messages)
        if type_url == xds.ROUTE_CONFIGURATION:
            rds_bytes = sum(message.ByteSize() for message in messages)
    await peer.start()
    say(f"{peer.port} {rds_bytes}")
    control = Control(peer, [cluster_name(number) for number in range(cluster_count)])
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, _, argument = line.strip().partition(" ")
        await control.run(command, argument)
        say("ok")
    await peer.stop()


def say(line: str) -> None:
    """Answer."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=CLUSTER_COUNT)
    asyncio.run(serve(parser.parse_args().clusters))
