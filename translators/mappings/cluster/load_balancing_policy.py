"""Source: Cluster.lb_policy, Cluster.load_balancing_policy.

Target: upstream.type (roundrobin, least_conn, chash, ewma).
Fidelity: E for round robin, least request and the hashes; A for random, pick_first and client-side WRR.
Differs: least_conn counts per worker; ring sizes and hash functions are nginx's own; ewma ignores weights.
Diagnostics: CL-FEATURE for a policy that has no counterpart.
See: mapping.md sections 6.1 and 6.6; corpus-frequency.md, "easy to get wrong" 6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from schemas import xds
from schemas.records import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from translators.findings import Findings
    from translators.upstream_draft import UpstreamDraft
    from translators.where import Where

_PACKAGE = "envoy.extensions.load_balancing_policies."
HASHES = frozenset({"RING_HASH", "MAGLEV"})
_LEAVES = {
    "round_robin.v3.RoundRobin": "ROUND_ROBIN",
    "least_request.v3.LeastRequest": "LEAST_REQUEST",
    "ring_hash.v3.RingHash": "RING_HASH",
    "maglev.v3.Maglev": "MAGLEV",
    "random.v3.Random": "RANDOM",
    "pick_first.v3.PickFirst": "PICK_FIRST",
    "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin": "CLIENT_SIDE_WEIGHTED_ROUND_ROBIN",
    "cluster_provided.v3.ClusterProvided": "CLUSTER_PROVIDED",
}
_NO_SLOW_START = "new endpoints get their full share at once"
_TYPES = {"LEAST_REQUEST": "least_conn", "CLIENT_SIDE_WEIGHTED_ROUND_ROBIN": "ewma"}


@dataclass(frozen=True, slots=True)
class LbPolicy:
    """The policy that is in force.

    Attributes:
        name: as in the enum Cluster.LbPolicy; extension policies by their upper-case name; `UNSUPPORTED` when no
            policy of an extension list is known.
        is_locality_weighted: locality weights count (mapping.md section 6.2).
        subset: the Subset or LbSubsetConfig message around it, if any.
        is_slow_starting: an extension policy lets new endpoints warm up.
    """

    name: str
    is_locality_weighted: bool = False
    subset: xds.Message | None = None
    is_slow_starting: bool = False


def effective_policy(cluster: xds.Message) -> LbPolicy:
    """Find the policy of a cluster: the first supported one of the extension list, else the enum's."""
    if cluster.HasField("load_balancing_policy"):
        return _first_supported(cluster.load_balancing_policy.policies) or LbPolicy("UNSUPPORTED")
    return LbPolicy(
        _enum_names().get(cluster.lb_policy, "UNSUPPORTED"),
        cluster.common_lb_config.HasField("locality_weighted_lb_config"),
        cluster.lb_subset_config if cluster.HasField("lb_subset_config") else None,
    )


@cache
def _enum_names() -> dict[int, str]:
    """Give the names of Cluster.LbPolicy: looked up once, descriptors are slow and every route asks."""
    enum = xds.message_class(xds.CLUSTER).DESCRIPTOR.fields_by_name["lb_policy"].enum_type
    return {number: value.name for number, value in enum.values_by_number.items()}


def apply(cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Report lb_policy or load_balancing_policy when nothing in it is supported, and what of it is not followed."""
    if draft.policy.is_slow_starting:
        place = at.field("load_balancing_policy")
        findings.report("CL-FEATURE", place, value="slow_start_config", effect=_NO_SLOW_START, severity=Severity.INFO)
    if draft.policy.name == "UNSUPPORTED":
        field = "load_balancing_policy" if cluster.HasField("load_balancing_policy") else "lb_policy"
        findings.report("CL-FEATURE", at.field(field), effect="round robin is used instead of the policy")


def apply_slow_start(cluster: xds.Message, _draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read round_robin_lb_config and least_request_lb_config: APISIX has no slow start; the rest is tuning."""
    field = cluster.WhichOneof("lb_config")
    if getattr(cluster, field).HasField("slow_start_config"):
        findings.report(
            "CL-FEATURE",
            at.field(field).field("slow_start_config"),
            effect=_NO_SLOW_START,
            severity=Severity.INFO,
        )


def type_of(policy: LbPolicy, hash_on: str) -> str:
    """Give upstream.type; a hash policy without a key to hash falls back to round robin (Envoy: random)."""
    if policy.name in HASHES:
        return "chash" if hash_on else "roundrobin"
    return _TYPES.get(policy.name, "roundrobin")


def _first_supported(policies: Iterable[xds.Message]) -> LbPolicy | None:
    for policy in policies:
        inner = xds.unpack(policy.typed_extension_config.typed_config)
        found = _extension(inner) if inner is not None else None
        if found is not None:
            return found
    return None


def _extension(policy: xds.Message) -> LbPolicy | None:
    short = policy.DESCRIPTOR.full_name.removeprefix(_PACKAGE)
    if short in _WRAPPERS:
        return _WRAPPERS[short](policy)
    if short in _LEAVES:
        return LbPolicy(_LEAVES[short], _has_locality_weights(policy), is_slow_starting=_is_slow_starting(policy))
    return None


def _is_slow_starting(policy: xds.Message) -> bool:
    return "slow_start_config" in policy.DESCRIPTOR.fields_by_name and bool(policy.HasField("slow_start_config"))


def _has_locality_weights(policy: xds.Message) -> bool:
    fields = policy.DESCRIPTOR.fields_by_name
    if "locality_lb_config" in fields:
        return bool(policy.locality_lb_config.HasField("locality_weighted_lb_config"))
    return "locality_weighted_lb_config" in fields and bool(policy.HasField("locality_weighted_lb_config"))


def _wrr_locality(policy: xds.Message) -> LbPolicy | None:
    child = _first_supported(policy.endpoint_picking_policy.policies)
    return replace(child, is_locality_weighted=True) if child is not None else None


def _subset(policy: xds.Message) -> LbPolicy | None:
    child = _first_supported(policy.subset_lb_policy.policies)
    return replace(child, subset=policy) if child is not None else None


def _override_host(policy: xds.Message) -> LbPolicy | None:
    return _first_supported(policy.fallback_policy.policies)


_WRAPPERS: dict[str, Callable[[xds.Message], LbPolicy | None]] = {
    "wrr_locality.v3.WrrLocality": _wrr_locality,
    "subset.v3.Subset": _subset,
    "override_host.v3.OverrideHost": _override_host,
}
