"""The identity a view subscribes as: an `envoy.config.core.v3.Node` from settings, nothing guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseError

from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Mapping

USER_AGENT = "meshferry"
CLIENT_FEATURES = ("xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw")
"""What this client does (control-planes.md section 5.9); a server may wrap resources and give them a TTL only then."""


def build_node(
    node_id: str,
    version: str,
    *,
    cluster: str = "",
    metadata: Mapping[str, Any] | None = None,
    locality: Mapping[str, str] | None = None,
) -> xds.Message:
    """Build the Node of the first request of every stream.

    Args:
        node_id: what the control plane knows the view by, e.g. `router~10.0.0.1~gw.default~default.svc.cluster.local`.
        version: version of this build.
        cluster: `node.cluster`, where the control plane wants one.
        metadata: `node.metadata`, JSON data.
        locality: `region`, `zone`, `sub_zone`.

    Raises:
        ValueError: the id is empty, or metadata or locality do not fit the proto; names the field.
    """
    if not node_id:
        raise ValueError("node id: empty; give the id that the control plane knows this view by")
    data = {
        "id": node_id,
        "cluster": cluster,
        "metadata": dict(metadata or {}),
        "locality": dict(locality) if locality else None,
        "user_agent_name": USER_AGENT,
        "user_agent_version": version,
        "client_features": list(CLIENT_FEATURES),
    }
    try:
        return xds.from_json(data, xds.message_class("envoy.config.core.v3.Node")())
    except ParseError as error:
        raise ValueError(f"node: {' '.join(str(error).split())}") from error
