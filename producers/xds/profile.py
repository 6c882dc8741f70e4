"""The identity that each control plane wants: node id, cluster, metadata, variant and token header. Pure.

A profile fills in what its control plane's own agents would send (control-planes.md sections 2 and 3.1). Whatever is
given replaces what the profile would build; what is missing and cannot be guessed is an error that names the setting.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from producers.xds.node import build_node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas import xds

ISTIO_NODE_PARTS = 4
KUMA_READINESS_PORT = "9902"
"""Kuma sends nothing to a node without one (control-planes.md section 6); nothing listens there, nor need it."""


@dataclass(frozen=True)
class Facts:
    """What an identity is built from; which of it is needed depends on the profile."""

    name: str = ""
    namespace: str = ""
    ip: str = ""
    mesh: str = ""
    domain: str = ""
    service_account: str = ""


@dataclass(frozen=True)
class Identity:
    """Who a view is towards its control plane, and how it speaks there."""

    node: xds.Message
    """`envoy.config.core.v3.Node`."""
    variant: str
    """The variant to speak unless another is wanted."""
    token_header: str
    """The gRPC metadata key of a token."""
    token_prefix: str
    """What stands before the token there."""


@dataclass(frozen=True)
class _Draft:
    """What a profile would send: each part only where it can be built."""

    node_id: Callable[[Facts], str]
    cluster: Callable[[Facts], str]
    metadata: Callable[[Facts], dict[str, Any]]
    refine: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    """Brings the metadata into the types that the control plane takes."""
    variant: str = "sotw"
    token_header: str = "authorization"  # noqa: S105 - the header's name
    token_prefix: str = "Bearer "  # noqa: S105 - what stands before the token


def build_identity(
    profile: str,
    facts: Facts,
    version: str,
    *,
    node_id: str = "",
    cluster: str = "",
    metadata: Mapping[str, Any] | None = None,
    locality: Mapping[str, str] | None = None,
) -> Identity:
    """Build an identity.

    Args:
        profile: a key of PROFILES.
        facts: what the profile builds from.
        version: version of this build.
        node_id: instead of the profile's.
        cluster: instead of the profile's.
        metadata: laid over the profile's, key by key; None as a value takes a key away.
        locality: `region`, `zone`, `sub_zone`.

    Raises:
        ValueError: no such profile, a fact is missing, or something does not fit the proto; names the setting.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile: {profile!r} is none; there are {', '.join(PROFILES)}")
    draft = PROFILES[profile]
    merged = {**draft.metadata(facts), **(metadata or {})}
    node = build_node(
        node_id or draft.node_id(facts),
        version,
        cluster=cluster or draft.cluster(facts),
        metadata=draft.refine({key: value for key, value in merged.items() if value is not None}),
        locality=locality,
    )
    if profile.startswith("istio-"):
        _check_istio_id(node_id)
    return Identity(node, draft.variant, draft.token_header, draft.token_prefix)


def _need(facts: Facts, profile: str, *fields: str) -> None:
    missing = [f"identity.{field}" for field in fields if not getattr(facts, field)]
    if missing:
        raise ValueError(f"profile {profile}: {', '.join(missing)} missing; give them, or node_id")


# Istio


def _istio_id(kind: str) -> Callable[[Facts], str]:
    def node_id(facts: Facts) -> str:
        _need(facts, f"istio-{kind}", "name", "namespace", "ip")
        try:
            ip_address(facts.ip)
        except ValueError:
            raise ValueError(f"identity.ip: {facts.ip!r} is no IP address; give the one istiod shall know") from None
        domain = facts.domain or f"{facts.namespace}.svc.cluster.local"
        return f"{kind}~{facts.ip}~{facts.name}.{facts.namespace}~{domain}"

    return node_id


def _check_istio_id(node_id: str) -> None:
    if node_id and node_id.count("~") != ISTIO_NODE_PARTS - 1:
        raise ValueError(f"node_id: {node_id!r} is not TYPE~IP~NAME.NAMESPACE~DOMAIN, which istiod wants")


def _istio_cluster(facts: Facts) -> str:
    return f"{facts.name}.{facts.namespace}" if facts.name and facts.namespace else ""


def _istio_metadata(facts: Facts) -> dict[str, Any]:
    metadata = {
        "NAMESPACE": facts.namespace,
        "INSTANCE_IPS": facts.ip,
        "SERVICE_ACCOUNT": facts.service_account,
        "MESH_ID": facts.mesh,
        "CLUSTER_ID": "Kubernetes",
    }
    return {key: value for key, value in metadata.items() if value}


def _istio_refined(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Write the types istiod takes (section 3.1): booleans are strings, INSTANCE_IPS is joined, POD_PORTS is JSON."""
    refined = {key: _word(value) for key, value in metadata.items()}
    if isinstance(refined.get("INSTANCE_IPS"), list):
        refined["INSTANCE_IPS"] = ",".join(str(ip) for ip in refined["INSTANCE_IPS"])
    if isinstance(refined.get("POD_PORTS"), list):
        refined["POD_PORTS"] = json.dumps(refined["POD_PORTS"])
    for key in ("LABELS", "STATIC_LABELS", "ANNOTATIONS"):
        if isinstance(refined.get(key), dict):
            refined[key] = {name: str(_word(value)) for name, value in refined[key].items()}
    return refined


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


# Kuma


def _kuma_id(facts: Facts) -> str:
    _need(facts, "kuma", "name")
    return f"{facts.mesh or 'default'}.{facts.name}"


def _kuma_metadata(facts: Facts) -> dict[str, Any]:
    """Announce a delegated gateway, unless the Dataplane is given or is known to Kuma already (no `ip`)."""
    metadata = {"dataplane.proxyType": "dataplane", "dataplane.readinessReporter.port": KUMA_READINESS_PORT}
    if facts.ip and facts.name:
        gateway = {"type": "DELEGATED", "tags": {"kuma.io/service": facts.name}}
        dataplane = {
            "type": "Dataplane",
            "mesh": facts.mesh or "default",
            "name": facts.name,
            "networking": {"address": facts.ip, "gateway": gateway},
        }
        metadata["dataplane.resource"] = json.dumps(dataplane)  # a string of YAML, of which JSON is a part
    return metadata


def _kuma_refined(metadata: Mapping[str, Any]) -> dict[str, Any]:
    refined = dict(metadata)
    if isinstance(refined.get("dataplane.resource"), dict):
        refined["dataplane.resource"] = json.dumps(refined["dataplane.resource"])
    if "dataplane.readinessReporter.port" in refined:
        refined["dataplane.readinessReporter.port"] = str(refined["dataplane.readinessReporter.port"])
    return refined


# Consul and Envoy Gateway


def _consul_id(facts: Facts) -> str:
    _need(facts, "consul", "name")
    return facts.name


def _consul_metadata(facts: Facts) -> dict[str, Any]:
    return {"namespace": facts.namespace} if facts.namespace else {}


def _envoy_gateway_id(facts: Facts) -> str:
    _need(facts, "envoy-gateway", "name", "namespace")
    return f"meshferry-{facts.namespace}-{facts.name}"


def _envoy_gateway_cluster(facts: Facts) -> str:
    if not (facts.name and facts.namespace):
        raise ValueError("profile envoy-gateway: cluster missing; give it, or identity.namespace and identity.name")
    return f"{facts.namespace}/{facts.name}"


def _nothing(_facts: Facts) -> str:
    return ""


def _no_metadata(_facts: Facts) -> dict[str, Any]:
    return {}


PROFILES = {
    "generic": _Draft(_nothing, _nothing, _no_metadata),
    "istio-sidecar": _Draft(_istio_id("sidecar"), _istio_cluster, _istio_metadata, _istio_refined),
    "istio-router": _Draft(_istio_id("router"), _istio_cluster, _istio_metadata, _istio_refined),
    "kuma": _Draft(_kuma_id, _nothing, _kuma_metadata, _kuma_refined, token_prefix=""),
    "consul": _Draft(
        _consul_id,
        lambda facts: facts.name,
        _consul_metadata,
        variant="delta",
        token_header="x-consul-token",  # noqa: S106 - the header's name
        token_prefix="",
    ),
    "envoy-gateway": _Draft(_envoy_gateway_id, _envoy_gateway_cluster, _no_metadata),
}
"""By the name that the settings use."""
