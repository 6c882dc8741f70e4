from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from schemas.records import Role, Severity, UnitKind
from tests.translators.certificate_factory import make_pair
from tests.translators.unit_outcome import Outcome, outcome, packed, resource
from translators.mappings.tls.client_certificate import secret_ssl_id
from translators.policy import Action, Policy

PAIR = make_pair()
CA = make_pair("authority")
SEALED = "mfseal1.key-1.nonce." + "A" * 200


def certificate(cert: str = PAIR.cert, key: str = PAIR.key) -> dict[str, Any]:
    return {"certificate_chain": {"inline_string": cert}, "private_key": {"inline_string": key}}


def context(**common: Any) -> dict[str, Any]:
    fields = {name: common.pop(name) for name in ("require_client_certificate",) if name in common}
    return {"common_tls_context": {"tls_certificates": [certificate()], **common}, **fields}


def translated(
    *contexts: dict[str, Any], snis: str = "example.com", secrets: tuple[dict[str, Any], ...] = (), **policy: Action
) -> Outcome:
    resources = [
        resource(Role.SUBJECT, xds.DOWNSTREAM_TLS_CONTEXT, data, f"listener-{index}/chain")
        for index, data in enumerate(contexts)
    ]
    resources += [resource(Role.REFERENCE, xds.SECRET, secret) for secret in secrets]
    overrides = {code.replace("_", "-"): action for code, action in policy.items()}
    return outcome(UnitKind.TLS, resources, {"snis": snis}, Policy(overrides=overrides))


def validated_by(**validation: Any) -> dict[str, Any]:
    authority = {"trusted_ca": {"inline_string": CA.cert}}
    return context(validation_context={**authority, **validation}, require_client_certificate=True)


def test_a_certificate_is_served_for_its_names():
    found = translated(context(), snis="B.example.com.,a.example.com")
    assert found.value == {
        "cert": PAIR.cert,
        "key": PAIR.key,
        "labels": {"xds.chain": "listener-0/chain"},
        "snis": ["a.example.com", "b.example.com"],
        "type": "server",
    }
    assert found.codes == []


def test_every_wildcard_is_an_object_of_its_own():
    found = translated(context(), snis="*,*.example.com,a.example.com,*.b.example.com")
    names = sorted(str(value.get("snis", value.get("sni"))) for value in found.values)
    assert names == ["*", "['*.b.example.com']", "['*.example.com']", "['a.example.com']"]
    assert found.codes == ["TLS-SNI-DEPTH"]
    assert len(found.found("TLS-SNI-DEPTH")) == 2


@pytest.mark.parametrize("snis", ["*", ""])
def test_a_chain_without_server_names_takes_every_name(snis: str):
    assert translated(context(), snis=snis).value["sni"] == "*"


def test_ids_come_from_the_names():
    one, other = translated(context(), snis="a,b"), translated(validated_by(), snis="b,a")
    assert one.objects[0].key == other.objects[0].key != translated(context(), snis="a").objects[0].key


def test_names_that_cannot_be_one_are_told():
    found = translated(context(), snis="a b.example,good.example")
    assert (found.value["snis"], found.codes) == (["good.example"], ["CFG-INVALID"])


def test_more_certificates_of_one_context():
    other = make_pair("other")
    certificates = [certificate(), certificate(other.cert, other.key)]
    value = translated({"common_tls_context": {"tls_certificates": certificates}}).value
    assert (value["certs"], value["keys"]) == ([other.cert], [other.key])


def test_certificates_from_secrets():
    common = {"common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "s"}]}}
    pending = translated(common)
    assert (pending.objects, pending.codes) == ((), ["SEC-PENDING"])
    found = translated(common, secrets=({"name": "s", "tls_certificate": certificate()},))
    assert (found.value["cert"], found.codes) == (PAIR.cert, [])


def test_a_sealed_key_passes_untouched():
    sealed = {"common_tls_context": {"tls_certificates": [certificate(key=SEALED)]}}
    assert translated(sealed).value["key"] == SEALED


def test_inline_bytes_are_text_too():
    data = {"certificate_chain": {"inline_bytes": "bm9uc2Vuc2U="}, "private_key": {"inline_string": PAIR.key}}
    assert translated({"common_tls_context": {"tls_certificates": [data]}}).codes == ["SEC-KEYPAIR"]
    data["certificate_chain"] = {"inline_bytes": "/w=="}
    assert translated({"common_tls_context": {"tls_certificates": [data]}}).codes == ["SEC-SOURCE"]


@pytest.mark.parametrize(
    ("cert", "key", "problem"),
    [
        (PAIR.cert, make_pair("other").key, "the private key does not fit the certificate"),
        ("short", PAIR.key, "a certificate chain of 6 characters"),
        ("x" * 200, PAIR.key, "the certificate chain is not PEM"),
        (PAIR.cert, "x", "a key of 2 characters"),
        (PAIR.cert, "x" * 100, "the private key or the certificate cannot be read"),
        (PAIR.cert, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + "x" * 100, "cannot be read"),
    ],
)
def test_pairs_that_apisix_could_not_use(cert: str, key: str, problem: str):
    found = translated({"common_tls_context": {"tls_certificates": [certificate(cert, key)]}})
    assert found.objects == ()
    (diagnostic,) = found.diagnostics
    assert diagnostic.code == "SEC-KEYPAIR"
    assert problem in diagnostic.value


def test_no_key_is_in_a_diagnostic():
    found = translated({"common_tls_context": {"tls_certificates": [certificate(CA.cert, PAIR.key)]}})
    told = "".join(f"{d.value}{d.effect}{d.remedy}{d.path}{d.name}" for d in found.diagnostics)
    assert "PRIVATE KEY" not in told
    assert all(line not in told for line in PAIR.key.splitlines()[1:-1])


@pytest.mark.parametrize("source", [{"filename": "/etc/tls.crt"}, {"environment_variable": "CRT"}])
def test_material_outside_the_configuration_is_not_read(source: dict[str, str]):
    data = {"certificate_chain": source, "private_key": {"inline_string": PAIR.key}}
    found = translated({"common_tls_context": {"tls_certificates": [data]}})
    (diagnostic,) = found.diagnostics
    assert (diagnostic.code, diagnostic.value) == ("SEC-SOURCE", *source.values())


@pytest.mark.parametrize("field", ["pkcs12", "password", "private_key_provider"])
def test_other_ways_to_give_a_key(field: str):
    data = certificate() | {
        field: {"inline_string": "x"} if field != "private_key_provider" else {"provider_name": "x"}
    }
    assert translated({"common_tls_context": {"tls_certificates": [data]}}).codes == ["SEC-SOURCE"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, None),
        ({"tls_minimum_protocol_version": "TLSv1_3"}, ["TLSv1.3"]),
        ({"tls_minimum_protocol_version": "TLSv1_0"}, ["TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        ({"tls_maximum_protocol_version": "TLSv1_2"}, ["TLSv1.2"]),
    ],
)
def test_protocol_versions(params: dict[str, str], expected: list[str] | None):
    assert translated(context(tls_params=params)).value.get("ssl_protocols") == expected


def test_only_versions_that_apisix_has_dropped():
    params = {"tls_minimum_protocol_version": "TLSv1_0", "tls_maximum_protocol_version": "TLSv1_0"}
    found = translated(context(tls_params=params))
    assert (found.objects, found.codes) == ((), ["TLS-SOCKET"])


def test_clients_are_verified_by_the_ca():
    assert translated(validated_by()).value["client"] == {"ca": CA.cert, "depth": 100}
    assert translated(validated_by(max_verify_depth=3)).value["client"]["depth"] == 3


def test_an_optional_certificate():
    validation = {"trusted_ca": {"inline_string": CA.cert}}
    found = translated(context(validation_context=validation))
    optional = {"ca": CA.cert, "depth": 100, "skip_mtls_uri_regex": [".*"]}
    assert found.value["client"] == optional
    assert [(d.code, d.severity) for d in found.diagnostics] == [("TLS-VALIDATION", Severity.INFO)]


def test_an_optional_certificate_that_cannot_be_judged_is_not_asked_for():
    """Whoever asks later whether a client has one would take a certificate that Envoy refuses for a good one."""
    validation = {"trusted_ca": {"inline_string": CA.cert}}
    named = {**validation, "match_typed_subject_alt_names": [SAN]}
    found = translated(context(validation_context=named))
    assert ("client" in found.value, [(d.code, d.severity) for d in found.diagnostics]) == (
        False,
        [("TLS-SAN", Severity.ERROR)],
    )
    allowed = translated(context(validation_context=named), TLS_SAN=Action.ALLOW)
    assert allowed.value["client"]["skip_mtls_uri_regex"] == [".*"]


@pytest.mark.parametrize(
    ("certificate", "path"),
    [
        ({"ocsp_staple": {"inline_string": "x"}}, "ocsp_staple"),
        ({"signed_certificate_timestamp": [{"inline_string": "x"}]}, "signed_certificate_timestamp"),
    ],
)
def test_what_certificates_bring_along_is_not_sent(certificate: dict[str, Any], path: str):
    pair = {"certificate_chain": {"inline_string": PAIR.cert}, "private_key": {"inline_string": PAIR.key}}
    found = translated(context(tls_certificates=[{**pair, **certificate}]))
    assert [(d.code, d.severity, d.path.rpartition(".")[2]) for d in found.diagnostics] == [
        ("TLS-VALIDATION", Severity.WARN, path)
    ]
    assert found.value["cert"] == PAIR.cert


def test_stapling_is_not_required():
    found = translated({**context(), "ocsp_staple_policy": "MUST_STAPLE"})
    assert [d.path for d in found.diagnostics] == ["ocsp_staple_policy"]


SAN = {"san_type": "DNS", "matcher": {"exact": "client.example.com"}}
CLOSED = {"ca": PAIR.cert, "depth": 0}


@pytest.mark.parametrize(
    ("validation", "code"),
    [
        ({"match_typed_subject_alt_names": [SAN]}, "TLS-SAN"),
        ({"match_subject_alt_names": [{"exact": "x"}]}, "TLS-SAN"),
        ({"verify_certificate_hash": ["00"]}, "TLS-VALIDATION"),
        ({"verify_certificate_spki": ["AAAA"]}, "TLS-VALIDATION"),
        ({"crl": {"inline_string": "x"}}, "TLS-VALIDATION"),
        ({"custom_validator_config": {"name": "x"}}, "TLS-VALIDATION"),
    ],
)
def test_what_cannot_be_asked_of_clients_lets_nobody_in(validation: dict[str, Any], code: str):
    closed = translated(validated_by(**validation))
    assert (closed.value["client"], closed.codes) == (CLOSED, [code])
    open_ = translated(validated_by(**validation), **{code.replace("-", "_"): Action.WARN})
    assert (open_.value["client"], open_.codes) == ({"ca": CA.cert, "depth": 100}, [code])


def test_a_client_certificate_without_a_ca():
    found = translated(context(validation_context={}, require_client_certificate=True))
    assert (found.value["client"], found.codes) == (CLOSED, ["TLS-VALIDATION"])
    found = translated(context(validation_context={}, require_client_certificate=True), TLS_VALIDATION=Action.ALLOW)
    assert "client" not in found.value


@pytest.mark.parametrize(
    ("common", "code"),
    [
        ({"validation_context_sds_secret_config": {"name": "ca"}}, "SEC-PENDING"),
        ({"validation_context": {"trusted_ca": {"filename": "/ca"}}}, "SEC-SOURCE"),
        ({"validation_context": {"trusted_ca": {"inline_string": "x" * 200}}}, "SEC-KEYPAIR"),
        ({"validation_context": {"trusted_ca": {"inline_string": "x"}}}, "SEC-KEYPAIR"),
        ({"validation_context_certificate_provider": {"name": "x"}}, "TLS-PROVIDER"),
        ({"combined_validation_context": {"validation_context_sds_secret_config": {"name": "ca"}}}, "SEC-PENDING"),
        ({"combined_validation_context": {"validation_context_certificate_provider": {"name": "x"}}}, "TLS-PROVIDER"),
    ],
)
def test_while_the_ca_is_not_there_nobody_is_let_in(common: dict[str, Any], code: str):
    found = translated(context(**common, require_client_certificate=True))
    assert (found.value["client"], found.codes) == (CLOSED, [code])
    optional = translated(context(**common))
    assert ("client" in optional.value, optional.codes) == (False, [code])


def test_a_combined_context_is_the_default_with_the_secret_over_it():
    combined = {
        "default_validation_context": {"max_verify_depth": 2},
        "validation_context_sds_secret_config": {"name": "ca"},
    }
    secret = {"name": "ca", "validation_context": {"trusted_ca": {"inline_string": CA.cert}}}
    found = translated(
        context(combined_validation_context=combined, require_client_certificate=True), secrets=(secret,)
    )
    assert (found.value["client"], found.codes) == ({"ca": CA.cert, "depth": 2}, [])


def test_being_stricter_than_asked_is_told():
    found = translated(validated_by(trust_chain_verification="ACCEPT_UNTRUSTED", allow_expired_certificate=True))
    assert (found.value["client"]["ca"], found.codes) == (CA.cert, ["TLS-VALIDATION"])


def test_the_first_listener_decides():
    other = make_pair("other")
    late = {"common_tls_context": {"tls_certificates": [certificate(other.cert, other.key)]}}
    found = translated(context(), late)
    assert found.value["cert"] == PAIR.cert
    (clash,) = found.diagnostics
    assert (clash.code, clash.name) == ("TLS-SNI-CLASH", "listener-1/chain")
    assert translated(context(), context()).codes == []


def test_the_one_that_asks_for_client_certificates_decides_before_the_first():
    found = translated(context(), validated_by())
    assert (found.value["client"]["ca"], found.codes) == (CA.cert, ["TLS-SNI-CLASH"])


def test_no_certificate_no_object():
    assert translated().objects == ()
    assert translated({"common_tls_context": {}}).objects == ()


def test_certificates_by_provider_are_told():
    common = {"common_tls_context": {"tls_certificate_provider_instance": {"instance_name": "x"}}}
    assert translated(common).codes == ["TLS-PROVIDER"]


def test_secrets_are_checked_but_serve_nothing():
    def secret(**data: Any) -> Outcome:
        return outcome(UnitKind.SECRET, [resource(Role.SUBJECT, xds.SECRET, {"name": "s", **data})])

    assert secret(tls_certificate=certificate()).codes == []
    bad = secret(tls_certificate=certificate(CA.cert))
    assert (bad.objects, bad.codes) == ((), ["SEC-KEYPAIR"])
    assert secret(generic_secret={"secret": {"inline_string": "x"}}).codes == []
    assert outcome(UnitKind.SECRET, []).codes == []


def test_a_secret_that_clusters_present_is_an_ssl_object_of_the_type_client():
    def secret(cert: str, key: str) -> Outcome:
        data = {"name": "s", "tls_certificate": certificate(cert, key)}
        use = resource(Role.USE, xds.UPSTREAM_TLS_CONTEXT, {}, "client")
        return outcome(UnitKind.SECRET, [resource(Role.SUBJECT, xds.SECRET, data), use])

    found = secret(PAIR.cert, SEALED)
    assert found.value == {"cert": PAIR.cert, "key": SEALED, "labels": {"xds.secret": "s"}, "type": "client"}
    assert found.objects[0].key == f"/ssls/{secret_ssl_id('s')}"
    assert secret(CA.cert, CA.key).objects[0].key == found.objects[0].key
    bad = secret(CA.cert, PAIR.key)
    assert (bad.objects, bad.codes) == ((), ["SEC-KEYPAIR"])


def test_unknown_sessions_settings_do_not_matter():
    found = translated({**context(), "session_timeout": "60s", "disable_stateless_session_resumption": True})
    assert found.codes == []


def test_the_key_of_a_selector_is_told():
    selector = {"name": "s", "typed_config": packed("google.protobuf.Struct", {"value": {}})}
    assert translated(context(custom_tls_certificate_selector=selector)).codes == ["TLS-PROVIDER"]
