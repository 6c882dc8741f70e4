"""What surrounds virtual hosts is remembered: nothing of it may depend on which unit, or whose policy, came first."""

from __future__ import annotations

from typing import Any

from tests.translators.unit_builder import LISTENER, http_unit
from translators import surrounding, translate
from translators.policy import Action, Policy
from translators.surrounding import surrounding_of
from translators.unit_view import UnitView

REFUSED = {"stat_prefix": "web", "http_filters": [{"name": "unheard-of"}]}
GOOD = {"prefix": "/"}
COLLIDING = {"prefix": "/a", "headers": [{"name": "x-user", "string_match": {"exact": "eve"}}]}


def unit(name: str, *matches: dict[str, Any], hcm: dict[str, Any] | None = None, **options: Any):
    routes = [{"match": match, "direct_response": {"status": 403}} for match in matches]
    host = {"name": name, "domains": [f"{name}.example"], "routes": routes}
    return http_unit([host], hcm=hcm, **options)


def found_in(bundle) -> list[tuple[str, str]]:
    return [(one.code, one.path) for one in bundle.diagnostics]


def test_units_of_a_chain_share_what_surrounds_them():
    policy = Policy()
    first, second = (surrounding_of(UnitView(unit(name, GOOD)), policy) for name in ("a", "b"))
    assert first is not None
    assert first is second


def test_another_listener_neighbour_or_policy_is_read_anew():
    policy = Policy()
    listener = {**LISTENER, "address": {"socket_address": {"address": "10.0.0.1", "port_value": 8080}}}
    first = surrounding_of(UnitView(unit("a", GOOD)), policy)
    others = [
        surrounding_of(UnitView(unit("a", GOOD, listener=listener)), policy),
        surrounding_of(UnitView(unit("a", GOOD, siblings=[{**listener, "name": "other"}])), policy),
        surrounding_of(UnitView(unit("a", GOOD, hcm={"stat_prefix": "x"})), policy),
        surrounding_of(UnitView(unit("a", GOOD)), Policy()),
    ]
    assert all(other is not first for other in others)


def test_every_unit_tells_what_was_found_about_its_chain():
    policy = Policy()
    listener = {**LISTENER, "use_original_dst": True, "address": {"pipe": {"path": "/run/x"}}}
    first, second = (translate(unit(name, GOOD, listener=listener), policy) for name in ("a", "b"))
    assert "LST-ADDR" in [code for code, _ in found_in(first)]
    assert found_in(first) == found_in(second)


def test_what_one_policy_allows_is_not_allowed_to_another():
    strict, lenient = Policy(), Policy(overrides={"HF-UNKNOWN": Action.ALLOW})
    alone = [translate(unit("a", GOOD, hcm=REFUSED), policy) for policy in (lenient, strict)]
    again = [translate(unit("a", GOOD, hcm=REFUSED), policy) for policy in (strict, lenient)]
    assert [one.objects for one in alone] == [one.objects for one in reversed(again)]
    assert alone[0].objects != alone[1].objects


def test_equal_matches_are_found_fault_with_where_they_stand():
    policy = Policy()
    first = translate(unit("a", COLLIDING), policy)
    second = translate(unit("b", GOOD, COLLIDING), policy)
    third = translate(unit("b", GOOD, COLLIDING), Policy())
    assert found_in(first) == [("RT-HEADER", "virtual_hosts[a].routes[0].match.headers[x-user]")]
    assert found_in(second) == found_in(third)
    assert ("RT-HEADER", "virtual_hosts[b].routes[1].match.headers[x-user]") in found_in(second)


def test_no_more_is_remembered_than_said(monkeypatch):
    policy = Policy()
    for number in range(surrounding.MAX_REMEMBERED + 5):
        surrounding_of(UnitView(unit("a", GOOD, hcm={"stat_prefix": str(number)})), policy)
    assert len(surrounding._REMEMBERED) == surrounding.MAX_REMEMBERED
    monkeypatch.setattr(surrounding, "MAX_REMEMBERED_BYTES", 10)
    first, second = (surrounding_of(UnitView(unit("a", GOOD)), policy) for _ in range(2))
    assert first is not second
