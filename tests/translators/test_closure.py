from __future__ import annotations

import random
import re
from time import process_time
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.router import Request, Router, holds
from tests.translators.traffic import paths
from translators.bucket import hostless_order
from translators.closure import MAX_REMEMBERED_RULES, Placement, Rule, place
from translators.expr import equals
from translators.path_key import PathMatch, begins_with, is_at_or_below, is_exactly, matches_regex
from translators.regex import translate_regex

if TYPE_CHECKING:
    from translators.expr import Expr

MAX_SECONDS = 3.0
DOMAINS = ["*", "a*", "ab*", "b*", "*:1", "*:2"]

conditions = st.none() | st.sampled_from(["x", "y"]).map(lambda value: equals("http_h", value))
path_matches = st.one_of(
    paths().map(begins_with),
    paths().map(is_exactly),
    paths().filter(lambda path: not path.endswith("/")).map(is_at_or_below),
    paths().map(lambda path: begins_with(path, ignore_case=True)),
    st.sampled_from(["/a.*", "/v1|/ab", "/[^/]+"]).map(lambda text: matches_regex(translate_regex(text))),
)
lists = st.lists(st.tuples(path_matches, conditions, st.sampled_from(DOMAINS)), min_size=1, max_size=12).map(
    lambda members: sorted(members, key=lambda member: hostless_order(member[2]))
)


def host_regex(domain: str) -> str:
    return f"\\A{domain[:-1]}" if domain.endswith("*") else f"{domain[1:]}\\Z"


def first_match(members: list[tuple[PathMatch, Expr | None, str]], request: Request) -> int | None:
    """Scan the list as Envoy does."""
    for index, (path, condition, host) in enumerate(members):
        wanted = [*path.flat_guard, *([condition] if condition else [])]
        if re.search(host_regex(host), request.host) and all(holds(expression, request) for expression in wanted):
            return index
    return None


def placed(members: list[tuple[PathMatch, Expr | None, str]], max_added_keys: int = 2000) -> list[Placement | None]:
    return place([Rule(path, condition is not None, host) for path, condition, host in members], max_added_keys)[0]


def router_of(
    members: list[tuple[PathMatch, Expr | None, str]], placements: list[Placement | None], seed: int
) -> Router:
    routes = {}
    for index, ((_, condition, host), placement) in enumerate(zip(members, placements, strict=True)):
        if placement is not None:
            guards = [*placement.guard, ("host", "~~", host_regex(host)), *([condition] if condition else [])]
            routes[str(index)] = {"uris": placement.uris, "priority": placement.priority, "vars": guards}
    order = list(routes)
    random.Random(seed).shuffle(order)
    return Router({route: routes[route] for route in order})


requests = st.builds(
    lambda host, path, tail, header: Request(host, (path + tail).replace("//", "/"), variables=header),
    st.sampled_from(["a1", "ab1", "b", "c", "a:1", "ab:2", "c:1"]),
    paths(),
    st.sampled_from(["", "/", "x", "/x/y"]),
    st.sampled_from([{}, {"http_h": "x"}, {"http_h": "y"}]),
)


@given(lists, st.lists(requests, min_size=1, max_size=10), st.integers(0, 9), st.sampled_from([0, 2000]))
def test_the_router_finds_the_first_match(members, asked: list[Request], seed: int, max_added_keys: int):
    """In either mode, and whatever the order in which a node inserts routes of equal rank."""
    router = router_of(members, placed(members, max_added_keys), seed)
    for request in asked:
        found = router.find(request)
        assert (None if found is None else int(found)) == first_match(members, request)


@given(lists, path_matches, st.data())
def test_an_unrelated_rule_changes_no_other(members, path: PathMatch, data: st.DataObject):
    """A rule that shares no key and no prefix with others leaves their documents as they are."""
    own = PathMatch(("/unrelated",), (), ())
    at = data.draw(st.integers(0, len(members)))
    before = [member for member in members if "/*" not in member[0].keys]
    at = min(at, len(before))
    host = before[at - 1][2] if at else (before[0][2] if before else "*")
    after = [*before[:at], (own, None, host), *before[at:]]
    old, new = placed(before), placed(after)
    assert new[:at] + new[at + 1 :] == old


def prefix(text: str) -> PathMatch:
    match = begins_with(text)
    assert match is not None
    return match


def test_a_wide_conditional_rule_stands_under_narrower_keys_too():
    placements, is_flat = place([Rule(prefix("/"), is_conditional=True), Rule(prefix("/a")), Rule(prefix("/"))], 100)
    assert not is_flat
    assert placements == [
        Placement(("/*", "/a*"), 1, ()),
        Placement(("/a*",), 0, ()),
        Placement(("/*",), 0, ()),
    ]


def test_what_an_unconditional_rule_takes_is_shadowed():
    exact, below = is_exactly("/a/b"), is_at_or_below("/a")
    placements, _ = place([Rule(prefix("/a")), Rule(exact), Rule(prefix("/a/b")), Rule(below), Rule(prefix("/b"))], 100)
    assert [placement is not None for placement in placements] == [True, False, False, False, True]


def test_an_exact_rule_shadows_only_its_path():
    placements, _ = place([Rule(is_exactly("/a")), Rule(is_exactly("/a")), Rule(prefix("/a"))], 100)
    assert [placement is not None for placement in placements] == [True, False, True]


def test_rules_of_other_hosts_are_left_alone():
    placements, _ = place([Rule(prefix("/"), domain="a.*"), Rule(prefix("/b"), domain="b.*")], 100)
    assert placements == [Placement(("/*",), 0, ()), Placement(("/b*",), 0, ())]


def test_too_many_keys_lead_to_flat_mode():
    rules = [Rule(prefix("/"), is_conditional=True)] * 8 + [Rule(prefix(f"/{n}")) for n in range(6)]
    placements, is_flat = place(rules, 2000)
    assert is_flat
    assert [placement.priority for placement in placements if placement] == list(range(13, -1, -1))
    assert {placement.uris for placement in placements if placement} == {("/*",)}
    assert place(rules[7:], 5)[1]
    assert not place(rules[7:], 6)[1]


def test_many_routes_are_placed_in_less_than_quadratic_time():
    def seconds(count: int) -> float:
        rules = [Rule(prefix(f"/api/{n % 53}/{n}"), is_conditional=n % 3 == 0) for n in range(count)]
        started = process_time()
        placements, is_flat = place([*rules, Rule(prefix("/"))], 100_000)
        assert not is_flat
        assert sum(placement is not None for placement in placements) > count / 2
        return process_time() - started

    assert seconds(5000) <= MAX_SECONDS


def test_equal_lists_are_placed_alike_and_long_ones_by_the_same_rules():
    rules = [Rule(is_exactly("/a")), Rule(begins_with("/"))]
    assert place(rules, 100) == place(list(rules), 100)
    padding = [Rule(is_exactly(f"/{number}")) for number in range(MAX_REMEMBERED_RULES)]
    placements, _ = place([*rules[:1], *padding, *rules[1:]], 100)
    assert [placements[0], placements[-1]] == list(place(rules, 100)[0])
