"""Headers that only internal clients may send decide nothing; where some may send them, restrictions still hold."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import Outcome, forwarded, http_filter, route_outcome

SAID = {"name": "xin", "string_match": {"exact": "y"}}
SOME = {"internal_address_config": {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}}


def run(*filters: dict[str, Any], **fields: Any) -> Outcome:
    return route_outcome(
        forwarded(fields.pop("route", {})),
        filters=list(filters),
        route_config={"internal_only_headers": ["XIn"]},
        **fields,
    )


def rbac(action: str, *principals: dict[str, Any]) -> dict[str, Any]:
    policy = {"permissions": [{"any": True}], "principals": list(principals)}
    return http_filter(".rbac.v3.RBAC", {"rules": {"action": action, "policies": {"p": policy}}})


def test_they_are_taken_from_requests():
    assert run().plugins["proxy-rewrite"]["headers"] == {"remove": ["xin"]}
    assert run().codes == []


def test_who_is_let_in_by_one_is_not():
    outcome = run(rbac("ALLOW", {"header": SAID}))
    assert outcome.only.is_blocking
    assert outcome.codes == []


def test_who_is_kept_out_by_one_never_comes():
    outcome = run(rbac("DENY", {"header": SAID}))
    assert outcome.only.fields["upstream_id"]
    guard, _ = run(rbac("DENY", {"header": SAID}, {"header": {"name": "y"}})).parts
    assert guard.conditions == (("http_y", "~~", ".*"),)


def test_nobody_escapes_a_token_by_one():
    rules = [
        {"match": {"prefix": "/", "headers": [SAID]}},
        {"match": {"prefix": "/"}, "requires": {"provider_name": "p"}},
    ]
    config = {"providers": {"p": {"issuer": "i", "local_jwks": {"inline_string": "{}"}}}, "rules": rules}
    outcome = run(http_filter(".jwt_authn.v3.JwtAuthentication", config))
    assert outcome.only.is_blocking


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_where_some_may_send_them_restrictions_hold_for_all(action: str):
    outcome = run(rbac(action, {"header": SAID}), hcm=SOME)
    assert outcome.only.is_blocking
    assert set(outcome.codes) == {"HCM-XFF", "HF-ORDER"}
