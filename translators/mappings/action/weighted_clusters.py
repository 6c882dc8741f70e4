"""Source: RouteAction.weighted_clusters (WeightedCluster, ClusterWeight).

Target: traffic-split by ranges of $request_id; one route per cluster where entries change headers, filters or the host.
Fidelity: E; A for header_name and use_hash_policy.
Differs: the draw has a granularity of 1/65536.
Diagnostics: RA-CLUSTER-UNKNOWN, RA-CLUSTER-HEADER, RA-HASH-COOKIE.
See: mapping.md section 5.7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from translators.expr import ALWAYS, share

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.where import Where

SKIPPED_DIGITS = 4
"""Of $request_id; the first four draw runtime fractions."""
_OWN_FIELDS = (
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
    "typed_per_filter_config",
    "host_rewrite_literal",
)


class Share(NamedTuple):
    """One cluster of a weighted action with what it gets.

    Attributes:
        entry: the ClusterWeight.
        suffix: tells the entries apart, position-free.
        condition: holds for the requests drawn for it, given that no earlier one was; None for the last.
        at: where the entry stands.
    """

    entry: xds.Message
    suffix: str
    condition: Expr | None
    at: Where


def read_shares(weighted: xds.Message, at: Where) -> list[Share]:
    """Give the entries that get requests, in order; empty when all weights are 0.

    Args:
        weighted: the WeightedCluster.
        at: where it stands.
    """
    used = [entry for entry in weighted.clusters if entry.weight.value]
    total = sum(entry.weight.value for entry in used)
    shares: list[Share] = []
    start = 0
    seen: dict[str, int] = {}
    for index, entry in enumerate(used):
        name = entry.name or entry.cluster_header
        count = seen[name] = seen.get(name, 0) + 1
        end = start + entry.weight.value
        is_last = index == len(used) - 1
        condition = None if is_last else share(start, end, total, skipped_digits=SKIPPED_DIGITS)
        suffix = name if count == 1 else f"{name}#{count}"
        shares.append(Share(entry, suffix, condition if condition != ALWAYS else None, at.item("clusters", suffix)))
        start = end
    return shares


def needs_routes(shares: list[Share]) -> bool:
    """Tell whether an entry does something that only a route of its own can do."""
    return any(not one.entry.name for one in shares) or any(
        spec.name in _OWN_FIELDS and bool(value) for share_ in shares for spec, value in share_.entry.ListFields()
    )


def traffic_split(shares: list[Share], upstream_ids: list[str]) -> dict[str, Any]:
    """Give the plugin that sends each share to its upstream; never by WRR weights, whose state is per worker."""
    rules: list[dict[str, Any]] = []
    for one, upstream_id in zip(shares, upstream_ids, strict=True):
        rule: dict[str, Any] = {"weighted_upstreams": [{"upstream_id": upstream_id, "weight": 1}]}
        if one.condition is not None:
            rule["match"] = [{"vars": [one.condition]}]
        rules.append(rule)
    return {"traffic-split": {"rules": rules}}


def report_draw(weighted: xds.Message, at: Where, findings: Findings) -> None:
    """Report draws that are not random in Envoy."""
    if weighted.WhichOneof("random_value_specifier") is not None:
        findings.report(
            "RA-HASH-COOKIE",
            at.field(str(weighted.WhichOneof("random_value_specifier"))),
            effect="the cluster is drawn at random for each request",
            remedy="accept the difference, or use a hash policy in one cluster",
        )
