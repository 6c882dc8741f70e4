"""Source: envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit.

Target: stream plugin limit-conn.
Fidelity: A.
Differs: counted per node and port, not per filter chain; a rejected connection is closed at once.
Diagnostics: L4-FEATURE.
See: mapping.md section 4.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch

if TYPE_CHECKING:
    from schemas import xds
    from translators.chain_draft import ChainDraft
    from translators.findings import Findings
    from translators.where import Where

MAX_CONNECTIONS = 2**31 - 1
_DELAY_S = 0.001
"""APISIX wants a delay; with a burst of 0 no connection is ever delayed."""


def apply(limit: xds.Message, draft: ChainDraft, at: Where, findings: Findings) -> None:
    """Limit the connections of the chain's port."""
    dispatch.apply(limit, draft, at, findings)
    draft.plugins["limit-conn"] = {
        "conn": max(1, min(limit.max_connections.value, MAX_CONNECTIONS)),
        "burst": 0,
        "default_conn_delay": _DELAY_S,
        "key": "server_port",
    }
