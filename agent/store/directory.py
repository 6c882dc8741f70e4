"""The directories APISIX looks for under its etcd prefix, and the placeholders that must open each of them."""

from __future__ import annotations

from agent.store.image import KeyValue

DIRECTORIES = (
    "consumer_groups",
    "consumers",
    "global_rules",
    "plugin_configs",
    "plugin_metadata",
    "plugins",
    "proto",
    "protos",
    "routes",
    "secrets",
    "services",
    "ssl",
    "ssls",
    "stream_routes",
    "upstreams",
)
"""The union over all APISIX versions and both subsystems, etcd-contract.md section 3.2."""

PLACEHOLDER = KeyValue(b"init_dir", 1, 1, 1)
"""What every placeholder holds; its revision never changes, so it never makes an event (contract rule 5)."""


def placeholder_keys(prefix: str) -> tuple[bytes, ...]:
    """Name the placeholders `<prefix>/<dir>/` in byte order.

    Args:
        prefix: the etcd prefix of APISIX, such as `/apisix`.
    """
    return tuple(sorted(f"{prefix}/{directory}/".encode() for directory in DIRECTORIES))
