"""Unknown, pending and overridden filters: fail closed unless the operator or the control plane says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Severity
from tests.translators.route_parts import FILTERS, Outcome, forwarded, http_filter, packed, route_outcome

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
