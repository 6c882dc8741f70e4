"""Write the part of a node's config.yaml that xDS cannot change: ports, router, where the agent answers."""

from __future__ import annotations

from typing import Any

import orjson

HEADER = "# config.yaml of APISIX: the ports are those the control plane wants, etcd is the meshferry agent\n"
HEALTH_CHECK_TIMEOUT_S = 1
PREFIX = "/apisix"


def config_yaml(manifest: str, etcd_hosts: list[str], prefix: str = PREFIX) -> str:
    """Write a config.yaml snippet.

    Args:
        manifest: the manifest of the bundle of the unit `view` (JSON); empty before that bundle exists.
        etcd_hosts: URLs of the agents this node may use, e.g. `http://127.0.0.1:2379`.
        prefix: etcd prefix.

    Returns:
        YAML text: deployment (data plane, etcd), and, from the manifest, listening ports and the router
        (mapping.md section 9). Every value is JSON, which YAML reads as it is.
    """
    wanted: dict[str, Any] = orjson.loads(manifest) if manifest else {}
    return HEADER + "\n".join([*_deployment(etcd_hosts, prefix), *_apisix(wanted)]) + "\n"


def _deployment(etcd_hosts: list[str], prefix: str) -> list[str]:
    return [
        "deployment:",
        "  role: data_plane",
        "  role_data_plane:",
        "    config_provider: etcd",
        "  etcd:",
        "    host:",
        *(f"      - {_json(host)}" for host in etcd_hosts),
        f"    prefix: {_json(prefix)}",
        f"    health_check_timeout: {HEALTH_CHECK_TIMEOUT_S}",
    ]


def _apisix(wanted: dict[str, Any]) -> list[str]:
    if not wanted:
        return []
    lines = ["apisix:", "  router:", f"    http: {wanted['router']}", f"  node_listen: {_json(wanted['node_listen'])}"]
    if wanted["ssl_listen"]:
        lines += ["  ssl:", "    enable: true", f"    listen: {_json(wanted['ssl_listen'])}"]
    if wanted["stream_tcp"] or wanted["stream_udp"]:
        has_http = wanted["node_listen"] or wanted["ssl_listen"]
        lines += [f"  proxy_mode: {'http&stream' if has_http else 'stream'}", "  stream_proxy:"]
        lines += [
            f"    {kind}: {_json(wanted[f'stream_{kind}'])}" for kind in ("tcp", "udp") if wanted[f"stream_{kind}"]
        ]
    if wanted.get("dns_servers"):
        lines += ["discovery:", "  dns:", f"    servers: {_json(wanted['dns_servers'])}"]
    return lines


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
