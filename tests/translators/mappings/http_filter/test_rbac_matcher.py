"""A matcher of RBAC lets in exactly whom Envoy lets in, and what nobody can tell counts against the request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.router import Request, holds
from tests.translators.route_parts import Outcome, forwarded, http_filter, route_outcome

PACKAGE = "type.googleapis.com/envoy."
INPUTS = f"{PACKAGE}extensions.matching.common_inputs."
HEADER = {"@type": f"{PACKAGE}type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": "x"}
CLIENT = {"@type": f"{INPUTS}network.v3.SourceIPInput"}
DIRECT = {"@type": f"{INPUTS}network.v3.DirectSourceIPInput"}
SAN = {"@type": f"{INPUTS}ssl.v3.UriSanInput"}
SUBJECT = {"@type": f"{INPUTS}ssl.v3.SubjectInput"}
METADATA = {"@type": f"{INPUTS}network.v3.DynamicMetadataInput", "filter": "f", "path": [{"key": "k"}]}
TRUSTED = {"use_remote_address": True}


def action(name: str = "ALLOW") -> dict[str, Any]:
    config = {"@type": f"{PACKAGE}config.rbac.v3.Action", "name": name, "action": name}
    return {"action": {"name": "a", "typed_config": config}}


def single(read: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    return {"single_predicate": {"input": {"name": "i", "typed_config": read}, "value_match": value}}


def custom(read: dict[str, Any], matcher: dict[str, Any]) -> dict[str, Any]:
    own = {"name": "m", "typed_config": matcher}
    return {"single_predicate": {"input": {"name": "i", "typed_config": read}, "custom_match": own}}


def tree(read: dict[str, Any], **kind: Any) -> dict[str, Any]:
    return {"matcher_tree": {"input": {"name": "i", "typed_config": read}, **kind}}


def listed(*ways: tuple[dict[str, Any], dict[str, Any]], rest: str = "") -> dict[str, Any]:
    matchers = [{"predicate": predicate, "on_match": on_match} for predicate, on_match in ways]
    return {"matcher_list": {"matchers": matchers}, **({"on_no_match": action(rest)} if rest else {})}


def addresses(*prefixes: tuple[str, int]) -> dict[str, Any]:
    ranges = [{"address_prefix": prefix, "prefix_len": length} for prefix, length in prefixes]
    return {"@type": f"{PACKAGE}extensions.matching.input_matchers.ip.v3.Ip", "cidr_ranges": ranges, "stat_prefix": "s"}


def guarded(matcher: dict[str, Any], **levels: Any) -> Outcome:
    return route_outcome(
        forwarded(), filters=[http_filter(".rbac.v3.RBAC", {"matcher": matcher})], **{"hcm": TRUSTED, **levels}
    )


def is_allowed(outcome: Outcome, **variables: str) -> bool:
    """The first part whose conditions hold is taken."""
    request = Request("h", "/", "GET", variables)
    part = next(part for part in outcome.parts if all(holds(condition, request) for condition in part.conditions))
    return "upstream_id" in part.fields


def test_the_first_action_that_is_reached_decides_and_none_denies():
    outcome = guarded(
        listed((single(HEADER, {"exact": "bad"}), action("DENY")), (single(HEADER, {"prefix": "b"}), action()))
    )
    assert [is_allowed(outcome, http_x=text) for text in ("bad", "be", "a")] == [False, True, False]
    assert not is_allowed(outcome)
    assert not outcome.codes


@pytest.mark.parametrize(("name", "allowed"), [("ALLOW", True), ("DENY", False), ("LOG", True)])
def test_what_matches_nothing_gets_the_last_action(name, allowed):
    outcome = guarded(listed((single(HEADER, {"exact": "a"}), action("DENY")), rest=name))
    assert is_allowed(outcome, http_x="b") is allowed
    assert not is_allowed(outcome, http_x="a")


@pytest.mark.parametrize(
    ("read", "variable"),
    [(CLIENT, "remote_addr"), (DIRECT, "realip_remote_addr")],
)
def test_addresses_are_compared(read, variable):
    outcome = guarded(listed((custom(read, addresses(("10.0.0.0", 8), ("192.168.1.0", 24))), action())))
    found = [is_allowed(outcome, **{variable: text}) for text in ("10.1.2.3", "192.168.1.9", "192.168.2.9")]
    assert found == [True, True, False]
    assert not outcome.codes


def test_the_narrowest_range_of_a_tree_decides():
    def range_of(prefix: str, length: int, name: str) -> dict[str, Any]:
        return {"ranges": [{"address_prefix": prefix, "prefix_len": length}], "on_match": action(name)}

    ranges = [range_of("10.0.0.0", 8, "ALLOW"), range_of("10.1.0.0", 16, "DENY")]
    config = {"@type": "type.googleapis.com/xds.type.matcher.v3.IPMatcher", "range_matchers": ranges}
    outcome = guarded(tree(CLIENT, custom_match={"name": "ip", "typed_config": config}))
    assert [is_allowed(outcome, remote_addr=text) for text in ("10.2.0.1", "10.1.0.1", "11.0.0.1")] == [
        True,
        False,
        False,
    ]


def test_the_longest_prefix_of_a_tree_decides_and_a_way_to_nowhere_is_gone_back():
    nowhere = {"matcher": listed((single(HEADER, {"exact": "abc"}), action("DENY")))}
    outcome = guarded(tree(HEADER, prefix_match_map={"map": {"a": action(), "ab": nowhere}}))
    assert [is_allowed(outcome, http_x=text) for text in ("a", "abd", "abc", "b")] == [True, True, False, False]


def test_names_in_certificates_are_not_known_but_who_speaks_plaintext_has_none():
    trusted = single(SAN, {"prefix": "spiffe://a/"})
    allowing = guarded(listed((trusted, action()), rest="DENY"))
    denying = guarded(listed((trusted, action("DENY")), rest="ALLOW"))
    assert allowing.codes == denying.codes == ["TLS-SAN"]
    assert [is_allowed(allowing, scheme=scheme) for scheme in ("http", "https")] == [False, False]
    assert [is_allowed(denying, scheme=scheme) for scheme in ("http", "https")] == [True, False]


def test_the_subject_counts_where_the_certificate_is_verified():
    mine = single(SUBJECT, {"exact": "CN=a"})
    outcome = guarded(listed((mine, action())))
    assert is_allowed(outcome, ssl_client_s_dn="CN=a", ssl_client_verify="SUCCESS")
    assert not is_allowed(outcome, ssl_client_s_dn="CN=a", ssl_client_verify="FAILED:expired")
    denying = guarded(listed((mine, action("DENY")), rest="ALLOW"))
    assert not is_allowed(denying, ssl_client_s_dn="CN=a", ssl_client_verify="FAILED:expired")
    assert not outcome.codes


CEL = custom(
    {"@type": "type.googleapis.com/xds.type.matcher.v3.HttpAttributesCelMatchInput"},
    {"@type": "type.googleapis.com/xds.type.matcher.v3.CelMatcher"},
)
UNKNOWN = [
    (CEL, "HF-RESTRICT"),
    (single(METADATA, {"exact": "a"}), "HF-META"),
    (single({**HEADER, "header_name": "a.b"}, {"exact": "a"}), "RT-HEADER"),
    (single(HEADER, {"safe_regex": {"regex": "(a"}}), "RT-REGEX"),
    (single({"@type": f"{INPUTS}network.v3.DestinationIPInput"}, {"exact": "10.0.0.1"}), "HF-RESTRICT"),
    (custom(HEADER, addresses(("10.0.0.0", 8))), "HF-RESTRICT"),
]


@pytest.mark.parametrize(("predicate", "code"), UNKNOWN)
@pytest.mark.parametrize("name", ["ALLOW", "DENY"])
def test_a_condition_that_cannot_be_expressed_counts_against_the_request(predicate, code, name):
    matcher = listed((predicate, action(name)), rest="DENY" if name == "ALLOW" else "ALLOW")
    outcome = guarded(matcher)
    assert not is_allowed(outcome, http_x="a")
    assert outcome.codes == [code]
    assert is_allowed(guarded(matcher, policy={code: "allow"}), http_x="a")


def test_what_stands_before_an_unknown_condition_still_decides():
    known = single(HEADER, {"exact": "a"})
    outcome = guarded(listed((known, action()), (CEL, action("DENY")), rest="ALLOW"))
    assert [is_allowed(outcome, http_x=text) for text in ("a", "b")] == [True, False]


@pytest.mark.parametrize(
    "on_match", [{**action(), "keep_matching": True}, {"action": {"name": "a", "typed_config": HEADER}}]
)
def test_an_action_that_is_none_allows_nothing(on_match):
    outcome = guarded(listed((single(HEADER, {"exact": "a"}), on_match)))
    assert not is_allowed(outcome, http_x="a")
    assert outcome.codes == ["HF-RESTRICT"]


LEAVES = st.sampled_from(["a", "ab", "b", "ba", "?"])
PREDICATES = st.recursive(
    LEAVES.map(lambda text: CEL if text == "?" else single(HEADER, {"prefix": text})),
    lambda inner: st.one_of(
        inner.map(lambda one: {"not_matcher": one}),
        st.tuples(st.sampled_from(["or_matcher", "and_matcher"]), st.lists(inner, min_size=2, max_size=3)).map(
            lambda pair: {pair[0]: {"predicate": pair[1]}}
        ),
    ),
    max_leaves=4,
)
ACTIONS = st.sampled_from([action(), action("DENY")])
MATCHERS = st.recursive(
    st.lists(st.tuples(PREDICATES, ACTIONS), min_size=1, max_size=3),
    lambda inner: st.lists(
        st.tuples(PREDICATES, ACTIONS | inner.map(lambda ways: {"matcher": listed(*ways)})), min_size=1, max_size=3
    ),
    max_leaves=3,
)


def meets(predicate: dict[str, Any], text: str, *, unknown: bool) -> bool:
    ((kind, value),) = predicate.items()
    if kind == "single_predicate":
        return unknown if "custom_match" in value else text.startswith(value["value_match"]["prefix"])
    if kind == "not_matcher":
        return not meets(value, text, unknown=unknown)
    return (any if kind == "or_matcher" else all)(meets(one, text, unknown=unknown) for one in value["predicate"])


def verdict(matcher: dict[str, Any], text: str, *, unknown: bool) -> str | None:
    for one in matcher["matcher_list"]["matchers"]:
        if meets(one["predicate"], text, unknown=unknown):
            found = one["on_match"]
            inner = verdict(found["matcher"], text, unknown=unknown) if "matcher" in found else None
            if "action" in found or inner:
                return inner or str(found["action"]["typed_config"]["action"])
    return str(matcher["on_no_match"]["action"]["typed_config"]["action"]) if "on_no_match" in matcher else None


@given(MATCHERS, st.sampled_from(["", "ALLOW", "DENY"]), st.sampled_from(["a", "ab", "b", "ba", "c"]))
def test_nothing_is_allowed_that_envoy_could_deny(ways, rest, text):
    matcher = listed(*ways, rest=rest)
    possible = {verdict(matcher, text, unknown=unknown) for unknown in (False, True)}
    outcome = guarded(matcher)
    if not possible <= {"ALLOW"}:
        assert not is_allowed(outcome, http_x=text)
    elif not outcome.codes:
        assert is_allowed(outcome, http_x=text)
