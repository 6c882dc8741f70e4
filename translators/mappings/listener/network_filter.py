"""Network filters in front of the HttpConnectionManager.

Source: FilterChain.filters of an HTTP chain, all but the last.
Target: none.
Fidelity: N; observers may go, a filter that restricts closes the chain.
Differs: observers do not observe.
Diagnostics: L4-FILTER, L4-RBAC, EXT-PENDING.
See: mapping.md section 4.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from translators.dispatch import diagnose
from translators.registry import Diagnosed, Ignored, find

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.where import Where

_OBSERVERS = frozenset({"istio.metadata_exchange", "envoy.filters.network.metadata_exchange", "istio.stats"})
"""By name: their types are not part of the Envoy API."""
_EFFECT = "the chain is not served"


def is_passable(chain: xds.Message, at: Where, findings: Findings) -> bool:
    """Tell whether all filters in front of the HttpConnectionManager may be left out."""
    passable = True
    for index, listed in enumerate(chain.filters[:-1]):
        place = at.item("filters", listed.name or index)
        if listed.HasField("config_discovery"):
            passable = not findings.blocks("EXT-PENDING", place, effect=_EFFECT) and passable
            continue
        config = xds.unpack(listed.typed_config)
        row = find(config.DESCRIPTOR.full_name) if config is not None else None
        if isinstance(row, Ignored) or listed.name in _OBSERVERS:
            continue
        if isinstance(row, Diagnosed):
            passable = diagnose(row, config, place, findings) and passable
        else:
            kind = listed.typed_config.type_url or listed.name
            passable = not findings.blocks("L4-FILTER", place, value=kind, effect=_EFFECT) and passable
    return passable
