"""Unknown, pending and overridden filters: fail closed unless the operator or the control plane says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Severity
from tests.translators.route_parts import FILTERS, Outcome, forwarded, header, http_filter, packed, route_outcome

STRUCT = "xds.type.v3.TypedStruct"


def run(*filters: dict[str, Any], **levels: Any) -> Outcome:
    return route_outcome(forwarded(), filters=list(filters), **levels)


def struct(name: str) -> dict[str, Any]:
    return http_filter(STRUCT, {"type_url": f"type.googleapis.com/{name}", "value": {}})


@pytest.mark.parametrize(
    "name",
    [
        "stats.PluginConfig",
        "io.istio.http.peer_metadata.Config",
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    ],
)
def test_filters_of_istio_that_only_observe_are_ignored(name: str):
    outcome = run(struct(name))
    assert (outcome.codes, outcome.only.is_blocking) == ([], False)


def test_an_unknown_filter_blocks():
    outcome = run(struct("example.Unknown"))
    (found,) = outcome.diagnostics
    assert (found.code, found.severity, found.value) == ("HF-UNKNOWN", Severity.ERROR, "example.Unknown")
    assert outcome.answer == {
        "http_status": 503,
        "body": "blocked: HF-UNKNOWN",
        "headers": {"Content-Type": "text/plain"},
    }


def test_a_filter_known_by_nothing_blocks():
    assert run({"name": "custom"}).diagnostics[0].value == "custom without typed_config"


def test_an_unknown_filter_that_is_optional_is_left_out():
    outcome = run({**struct("example.Unknown"), "is_optional": True})
    (found,) = outcome.diagnostics
    assert (found.severity, found.diagnostic_class) == (Severity.WARN, "UNSUPPORTED")
    assert not outcome.only.is_blocking


def test_a_known_filter_that_is_optional_still_restricts():
    assert run(http_filter(".ext_authz.v3.ExtAuthz", is_optional=True)).only.is_blocking


@pytest.mark.parametrize(("action", "codes"), [("allow", []), ("warn", ["HF-RESTRICT"])])
def test_the_operator_may_open_a_code(action: str, codes: list[str]):
    outcome = run(http_filter(".ext_authz.v3.ExtAuthz"), policy={"HF-RESTRICT": action})
    assert (outcome.codes, outcome.only.is_blocking) == (codes, False)


def test_silencing_decorations_opens_nothing():
    outcome = run(
        http_filter(".tap.v3.Tap"), http_filter(".ext_authz.v3.ExtAuthz"), policy={"HF-UNTRANSLATED": "allow"}
    )
    assert (outcome.codes, outcome.only.is_blocking) == (["HF-RESTRICT"], True)


def test_the_first_filter_that_blocks_decides_the_answer():
    outcome = run(http_filter(".lua.v3.Lua", {"inline_code": "x"}), http_filter(".ext_authz.v3.ExtAuthz"))
    assert outcome.answer["body"] == "blocked: HF-CODE"


@pytest.mark.parametrize(
    ("type_name", "is_blocking"), [(".rbac.v3.RBAC", True), (".set_metadata.v3.Config", False), ("", True)]
)
def test_a_filter_that_has_not_arrived_blocks_if_it_may_restrict(type_name: str, is_blocking: bool):  # noqa: FBT001 - a table
    type_urls = [f"type.googleapis.com/{FILTERS}{type_name}"] if type_name else []
    outcome = run({"name": "guard", "config_discovery": {"config_source": {"ads": {}}, "type_urls": type_urls}})
    assert outcome.only.is_blocking is is_blocking
    assert outcome.codes == (["EXT-PENDING"] if is_blocking else [])


@pytest.mark.parametrize("action", [{"redirect": {"path_redirect": "/n"}}, {"direct_response": {"status": 200}}])
def test_filters_guard_answers_too(action: dict[str, Any]):
    filters = [http_filter(".ext_authz.v3.ExtAuthz")]
    assert route_outcome(action, filters=filters).only.is_blocking


def test_a_route_may_switch_off_what_guards_the_others():
    off = {"guard": packed("envoy.config.route.v3.FilterConfig", {"disabled": True})}
    outcome = route_outcome(
        forwarded({"typed_per_filter_config": off}), filters=[http_filter(".ext_authz.v3.ExtAuthz")]
    )
    assert (outcome.codes, outcome.only.is_blocking) == ([], False)


MUTATION = http_filter(
    ".header_mutation.v3.HeaderMutation", {"mutations": {"request_mutations": [{"append": header("x-a", "v")}]}}
)


def denying(name: str, *, inverted: bool = False) -> dict[str, Any]:
    """Give an RBAC filter that denies where the header is `v`, or is something else."""
    matcher = {"name": name, "string_match": {"exact": "v"}, "invert_match": inverted}
    policy = {"permissions": [{"any": True}], "principals": [{"header": matcher}, {"header": {"name": "y"}}]}
    return http_filter(".rbac.v3.RBAC", {"rules": {"action": "DENY", "policies": {"p": policy}}})


def test_a_restriction_by_a_header_that_was_mutated_denies_all_it_may_deny():
    outcome = run(MUTATION, denying("x-a"))
    assert "HF-ORDER" in outcome.codes
    assert outcome.answer["http_status"] == 403
    assert outcome.only.is_blocking
    kept = run(MUTATION, denying("x-b"))
    assert len(kept.parts) == 2
    assert "HF-ORDER" not in kept.codes


def test_the_operator_may_accept_the_order():
    outcome = run(MUTATION, denying("x-a"), policy={"HF-ORDER": "allow"})
    guard, _ = outcome.parts
    assert guard.conditions == (("http_y", "~~", ".*"),)


def test_a_restriction_before_the_mutation_is_exact():
    outcome = run(denying("x-a"), MUTATION)
    assert len(outcome.parts) == 2
    assert "HF-ORDER" not in outcome.codes


def test_an_answer_that_restricts_nobody_is_left_out_instead():
    abort = {"abort": {"http_status": 500, "percentage": {"numerator": 100}}, "headers": [{"name": "x-a"}]}
    outcome = run(MUTATION, http_filter(".fault.v3.HTTPFault", abort))
    assert outcome.codes == ["HF-ORDER"]
    assert outcome.only.fields["upstream_id"]
