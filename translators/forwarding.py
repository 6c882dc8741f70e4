"""Routes that lead to clusters: upstreams, shares of requests, timeouts, and what is changed on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.block import UNAVAILABLE, UNSET_STATUS, abort, answer_part, denial
from translators.filters import run_filters
from translators.header_order import close_reordered
from translators.headers import fold
from translators.level import level_place, level_steps, mutated_headers
from translators.local_reply import reply_plugins
from translators.mappings.action.cluster import not_found_status, upstream_of
from translators.mappings.action.cluster_header import named_clusters
from translators.mappings.action.host_rewrite import rewrite_host
from translators.mappings.action.request_mirror_policies import mirror_of, mirrors_itself
from translators.mappings.action.retry_policy import report_lost
from translators.mappings.action.timeout import timeout_of
from translators.mappings.action.upgrade_configs import is_upgrading
from translators.mappings.action.weighted_clusters import (
    needs_routes,
    read_shares,
    report_draw,
    traffic_split,
)
from translators.mappings.cluster.circuit_breakers import LIMIT_CONN, limiting
from translators.mappings.endpoint.drop_overloads import dropping, of_cluster, of_shares
from translators.mappings.match.grpc import IS_GRPC
from translators.plugin_phase import answered
from translators.route_context import Part
from translators.route_draft import RouteDraft
from translators.variant import BLACKHOLE_ID, speaks_both

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas import xds
    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.format_string import Side
    from translators.header_step import Step
    from translators.mappings.action.weighted_clusters import Share
    from translators.route_context import RouteContext
    from translators.where import Where

_ORIGIN = "origin"
"""The header that a condition on the response needs as the client sent it."""


class Forwarding:
    """Translates a route that leads to clusters."""

    def __init__(self, route: xds.Message, context: RouteContext, at: Where, findings: Findings) -> None:
        self._route = route
        self._action = route.route
        self._context = context
        self._at = at
        self._place = at.field("route")
        self._findings = findings
        self._draft = RouteDraft(route, context)

    def parts(self) -> list[Part]:
        """Give the parts."""
        dispatch.apply(self._action, self._draft, self._place, self._findings)
        self._report_retries()
        kind = self._action.WhichOneof("cluster_specifier")
        if kind == "cluster":
            place = self._place.field(kind)
            return self._behind_filters(lambda filters: self._cluster_parts(self._action.cluster, filters, place))
        if kind == "weighted_clusters":
            return self._to_weighted()
        if kind == "cluster_header":
            place = self._place.field(kind)
            return self._behind_filters(lambda filters: self._header_parts(self._action.cluster_header, filters, place))
        code = "RT-ACTION" if kind is None else "RA-CLUSTER-PLUGIN"
        if kind is None:
            self._findings.report(code, self._place)
        return self._denied(code)

    def _report_retries(self) -> None:
        virtual_host = self._context.virtual_host
        if self._action.HasField("retry_policy"):
            place = self._place.field("retry_policy")
            dispatch.apply(self._action.retry_policy, None, place, self._findings)
            report_lost(self._action.retry_policy, place, self._findings)
        elif virtual_host is not None and virtual_host.HasField("retry_policy"):
            place = level_place(virtual_host, self._at).field("retry_policy")
            report_lost(virtual_host.retry_policy, place, self._findings)

    def _filters(self, weighted: xds.Message | None = None) -> list[FilterDraft]:
        """Give what stands one after the other; two drafts where some responses are mutated otherwise than others."""
        draft = run_filters(self._context, self._route, self._at, self._findings, weighted)
        if draft.readings and not draft.is_closed:
            close_reordered(draft, mutated_headers(self._route, self._context, weighted), self._findings)
        if draft.conditional is None:
            return [draft]
        request = [*draft.request, *self._level_steps(weighted, "request", {})]
        is_alone = not (
            any(step.touches(_ORIGIN) for step in request)
            or draft.response_steps(is_early=True)
            or self._level_steps(weighted, "response", {})
        )
        return draft.variants(is_alone=is_alone)

    def _guarded(self, filters: FilterDraft, part: Part, weighted: xds.Message | None = None) -> list[Part]:
        """Put what filters answer in front; the mutations of the route touch these answers too (section 14.10)."""
        return [*self._guards(filters, part, weighted), *([] if filters.is_closed else [filters.subject(part)])]

    def _guards(
        self, filters: FilterDraft, part: Part | None = None, weighted: xds.Message | None = None
    ) -> list[Part]:
        """Give what filters answer in front of a part; of the whole route unless a part is named."""
        if not filters.guards:
            return []
        levels = self._level_steps(weighted, "response", {"RESPONSE_CODE": UNSET_STATUS})
        return filters.guard_parts(part or Part(), levels, self._at, self._findings)

    def _denied(self, code: str) -> list[Part]:
        draft = run_filters(self._context, self._route, self._at, self._findings)
        return self._guarded(draft, denial(UNAVAILABLE, code))

    def _behind_filters(self, parts_of: Callable[[FilterDraft], list[Part]]) -> list[Part]:
        """Give what filters answer, and behind it what each draft of them leads to."""
        found: list[Part] = []
        for filters in self._filters():
            found += self._guards(filters)
            if not filters.is_closed:
                found += map(filters.subject, parts_of(filters))
        return found

    def _unknown(self, filters: FilterDraft, weighted: xds.Message | None = None) -> Part:
        """Answer for a cluster that does not exist; the mutations of the route touch this answer too."""
        status = not_found_status(self._action)
        constants = {"RESPONSE_CODE": UNSET_STATUS}
        steps = [*self._level_steps(weighted, "response", constants), *filters.response_steps()]
        condition = filters.response_condition
        reply = reply_plugins(steps, self._at, self._findings, condition=condition)
        return answer_part(answered(filters.plugins, abort(status)) | reply, status)

    def _header_parts(
        self, header: str, filters: FilterDraft, at: Where, weighted: xds.Message | None = None
    ) -> list[Part]:
        """Give a part per cluster that a request may name, and the answer to those that name none."""
        named = named_clusters(header, self._context, filters.request, at, self._findings)
        if named is None:
            return [denial(UNAVAILABLE, "RA-CLUSTER-HEADER")]
        parts: list[Part] = []
        for name, condition in named:
            parts += _within(name, (condition,), self._cluster_parts(name, filters, at, weighted))
        return [*parts, self._unknown(filters, weighted)]

    def _part(self, upstream: str, cluster_names: list[str], plugins: dict[str, Any], *, is_grpc: bool = False) -> Part:
        plugins = plugins | self._breaker(cluster_names)
        fields: dict[str, Any] = {
            "timeout": timeout_of(self._action, cluster_names, self._context),
            "upstream_id": upstream,
        }
        if is_upgrading(self._context.hcm, self._action):
            fields["enable_websocket"] = True
        mirror = mirror_of(self._action, cluster_names, self._context, self._place, self._findings, is_grpc=is_grpc)
        if mirror and "proxy-rewrite" not in plugins:
            # What proxy-mirror sends on is the decoded path, unless proxy-rewrite has set another.
            plugins = {**plugins, "proxy-rewrite": {"use_real_request_uri_unsafe": True}}
        if plugins:
            fields["plugins"] = plugins
        return Part(fields=fields, volatile=mirror)

    def _breaker(self, cluster_names: list[str]) -> dict[str, Any]:
        """Give the plugin that limits the requests to a cluster, if the policy wants it."""
        context = self._context
        if context.policy.circuit_breakers != LIMIT_CONN:
            return {}
        found = [limiting(context.clusters.get(name), self._action.priority) for name in cluster_names]
        if len(found) > 1 and any(found):
            self._findings.report("CL-BREAKER", self._place.field("weighted_clusters"))
            return {}
        return found[0]

    def _plugins(
        self,
        filters: FilterDraft,
        weighted: xds.Message | None,
        constants: dict[str, str],
        draft: RouteDraft | None = None,
    ) -> dict[str, Any]:
        request = [*filters.request, *self._level_steps(weighted, "request", constants)]
        response = [*self._level_steps(weighted, "response", constants), *filters.response_steps()]
        draft = draft or self._draft
        is_alone = not (draft.uri or draft.regex_uri or draft.host)
        folded = fold(request, "request", self._at, self._findings, is_alone=is_alone)
        answer = fold(response, "response", self._at, self._findings, request=folded)
        answer = answer.only_if(filters.response_condition)
        return filters.plugins | draft.plugins(folded, answer)

    def _level_steps(self, weighted: xds.Message | None, side: Side, constants: dict[str, str]) -> list[Step]:
        return level_steps(
            self._route, self._context, side, self._at, self._findings, weighted=weighted, constants=constants
        )

    def _to_weighted(self) -> list[Part]:
        weighted, place = self._action.weighted_clusters, self._place.field("weighted_clusters")
        dispatch.apply(weighted, None, place, self._findings)
        report_draw(weighted, place, self._findings)
        shares = read_shares(weighted, place)
        for one in shares:
            dispatch.apply(one.entry, None, one.at, self._findings)
        if not shares:
            self._findings.report("CFG-INVALID", place, value="all weights are 0", effect="the route answers 503")
            return self._denied("CFG-INVALID")
        if needs_routes(shares) or self._answers_unknown(shares) or self._is_apart(shares):
            return [part for one in shares for part in self._split_parts(one)]
        return [
            part for filters in self._filters() for part in self._range_parts(shares, list(weighted.clusters), filters)
        ]

    def _answers_unknown(self, shares: list[Share]) -> bool:
        """Tell whether a cluster does not exist and its share wants another answer than an upstream can give."""
        is_incomplete = any(one.entry.name not in self._context.clusters for one in shares)
        return is_incomplete and not_found_status(self._action) != UNAVAILABLE

    def _is_apart(self, shares: list[Share]) -> bool:
        """Tell whether what is copied, or how it is spoken, depends on the cluster that is drawn."""
        clusters = [self._context.clusters.get(one.entry.name) for one in shares]
        return any(map(speaks_both, clusters)) or (len(shares) > 1 and any(map(mirrors_itself, clusters)))

    def _range_parts(self, shares: list[Share], entries: list[xds.Message], filters: FilterDraft) -> list[Part]:
        """Draw in a plugin whose configuration stands apart, so that a new weight does not touch the route.

        For the same reason the route's own upstream, which is never used, and its timeout do not depend on who has a
        weight at the moment.
        """
        if filters.is_closed:
            return self._guarded(filters, Part())
        upstreams = [
            upstream_of(one.entry.name, self._action, self._context, one.at, self._findings, weighted=one.entry)
            for one in shares
        ]
        plugins = self._plugins(filters, None, {})
        part = self._part(upstreams[0], [one.entry.name for one in shares], plugins)
        if len(entries) > 1:
            lasting = {
                "timeout": timeout_of(self._action, [entry.name for entry in entries], self._context),
                "upstream_id": self._first_upstream(entries),
            }
            volatile = {**part.volatile, **traffic_split(shares, upstreams)}
            part = part._replace(fields=part.fields | lasting, volatile=volatile)
        part = self._dropping(part, of_shares(shares), filters)
        return self._guarded(filters, part)

    def _dropping(self, part: Part, clusters: list[tuple[str, Expr]], filters: FilterDraft) -> Part:
        """Give a part that drops what the clusters it leads to say of overload."""
        if not self._context.assignments:
            return part
        plugin = dropping(clusters, filters, self._context, self._place, self._findings)
        return part._replace(volatile=part.volatile | plugin)

    def _first_upstream(self, entries: list[xds.Message]) -> str:
        """Give the upstream of the first entry whose cluster exists, whatever its weight."""
        for entry in entries:
            if entry.name in self._context.clusters:
                return upstream_of(entry.name, self._action, self._context, self._place, self._findings, weighted=entry)
        return BLACKHOLE_ID

    def _split_parts(self, one: Share) -> list[Part]:
        """Draw by the route's own conditions: the entry has headers, filters or a host of its own."""
        conditions = (one.condition,) if one.condition is not None else ()
        found: list[Part] = []
        for filters in self._filters(one.entry):
            parts: list[Part] = []
            if one.entry.cluster_header and not filters.is_closed:
                at = one.at.field("cluster_header")
                parts = self._header_parts(one.entry.cluster_header, filters, at, one.entry)
            elif not filters.is_closed:
                parts = self._cluster_parts(one.entry.name, filters, one.at, one.entry)
            found += self._guards(filters, Part(suffix=one.suffix, conditions=conditions), one.entry)
            found += _within(one.suffix, conditions, map(filters.subject, parts))
        return found

    def _cluster_parts(
        self, name: str, filters: FilterDraft, at: Where, weighted: xds.Message | None = None
    ) -> list[Part]:
        """Give the parts that lead to one cluster: two where it speaks two protocols, one answer where there is none.

        A weighted entry has mutations, and perhaps a host, of its own.
        """
        upstream = upstream_of(name, self._action, self._context, at, self._findings, weighted=weighted)
        if upstream == BLACKHOLE_ID and not_found_status(self._action) != UNAVAILABLE:
            return [self._unknown(filters, weighted)]
        draft = self._draft
        if weighted is not None and weighted.host_rewrite_literal:
            draft = replace(draft, host="")
            rewrite_host(self._action, weighted, draft, at.field("host_rewrite_literal"), self._findings)
        plugins = self._plugins(filters, weighted, {"UPSTREAM_CLUSTER": name, "UPSTREAM_CLUSTER_RAW": name}, draft)
        part = self._dropping(self._part(upstream, [name], plugins), of_cluster(name), filters)
        if not speaks_both(self._context.clusters.get(name)):
            return [part]
        upstream = upstream_of(name, self._action, self._context, at, self._findings, weighted=weighted, is_grpc=True)
        grpc = self._dropping(self._part(upstream, [name], plugins, is_grpc=True), of_cluster(name), filters)
        return [*_within("grpc", (IS_GRPC,), [grpc]), part]


def _within(suffix: str, conditions: tuple[Expr, ...], parts: Iterable[Part]) -> list[Part]:
    """Give parts under a further condition."""
    return [
        part._replace(
            suffix=".".join(filter(None, (suffix, part.suffix))),
            conditions=(*conditions, *part.conditions),
        )
        for part in parts
    ]
