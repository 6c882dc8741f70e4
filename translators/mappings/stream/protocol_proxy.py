"""Source: RedisProxy, ThriftProxy, DubboProxy, GenericProxy.

Target: stream_route.upstream_id, as for a TcpProxy, where the proxy leads to a single cluster.
Fidelity: A.
Differs: the protocol is not looked into: connections, not requests, go to endpoints.
Diagnostics: L4-FILTER, RA-CLUSTER-UNKNOWN.
See: mapping.md sections 4.4 and 6.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from schemas.records import Severity
from translators.mappings.stream.tcp_proxy import upstream_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from translators.chain_draft import ChainDraft
    from translators.findings import Findings
    from translators.where import Where

_DEGRADED = "the protocol is not looked into, connections go to the cluster as they are"


def apply(proxy: xds.Message, draft: ChainDraft, at: Where, findings: Findings) -> None:
    """Send the chain's connections to the only cluster that the proxy names; close the chain if there are others."""
    names = set(_cluster_names(proxy))
    if len(names) != 1:
        value = f"{proxy.DESCRIPTOR.name} to {len(names)} clusters"
        draft.is_closed = findings.blocks("L4-FILTER", at, value=value, effect="the chain is not served")
        return
    findings.report("L4-FILTER", at, value=proxy.DESCRIPTOR.name, effect=_DEGRADED, severity=Severity.WARN)
    (name,) = names
    use = xds.message_class(xds.TCP_PROXY)(cluster=name)
    draft.upstream_id = upstream_of(use, name, draft, at, findings)


def _cluster_names(message: xds.Message) -> Iterator[str]:
    """Give what every field `cluster`, at any depth, names."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        inner = xds.unpack(message)
        if inner is not None:
            yield from _cluster_names(inner)
        return
    for field, value in message.ListFields():
        if field.name == "cluster" and field.type == field.TYPE_STRING and not field.is_repeated:
            yield str(value)
        elif field.message_type is not None:
            for child in _children(field, value):
                yield from _cluster_names(child)


def _children(field: xds.Message, value: xds.Message) -> list[xds.Message]:
    if xds.is_map(field):
        holds_messages = field.message_type.fields_by_name["value"].message_type is not None
        return [value[key] for key in sorted(value)] if holds_messages else []
    return list(value) if field.is_repeated else [value]
