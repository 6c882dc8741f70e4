"""What the HTTP filters of a route contribute to it, gathered in the order of the filters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from translators.block import FIRST_ERROR, FORBIDDEN, UNAVAILABLE, denial
from translators.expr import ALWAYS, NEVER, all_of, fraction, variables
from translators.header_order import Reading, header_variable, mutated_variables
from translators.local_reply import reply_plugins
from translators.mappings.match.runtime_fraction import DENOMINATORS
from translators.plugin_phase import answered, priority_of
from translators.route_context import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.header_step import Step
    from translators.verified_token import VerifiedToken
    from translators.where import Where

_FORBIDDING = frozenset({"HF-RESTRICT", "AUTH-JWT-AUD", "AUTH-JWKS"})
"""Codes of filters that ask who the client is; all others answer 503."""
_FIRST_DRAW, _DRAW_DIGITS, _MAX_DRAWS = 8, 4, 6
"""The first eight digits of the request id draw runtime fractions and weighted clusters; it has 32."""
_SUBJECT = "@conditional"
"""Tells the routes whose responses are mutated conditionally from those without, in their ids."""
_OF_THE_UPSTREAM = frozenset(("grpc-web",))
"""Plugins that only matter to what goes to an upstream, so that no answer has to wait for them."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a filter answers itself: a route in front of the one it guards (mapping.md section 14.9).

    Attributes:
        name: tells the guards of a route apart; empty for the one that closes it.
        conditions: when it answers.
        plugins: what answers, with all that runs before.
        status: of the answer.
        is_restricting: whoever gets the answer was denied something; false for injected faults.
        is_early: filters whose mutations of the response are conditional come behind it.
        takes_levels: the route's own mutations of responses touch the answer too, if they touch answers at all.
        is_local_reply: as in Part.
    """

    name: str
    conditions: tuple[Expr, ...]
    plugins: dict[str, Any]
    status: int
    is_restricting: bool = True
    is_early: bool = True
    takes_levels: bool = True
    is_local_reply: bool = True


class Conditional(NamedTuple):
    """Mutations of the response to some requests only (CORS).

    Attributes:
        condition: on the request.
        steps: the mutations.
        place: how many filters before it mutate responses.
    """

    condition: Expr
    steps: list[Step]
    place: int


@dataclass(slots=True)
class FilterDraft:
    """What the filters of one route contribute to.

    Attributes:
        guards: answers of filters, in the order of the filters; what follows an unconditional one is never reached.
        plugins: plugins of the route itself, each with its place in Envoy's order.
        request: mutations of the request, in the order of the filters.
        response: mutations of the response, in the order of the filters; Envoy runs them backwards.
        draw_count: how many groups of digits of the request id are used up by draws of filters.
        shared_draw_count: the same of draws that other routes have to take too.
        tokens: by the key of the metadata their payload goes to in Envoy: when the route has verified a token.
        conditional: mutations of the responses to some requests; see `variants`.
        condition: of the route itself, beyond its match.
        readings: headers of the request that plugins look at or set.
        set_by_plugins: variables of those that they set.
    """

    guards: list[Guard] = field(default_factory=list)
    plugins: dict[str, Any] = field(default_factory=dict)
    request: list[Step] = field(default_factory=list)
    response: list[list[Step]] = field(default_factory=list)
    draw_count: int = 0
    shared_draw_count: int = 0
    tokens: dict[str, VerifiedToken] = field(default_factory=dict)
    conditional: Conditional | None = None
    condition: Expr = ALWAYS
    is_closed: bool = False
    """The route itself is never reached."""
    response_condition: Expr = ALWAYS
    """What `conditional` needs where one plugin is to hold it."""
    readings: list[Reading] = field(default_factory=list)
    set_by_plugins: frozenset[str] = frozenset()

    def deny(self, code: str) -> None:
        """Block the route; the first filter that does so decides the answer, as in Envoy."""
        status = FORBIDDEN if code in _FORBIDDING else UNAVAILABLE
        self.answer("", denial(status, code).fields["plugins"], is_local_reply=False)

    def draw(self, share: xds.Message, *, is_shared: bool = False) -> Expr:
        """Draw a share of all requests, independently of all other draws as long as the request id has digits left.

        Args:
            share: envoy.type.v3.FractionalPercent.
            is_shared: routes that count together must draw alike, whatever else draws on one of them: such draws take
                digits from the end.
        """
        last = _MAX_DRAWS - 1
        place = max(last - self.shared_draw_count, 0) if is_shared else min(self.draw_count, last)
        skipped_digits = _FIRST_DRAW + _DRAW_DIGITS * place
        condition = fraction(share.numerator, DENOMINATORS[share.denominator], skipped_digits=skipped_digits)
        if condition not in (ALWAYS, NEVER):
            self.shared_draw_count += is_shared
            self.draw_count += not is_shared
        return condition

    def answer(
        self,
        name: str,
        answer: dict[str, Any],
        conditions: Iterable[Expr] = (),
        *,
        is_restricting: bool = True,
        takes_levels: bool = True,
        is_local_reply: bool = True,
    ) -> None:
        """Answer instead of the route.

        Args:
            name: of the filter, and of the answer where a filter has several.
            answer: plugins among which fault-injection aborts.
            conditions: when; always if there is none.
            is_restricting: an error status means that the request was denied.
            takes_levels: as in Guard.
            is_local_reply: as in Part.
        """
        required = all_of(conditions)
        status = int(answer["fault-injection"]["abort"]["http_status"])
        if required == NEVER or self.is_closed:
            return
        unique = ""
        before = {name: conf for name, conf in self.plugins.items() if name not in _OF_THE_UPSTREAM}
        if required != ALWAYS:
            taken = sum(guard.name.partition("#")[0] == name for guard in self.guards)
            unique = f"{name}#{taken}" if taken else name
        plugins = answered(before, answer)
        conditions = () if required == ALWAYS else (required,)
        is_early = self.conditional is None
        self.guards.append(
            Guard(unique, conditions, plugins, status, is_restricting, is_early, takes_levels, is_local_reply)
        )
        self.is_closed = required == ALWAYS

    def add_plugin(self, name: str, conf: dict[str, Any], index: int, place: int = 0) -> bool:
        """Add a plugin to the route.

        Args:
            name: of the plugin.
            conf: its configuration; `_meta.filter` may say when it runs.
            index: of the filter in the connection manager.
            place: among several plugins of the filter, 0..9; the one with the highest place runs first.

        Returns:
            False when another filter has the plugin already: a route has one of each name, so the caller reports
            HF-DUP and fails closed if the filter restricts.
        """
        if name in self.plugins:
            return False
        meta = {"priority": priority_of(index) + place, **conf.get("_meta", {})}
        self.plugins[name] = {**conf, "_meta": meta}
        return True

    def read_headers(self, names: Iterable[str], at: Where) -> None:
        """Note headers of the request that the filter's plugin looks at in the access phase.

        Args:
            names: of the headers.
            at: the filter.
        """
        known = frozenset(header_variable(name) for name in names)
        if known:
            mutated = known & mutated_variables(self.request)
            self.readings.append(Reading(known, len(self.request), mutated, at))

    def set_headers(self, names: Iterable[str], at: Where) -> None:
        """Note headers of the request that the filter's plugin sets in the access phase, where no mutation follows.

        Args:
            names: of the headers.
            at: the filter.
        """
        known = frozenset(header_variable(name) for name in names)
        if known:
            self.readings.append(Reading(known, len(self.request), frozenset(), at))
            self.set_by_plugins |= known

    def mutated(self) -> frozenset[str]:
        """Give the variables of request headers that filters mutate; guards see them as the client sent them."""
        return mutated_variables(self.request) | self.set_by_plugins

    def reads_mutated(self, condition: Expr) -> bool:
        """Tell whether a condition looks at a header that an earlier filter mutates."""
        return not self.mutated().isdisjoint(variables(condition))

    def mutate_some(self, condition: Expr, steps: list[Step]) -> None:
        """Mutate the responses to some requests, those of later guards too; one filter of a route can do so.

        Args:
            condition: on the request.
            steps: the mutations.
        """
        self.conditional = Conditional(condition, steps, len(self.response))

    def response_steps(self, *, is_early: bool = False) -> list[Step]:
        """Give the mutations of the response in the order in which Envoy evaluates them.

        Args:
            is_early: without the conditional ones.
        """
        lists = list(self.response)
        if self.conditional is not None and not is_early:
            lists.insert(self.conditional.place, self.conditional.steps)
        return [step for steps in reversed(lists) for step in steps]

    def variants(self, *, is_alone: bool) -> list[FilterDraft]:
        """Give what stands one after the other: one draft, or two where mutations of the response are conditional.

        Args:
            is_alone: nothing else mutates responses, so the condition can be that of the plugin.
        """
        if self.conditional is None:
            return [self]
        condition = self.conditional.condition
        if is_alone:
            return [replace(self, response_condition=condition)]
        early = [guard for guard in self.guards if guard.is_early]
        late = [guard for guard in self.guards if not guard.is_early]
        subject = [
            replace(guard, name=f"{guard.name}{_SUBJECT}", conditions=(all_of((condition, *guard.conditions)),))
            for guard in late
        ]
        return [
            replace(self, guards=[*early, *subject], condition=condition),
            replace(self, guards=late, conditional=None),
        ]

    def guarded(self, part: Part, levels: Sequence[Step], at: Where, findings: Findings) -> list[Part]:
        """Give a part with its guards in front of it, or only these where it is never reached.

        Args:
            part: one APISIX route of the Envoy route.
            levels: the route's own mutations of the guards' answers.
            at: the route, for findings.
            findings: receives the diagnostics.
        """
        guards = self.guard_parts(part, levels, at, findings)
        return guards if self.is_closed else [*guards, self.subject(part)]

    def guard_parts(self, part: Part, levels: Sequence[Step], at: Where, findings: Findings) -> list[Part]:
        """Give only what stands in front of a part; see `guarded`."""
        responses: dict[tuple[bool, bool], dict[str, Any]] = {}
        parts = []
        for guard in self.guards:
            kind = guard.takes_levels, guard.is_early
            if kind not in responses:
                steps = [*(levels if guard.takes_levels else ()), *self.response_steps(is_early=guard.is_early)]
                condition = ALWAYS if guard.is_early else self.response_condition
                responses[kind] = reply_plugins(steps, at, findings, condition=condition)
            parts.append(_guard_part(guard, part, responses[kind]))
        return parts

    def subject(self, part: Part) -> Part:
        """Give a part under the condition under which this draft is the one that counts."""
        if self.condition == ALWAYS:
            return part
        return part._replace(suffix=f"{part.suffix}{_SUBJECT}", conditions=(*part.conditions, self.condition))


def _guard_part(guard: Guard, part: Part, response: Mapping[str, Any]) -> Part:
    return Part(
        suffix=".".join(filter(None, (part.suffix, guard.name))),
        conditions=(*part.conditions, *guard.conditions),
        fields={"plugins": {**guard.plugins, **response}},
        is_blocking=guard.is_restricting and guard.status >= FIRST_ERROR,
        is_guard=bool(guard.name),
        is_local_reply=guard.is_local_reply,
    )
