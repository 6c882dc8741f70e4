"""Routes that lead to clusters: upstreams, shares of requests, timeouts, and what is changed on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.block import UNAVAILABLE, UNSET_STATUS, abort, answer_part, denial
from translators.filters import run_filters
from translators.header_step import Step
from translators.headers import fold
from translators.level import level_place, level_steps
from translators.local_reply import reply_plugins
from translators.mappings.action.cluster import not_found_status, upstream_of
from translators.mappings.action.host_rewrite import rewrite_host
from translators.mappings.action.retry_policy import report_lost
from translators.mappings.action.timeout import timeout_of
from translators.mappings.action.upgrade_configs import is_upgrading
from translators.mappings.action.weighted_clusters import (
    needs_routes,
    read_shares,
    report_draw,
    traffic_split,
    upstream_of_share,
)
from translators.plugin_phase import answered
from translators.route_context import Part
from translators.route_draft import RouteDraft
from translators.variant import BLACKHOLE_ID

if TYPE_CHECKING:
    from schemas import xds
    from translators.filters import FilterDraft
    from translators.findings import Findings
    from translators.format_string import Side
    from translators.mappings.action.weighted_clusters import Share
    from translators.route_context import RouteContext
    from translators.where import Where


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
            return self._to_cluster(self._action.cluster)
        if kind == "weighted_clusters":
            return self._to_weighted()
        code = {"cluster_header": "RA-CLUSTER-HEADER", None: "RT-ACTION"}.get(kind, "RA-CLUSTER-PLUGIN")
        if kind is None:
            self._findings.report(code, self._place)
        return self._guarded(self._filters(), denial(UNAVAILABLE, code))

    def _report_retries(self) -> None:
        virtual_host = self._context.virtual_host
        if self._action.HasField("retry_policy"):
            place = self._place.field("retry_policy")
            dispatch.apply(self._action.retry_policy, None, place, self._findings)
            report_lost(self._action.retry_policy, place, self._findings)
        elif virtual_host is not None and virtual_host.HasField("retry_policy"):
            place = level_place(virtual_host, self._at).field("retry_policy")
            report_lost(virtual_host.retry_policy, place, self._findings)

    def _filters(self, weighted: xds.Message | None = None) -> FilterDraft:
        return run_filters(self._context, self._route, self._at, self._findings, weighted)

    def _guarded(self, filters: FilterDraft, part: Part, weighted: xds.Message | None = None) -> list[Part]:
        """Put what filters answer in front; the mutations of the route touch these answers too (section 14.10)."""
        if not filters.guards:
            return [part]
        constants = {"RESPONSE_CODE": UNSET_STATUS}
        steps = [*self._level_steps(weighted, "response", constants), *filters.response_steps()]
        return filters.guarded(part, reply_plugins(steps, self._at, self._findings))

    def _to_cluster(self, name: str) -> list[Part]:
        filters = self._filters()
        if filters.is_closed:
            return self._guarded(filters, Part())
        place = self._place.field("cluster")
        upstream = upstream_of(name, self._action, self._context, place, self._findings)
        part = self._not_found(upstream, filters)
        if part is None:
            plugins = self._plugins(filters, None, {"UPSTREAM_CLUSTER": name, "UPSTREAM_CLUSTER_RAW": name})
            part = self._part(upstream, [name], plugins)
        return self._guarded(filters, part)

    def _not_found(self, upstream: str, filters: FilterDraft) -> Part | None:
        """Answer for a cluster that does not exist, where not by the 503 of an upstream without nodes."""
        status = not_found_status(self._action)
        if upstream != BLACKHOLE_ID or status == UNAVAILABLE:
            return None
        return answer_part(answered(filters.plugins, abort(status)), status)

    def _part(self, upstream: str, cluster_names: list[str], plugins: dict[str, Any]) -> Part:
        fields: dict[str, Any] = {
            "timeout": timeout_of(self._action, cluster_names, self._context),
            "upstream_id": upstream,
        }
        if is_upgrading(self._context.hcm, self._action):
            fields["enable_websocket"] = True
        if plugins:
            fields["plugins"] = plugins
        return Part(fields=fields)

    def _plugins(
        self,
        filters: FilterDraft,
        weighted: xds.Message | None,
        constants: dict[str, str],
        draft: RouteDraft | None = None,
    ) -> dict[str, Any]:
        internal = Step(removed=tuple(name.lower() for name in self._context.route_config.internal_only_headers))
        request = [internal, *filters.request, *self._level_steps(weighted, "request", constants)]
        response = [*self._level_steps(weighted, "response", constants), *filters.response_steps()]
        draft = draft or self._draft
        is_alone = not (draft.uri or draft.regex_uri or draft.host)
        folded = fold(request, "request", self._at, self._findings, is_alone=is_alone)
        answer = fold(response, "response", self._at, self._findings, request=folded)
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
            return self._guarded(self._filters(), denial(UNAVAILABLE, "CFG-INVALID"))
        if needs_routes(shares) or self._answers_unknown(shares):
            return [part for one in shares for part in self._split_parts(one)]
        return self._range_parts(shares, len(weighted.clusters))

    def _answers_unknown(self, shares: list[Share]) -> bool:
        """Tell whether a cluster does not exist and its share wants another answer than an upstream can give."""
        is_incomplete = any(one.entry.name not in self._context.clusters for one in shares)
        return is_incomplete and not_found_status(self._action) != UNAVAILABLE

    def _range_parts(self, shares: list[Share], entry_count: int) -> list[Part]:
        """Draw in a plugin whose configuration stands apart, so that a new weight does not touch the route."""
        filters = self._filters()
        if filters.is_closed:
            return self._guarded(filters, Part())
        upstreams = [upstream_of_share(one, self._action, self._context, self._findings) for one in shares]
        plugins = self._plugins(filters, None, {})
        part = self._part(upstreams[0], [one.entry.name for one in shares], plugins)
        if entry_count > 1:
            part = replace(part, volatile=traffic_split(shares, upstreams))
        return self._guarded(filters, part)

    def _split_parts(self, one: Share) -> list[Part]:
        """Draw by the route's own conditions: the entry has headers, filters or a host of its own."""
        conditions = (one.condition,) if one.condition is not None else ()
        filters = self._filters(one.entry)
        part = Part() if filters.is_closed else self._share_part(one, filters)
        return self._guarded(filters, replace(part, suffix=one.suffix, conditions=conditions), one.entry)

    def _share_part(self, one: Share, filters: FilterDraft) -> Part:
        draft = replace(self._draft)
        if one.entry.host_rewrite_literal:
            draft.host = ""
            rewrite_host(self._action, one.entry, draft, one.at.field("host_rewrite_literal"), self._findings)
        upstream = upstream_of_share(one, self._action, self._context, self._findings)
        if (answer := self._not_found(upstream, filters)) is not None:
            return answer
        constants = {"UPSTREAM_CLUSTER": one.entry.name, "UPSTREAM_CLUSTER_RAW": one.entry.name}
        plugins = self._plugins(filters, one.entry, constants, draft)
        return self._part(upstream, [one.entry.name], plugins)
