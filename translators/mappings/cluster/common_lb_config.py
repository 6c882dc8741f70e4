"""Source: Cluster.common_lb_config.

Target: which endpoints become nodes (panic threshold), weights of localities.
Fidelity: A.
Differs: the panic threshold is applied to the health that discovery reports, at translation time.
Diagnostics: none.
See: mapping.md sections 6.1 and 6.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.upstream_draft import UpstreamDraft
    from translators.where import Where


def apply(cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read the fields of common_lb_config."""
    dispatch.apply(cluster.common_lb_config, draft, at.field("common_lb_config"), findings)


def apply_panic_threshold(config: xds.Message, draft: UpstreamDraft, _at: Where, _findings: Findings) -> None:
    """Read healthy_panic_threshold."""
    draft.panic_threshold_percent = config.healthy_panic_threshold.value


def apply_zone_aware(config: xds.Message, draft: UpstreamDraft, _at: Where, _findings: Findings) -> None:
    """Read zone_aware_lb_config: where the node stands is unknown, so only its panic setting counts."""
    draft.fails_on_panic = config.zone_aware_lb_config.fail_traffic_on_panic
