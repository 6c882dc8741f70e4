"""Source: FilterChain.filters of an L4 chain.

Target: what the filters contribute to a stream route, in order.
Fidelity: as each filter's row says.
Differs: observers do not observe.
Diagnostics: L4-FILTER, L4-RBAC, EXT-PENDING, CFG-UNKNOWN-ANY.
See: mapping.md section 4.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from translators.dispatch import diagnose
from translators.registry import Diagnosed, Handled, Ignored, find

if TYPE_CHECKING:
    from translators.chain_draft import ChainDraft
    from translators.findings import Findings
    from translators.where import Where

HTTP_CONNECTION_MANAGER = xds.HTTP_CONNECTION_MANAGER.rpartition("/")[2]
_SHORT_NAME = "http_connection_manager"


def is_http(chain: xds.Message) -> bool:
    """Tell whether a chain ends in an HttpConnectionManager; stubs of chains have the names of their filters only."""
    return any(
        network_filter.typed_config.type_url.endswith(HTTP_CONNECTION_MANAGER)
        if network_filter.HasField("typed_config")
        else _SHORT_NAME in network_filter.name
        for network_filter in chain.filters
    )


def apply_filters(chain: xds.Message, draft: ChainDraft, at: Where, findings: Findings) -> None:
    """Apply the filters of a chain; one that is not known may restrict, so it closes the chain."""
    for index, network_filter in enumerate(chain.filters):
        place = at.item("filters", network_filter.name or index)
        if network_filter.HasField("config_discovery"):
            findings.report("EXT-PENDING", place.field("config_discovery"), effect="the chain is not served")
            draft.is_closed = True
            continue
        config = xds.unpack(network_filter.typed_config) if network_filter.HasField("typed_config") else None
        name = config.DESCRIPTOR.full_name if config is not None else network_filter.typed_config.type_url
        row = find(name)
        if isinstance(row, Handled) and row.apply is not None:
            row.apply(config, draft, place, findings)
        elif isinstance(row, Diagnosed):
            draft.is_closed = not diagnose(row, config, place, findings) or draft.is_closed
        elif not isinstance(row, Ignored):
            is_blocked = findings.blocks("L4-FILTER", place, value=name or network_filter.name)
            draft.is_closed = is_blocked or draft.is_closed
