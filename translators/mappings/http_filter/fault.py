"""Source: envoy.extensions.filters.http.fault.v3.HTTPFault.

Target: fault-injection: `delay` on the route and on all guards behind it, `abort` as a guard.
Fidelity: E for fixed delays and aborts; N for the others.
Differs: a share has a granularity of 1/65536; faults that are asked for by headers are not injected; a
    delay is waited for before plugins of the access phase refuse.
Diagnostics: HF-UNTRANSLATED, HF-ORDER.
See: mapping.md sections 4.7, 6.6 and 14.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.block import abort
from translators.expr import ALWAYS, NEVER, all_of, any_of, conjuncts, one_of, share
from translators.mappings.action.weighted_clusters import SKIPPED_DIGITS
from translators.mappings.duration import seconds_of
from translators.mappings.match.grpc import IS_GRPC
from translators.mappings.match.headers import header_condition
from translators.plugin_phase import ACCESS_PLUGINS
from translators.regex import RegexError

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"
_BODY = "fault filter abort"
_NODE = "http_x_envoy_downstream_service_node"
_OK = 200
_DELAYED_FIRST = "requests that filters in front refuse are delayed, too"
_DELAY_FIRST = "put the fault filter in front of them"
_NOT_INJECTED = "no faults are injected"
_REMEDY = "inject faults by a fixed delay or abort, chosen by plain header matches"


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Delay and abort requests; a filter that does neither (Istio has one in every listener) is nothing."""
    fault = http_filter.override if http_filter.overrides else http_filter.config
    if http_filter.has_unreadable_override or (fault is not None and fault.DESCRIPTOR.full_name != _FAULT):
        findings.report("HF-UNTRANSLATED", at, effect=_NOT_INJECTED, remedy=_REMEDY)
        return
    if fault is None or (fault.HasField("max_active_faults") and not fault.max_active_faults.value):
        return
    dispatch.apply(fault, None, at, findings)
    for field in ("delay", "abort"):
        dispatch.apply(getattr(fault, field), None, at.field(field), findings)
    condition = _condition(fault, http_filter, at, findings)
    if condition == NEVER:
        return
    # Envoy draws for the abort after the delay; the draws are independent, so their order does not matter.
    is_aborted = all_of((condition, draft.draw(fault.abort.percentage)))
    is_delayed = all_of((condition, draft.draw(fault.delay.percentage)))
    is_delaying = fault.delay.HasField("fixed_delay") and is_delayed != NEVER
    if is_delaying and not _delay(fault.delay, is_delayed, http_filter, draft):
        effect = "requests are delayed by the first filter only"
        findings.report("HF-UNTRANSLATED", at.field("delay"), effect=effect, remedy="delay in one fault filter")
    if is_delaying and draft.reads_mutated(is_delayed):
        findings.report("HF-ORDER", at, effect="delays depend on headers as the client sent them")
    if is_delaying and not ACCESS_PLUGINS.isdisjoint(draft.plugins):
        # fault-injection waits in the rewrite phase, whatever is refused in the access phase.
        findings.report("HF-ORDER", at.field("delay"), effect=_DELAYED_FIRST, remedy=_DELAY_FIRST)
    _abort(fault.abort, is_aborted, http_filter.name, draft)


def _condition(fault: xds.Message, http_filter: EffectiveFilter, at: Where, findings: Findings) -> Expr:
    """Give which requests are subject to faults at all."""
    conditions: list[Expr] = []
    if fault.upstream_cluster:
        conditions.append(_leads_to(fault.upstream_cluster, http_filter.route))
    if fault.downstream_nodes:
        conditions.append(one_of(_NODE, list(fault.downstream_nodes)))
    for index, header in enumerate(fault.headers):
        try:
            found = header_condition(
                header,
                is_proto_overwritten=http_filter.is_proto_overwritten,
                is_path_raw=http_filter.is_path_raw,
            )
        except RegexError:
            found = None
        if found is None:
            findings.report("HF-UNTRANSLATED", at.item("headers", index), effect=_NOT_INJECTED, remedy=_REMEDY)
            return NEVER
        conditions.append(found)
    return all_of(conditions)


def _leads_to(cluster: str, route: xds.Message | None) -> Expr:
    """Hold when the route leads to the cluster; the draw of a weighted one is known by its digits."""
    kind = route.route.WhichOneof("cluster_specifier") if route is not None and route.HasField("route") else None
    if route is None or kind not in ("cluster", "weighted_clusters"):
        return NEVER
    if kind == "cluster":
        return ALWAYS if route.route.cluster == cluster else NEVER
    entries = route.route.weighted_clusters.clusters
    total = sum(entry.weight.value for entry in entries)
    found, start = [], 0
    for entry in entries:
        end = start + entry.weight.value
        if entry.name == cluster:
            found.append(share(start, end, total, skipped_digits=SKIPPED_DIGITS))
        start = end
    return any_of(found)


def _delay(delay: xds.Message, condition: Expr, http_filter: EffectiveFilter, draft: FilterDraft) -> bool:
    """Delay; False when another filter does so already."""
    conf: dict[str, Any] = {"duration": seconds_of(delay.fixed_delay)}
    if condition != ALWAYS:
        conf["vars"] = [conjuncts((condition,))]
    return draft.is_closed or draft.add_plugin("fault-injection", {"delay": conf}, http_filter.index)


def _abort(config: xds.Message, condition: Expr, name: str, draft: FilterDraft) -> None:
    kind = config.WhichOneof("error_type")
    plain = {"Content-Type": "text/plain"}
    if kind == "http_status":
        draft.answer(name, abort(config.http_status, _BODY, plain), (condition,), is_restricting=False)
    elif kind == "grpc_status":
        status = {"Content-Type": "application/grpc", "grpc-message": _BODY, "grpc-status": str(config.grpc_status)}
        draft.answer(name, abort(_OK, "", status), (IS_GRPC, condition), is_restricting=False)
        # Whoever does not speak gRPC is answered 200 by Envoy, whatever the status.
        draft.answer(name, abort(_OK, _BODY, plain), (condition,), is_restricting=False)
