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

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

_IGNORED_EFFECT = "this source of the hash is ignored"


def apply(action: xds.Message, _draft: object, at: Where, findings: Findings) -> None:
    """Report sources that cannot be hashed, and cookies that Envoy would generate."""
    for index, policy in enumerate(action.hash_policy):
        place = at.item("hash_policy", index)
        if l7_hash([policy]) == ("", ""):
            findings.report("RA-HASH-COOKIE", place, effect=_IGNORED_EFFECT, remedy="hash a header or the address")
        elif policy.cookie.HasField("ttl"):
            findings.report("RA-HASH-COOKIE", place.field("cookie.ttl"))
