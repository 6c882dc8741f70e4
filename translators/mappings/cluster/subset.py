"""Source: Cluster.lb_subset_config, the Subset policy; metadata_match of a route or TcpProxy.

Target: the nodes of the variant whose use names the subset.
Fidelity: E for a selector that has exactly the keys; A else.
Differs: decided at translation time; all endpoints of a subset are used where Envoy would use one of them
    (single_host_per_subset).
Diagnostics: CL-FEATURE.
See: mapping.md sections 5.6 and 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from schemas.records import Severity

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.upstream_draft import UpstreamDraft
    from translators.where import Where

_ANY_ENDPOINT, _DEFAULT_SUBSET = 1, 2
_KEYS_SUBSET = 4
_FALLBACKS = {1: 0, 2: _ANY_ENDPOINT, 3: _DEFAULT_SUBSET}
"""LbSubsetSelector.fallback_policy counts from NOT_DEFINED; the cluster's from NO_FALLBACK."""


def subset_of(endpoints: list[Endpoint], subset: str, config: xds.Message | None) -> list[Endpoint]:
    """Give the endpoints of a subset.

    Args:
        endpoints: all endpoints of the cluster.
        subset: canonical JSON of the metadata asked for; empty when the use asks for none.
        config: LbSubsetConfig or Subset; None when the cluster has no subsets.
    """
    if config is None or not config.subset_selectors:
        return endpoints
    return _chosen(endpoints, orjson.loads(subset) if subset else {}, config)


def report_single_host(cluster: xds.Message, _draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Report selectors of subsets of which Envoy uses one endpoint only."""
    for index, selector in enumerate(cluster.lb_subset_config.subset_selectors):
        if selector.single_host_per_subset:
            findings.report(
                "CL-FEATURE",
                at.field("lb_subset_config").item("subset_selectors", index).field("single_host_per_subset"),
                effect="all endpoints of the subset are used",
                severity=Severity.INFO,
            )


def _chosen(endpoints: list[Endpoint], wanted: dict[str, Any], config: xds.Message) -> list[Endpoint]:
    selectors = [selector for selector in config.subset_selectors if set(selector.keys) == set(wanted)]
    if wanted and selectors:
        found = _matching(endpoints, wanted, list_as_any=config.list_as_any)
        if found:
            return found
        kept = {key: wanted[key] for key in selectors[0].fallback_keys_subset if key in wanted}
        if selectors[0].fallback_policy == _KEYS_SUBSET and len(kept) < len(wanted):
            return _chosen(endpoints, kept, config)
        fallback = _FALLBACKS.get(selectors[0].fallback_policy, config.fallback_policy)
    else:
        fallback = config.fallback_policy
    if fallback == _ANY_ENDPOINT:
        return endpoints
    if fallback == _DEFAULT_SUBSET:
        return _matching(endpoints, xds.to_dict(config.default_subset), list_as_any=config.list_as_any)
    return []


def _matching(endpoints: list[Endpoint], wanted: dict[str, Any], *, list_as_any: bool) -> list[Endpoint]:
    return [
        endpoint
        for endpoint in endpoints
        if all(_equals(endpoint.subset.get(key), value, list_as_any=list_as_any) for key, value in wanted.items())
    ]


def _equals(have: Any, wanted: Any, *, list_as_any: bool) -> bool:
    if list_as_any and isinstance(have, list):
        return wanted in have
    return bool(have == wanted)
