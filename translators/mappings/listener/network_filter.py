"""Network filters in front of the HttpConnectionManager.

Source: FilterChain.filters of an HTTP chain, all but the last.
Target: conditions on the client's address for RBAC by addresses; none for the others.
Fidelity: A for RBAC by addresses; N else: observers may go, a filter that restricts closes the chain.
Differs: observers do not observe.
Diagnostics: L4-FILTER, L4-RBAC, EXT-PENDING.
See: mapping.md section 4.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from translators.dispatch import diagnose
from translators.mappings.stream.rbac import condition_of
from translators.registry import Diagnosed, Ignored, find

if TYPE_CHECKING:
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.where import Where

_OBSERVERS = frozenset({"istio.metadata_exchange", "envoy.filters.network.metadata_exchange", "istio.stats"})
"""By name: their types are not part of the Envoy API."""
_RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC"
_EFFECT = "the chain is not served"


def front_conditions(chain: xds.Message, at: Where, findings: Findings) -> list[Expr] | None:
    """Give the conditions of the filters in front of the HttpConnectionManager.

    Returns:
        None when one of them restricts in a way that cannot be kept, so that the chain must not be served.
    """
    conditions: list[Expr] = []
    is_passable = True
    for index, listed in enumerate(chain.filters[:-1]):
        place = at.item("filters", listed.name or index)
        if listed.HasField("config_discovery"):
            is_passable = not findings.blocks("EXT-PENDING", place, effect=_EFFECT) and is_passable
            continue
        config = xds.unpack(listed.typed_config)
        row = find(config.DESCRIPTOR.full_name) if config is not None else None
        if isinstance(row, Ignored) or listed.name in _OBSERVERS:
            continue
        if config is not None and config.DESCRIPTOR.full_name == _RBAC:
            condition = condition_of(config, place, findings)
            is_passable = condition is not None and is_passable
            conditions += [] if condition is None else [condition]
        elif isinstance(row, Diagnosed):
            is_passable = diagnose(row, config, place, findings) and is_passable
        else:
            kind = listed.typed_config.type_url or listed.name
            is_passable = not findings.blocks("L4-FILTER", place, value=kind, effect=_EFFECT) and is_passable
    return conditions if is_passable else None
