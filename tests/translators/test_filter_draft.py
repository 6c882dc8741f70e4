"""Draws of filters: independent of each other, and alike where routes count together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas import xds
from translators.block import abort
from translators.expr import ALWAYS, NEVER, equals
from translators.filter_draft import FilterDraft
from translators.findings import Findings
from translators.policy import Policy
from translators.route_context import Part
from translators.where import Where

HALF, ALL, NONE = 50, 100, 0
DRAWS = 6
PLACE = Where(xds.ROUTE_CONFIGURATION, "routes")
draws = st.lists(st.tuples(st.sampled_from([HALF, ALL, NONE]), st.booleans()), max_size=12)


def share(percent: int) -> xds.Message:
    return xds.message_class("envoy.type.v3.FractionalPercent")(numerator=percent)


@given(draws)
def test_draws_are_independent_as_long_as_there_are_digits(drawn: list[tuple[int, bool]]):
    draft = FilterDraft()
    found = [draft.draw(share(percent), is_shared=is_shared) for percent, is_shared in drawn]
    real = [condition for condition in found if condition not in (ALWAYS, NEVER)]
    assert len(real) == sum(percent == HALF for percent, _ in drawn)
    assert len(set(real[:DRAWS])) == len(real[:DRAWS])


@given(draws)
def test_what_routes_share_does_not_depend_on_what_else_is_drawn(drawn: list[tuple[int, bool]]):
    draft, other = FilterDraft(), FilterDraft()
    found = [draft.draw(share(percent), is_shared=is_shared) for percent, is_shared in drawn]
    shared = [other.draw(share(percent), is_shared=True) for percent, is_shared in drawn if is_shared]
    assert [one for one, (_, is_shared) in zip(found, drawn, strict=True) if is_shared] == shared


def test_a_draw_of_the_route_itself_is_another_one():
    """The first eight digits draw runtime fractions and weighted clusters."""
    draft = FilterDraft()
    for is_shared in (False, True) * DRAWS:
        _, _, pattern = draft.draw(share(HALF), is_shared=is_shared)
        skipped = int(pattern[len(r"\A.{") : pattern.index("}")])
        assert 8 <= skipped <= 28


def test_what_closes_a_route_is_no_local_reply_and_what_a_filter_refuses_is():
    draft = FilterDraft()
    draft.answer("limit", abort(429), (equals("host", "a"),))
    draft.deny("HF-CODE")
    assert [guard.is_local_reply for guard in draft.guards] == [True, False]
    assert [part.is_local_reply for part in draft.guard_parts(Part(), (), PLACE, Findings(Policy()))] == [True, False]
