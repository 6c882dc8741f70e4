"""Source: RouteAction.hash_policy.

Target: the variant of the upstream (hash_on, key); here only what is lost is said.
Fidelity: A.
Differs: cookies are read, never generated.
Diagnostics: RA-HASH-COOKIE.
See: mapping.md section 5.7.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.cluster.hash_policy import l7_hash
from translators.mappings.cluster.load_balancing_policy import HASHES, effective_policy

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.route_draft import RouteDraft
    from translators.where import Where

_IGNORED_EFFECT = "this source of the hash is ignored"


def apply(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> None:
    """Report sources that cannot be hashed, and cookies that Envoy would generate, where a cluster hashes at all."""
    names = {action.cluster, *(entry.name for entry in action.weighted_clusters.clusters)}
    is_open = bool(action.cluster_header)
    clusters = [cluster for name, cluster in draft.context.clusters.items() if is_open or name in names]
    if not any(effective_policy(cluster).name in HASHES for cluster in clusters):
        return
    for index, policy in enumerate(action.hash_policy):
        place = at.item("hash_policy", index)
        if l7_hash([policy]) == ("", ""):
            findings.report("RA-HASH-COOKIE", place, effect=_IGNORED_EFFECT, remedy="hash a header or the address")
        elif policy.cookie.HasField("ttl"):
            findings.report("RA-HASH-COOKIE", place.field("cookie.ttl"))
