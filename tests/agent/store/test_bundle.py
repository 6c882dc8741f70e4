from __future__ import annotations

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from agent.store.bundle import MAX_BUNDLE_BYTES, RejectedBundleError, identity, read_bundle
from agent.store.image import Carried, UnitState
from pipeline.seal import Opener, Sealer, key_id_of
from schemas import xds
from schemas.codec import encode
from schemas.records import Bundle, BundleClass, Diagnostic, EtcdObject, Resource, Role, Severity, Unit, UnitKind
from tests.agent.memory_log import bundle
from tests.producers import scene
from tests.translators.certificate_factory import make_pair
from translators import translate


def read(value: bytes, reveal=identity) -> UnitState:
    return read_bundle("a", value, "/apisix", reveal)


def test_a_bundle_is_read_under_the_prefix():
    carried = Carried(b'{"a":1}', b'{"a":1}')
    plugins = Carried(b"[]", b"[]")
    state = read(bundle("a", 7, {"/routes/1": b'{"a":1}', "/plugins": b"[]"}))
    assert state == UnitState(7, {b"/apisix/routes/1": carried, b"/apisix/plugins": plugins})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\0" * (MAX_BUNDLE_BYTES + 1), "8388609 bytes"),
        (b"", "not a single-object encoded"),
        (bundle("b", 1, {}), "it is the bundle of 'b'"),
        (bundle("a", 1, {"/nowhere/1": b"{}"}), "object key '/nowhere/1' is in no directory"),
        (bundle("a", 1, {"/routes/": b"{}"}), "object key '/routes/' is in no directory"),
        (bundle("a", 1, {"routes/1": b"{}"}), "object key 'routes/1' is in no directory"),
        (bundle("a", 1, {"/routes/1": b"nope"}), "the value of /routes/1 is not JSON"),
        (bundle("a", 1, {"/routes/1": b"[]"}), "the value of /routes/1 is a JSON list"),
        (bundle("a", 1, {"/plugins": b"{}"}), "the value of /plugins is a JSON dict"),
    ],
)
def test_what_cannot_be_served_is_rejected_with_a_reason(value: bytes, reason: str):
    with pytest.raises(RejectedBundleError, match=reason.replace("/", "/")):
        read(value)


def test_an_object_carried_twice_is_rejected():
    twice = (EtcdObject("/routes/1", b"{}"), EtcdObject("/routes/1", b'{"a":1}'))
    with pytest.raises(RejectedBundleError, match="twice"):
        read(encode(Bundle("a", BundleClass.ROUTING, 1, twice, ())))


def test_a_seal_that_does_not_open_rejects_the_unit_without_a_secret():
    def reveal(value: bytes) -> bytes:
        raise RuntimeError(f"the secret is {value!r}")

    with pytest.raises(RejectedBundleError) as caught:
        read(bundle("a", 1, {"/ssls/1": b'{"key":"mfseal1.c2VjcmV0"}'}), reveal)
    assert str(caught.value) == (
        "the private key in /ssls/1 cannot be opened (RuntimeError): check the agent's opening keys"
    )
    assert caught.value.__context__ is None


def test_the_key_of_a_client_certificate_is_opened_like_any_other():
    """From the seal of the producer over the translation of a presented secret to what a node reads."""
    private_key = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    public_key = private_key.public_key().public_bytes_raw()
    pair = make_pair("client")
    sealed = Sealer(public_key, bytes(32)).seal(pair.key.encode())
    use = Resource(Role.USE, xds.UPSTREAM_TLS_CONTEXT, "client", b"")
    secret = scene.pair_secret("s", pair, sealed)
    subject = Resource(Role.SUBJECT, xds.SECRET, "s", xds.canonical_bytes(secret.body))
    translated = translate(Unit(UnitKind.SECRET, "secret/s", {"secret": "s"}, (subject, use)))
    opener = Opener({key_id_of(public_key): private_key})
    state = read_bundle("secret/s", encode(translated), "/apisix", opener.open_value)
    (carried,) = state.objects.values()
    served = orjson.loads(carried.value)
    assert (served["type"], served["cert"], served["key"]) == ("client", pair.cert, pair.key)
    assert sealed.encode() in carried.sealed


def test_only_sealed_values_are_opened():
    state = read(bundle("a", 1, {"/routes/1": b'{"a":"mfseal2."}'}), lambda _: b"{}")
    assert state.objects[b"/apisix/routes/1"].value == b'{"a":"mfseal2."}'


GOOD = bundle("a", 1, {"/routes/1": b'{"uri":"/"}', "/upstreams/2": b"{}"})


@seed(20)
@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 9)
)
def test_a_damaged_bundle_is_read_or_rejected_and_nothing_else(changes: list[tuple[int, int]], cut: int):
    damaged = bytearray(GOOD)
    for at, byte in changes:
        damaged[at] = byte
    assert "\n" not in reason_of(bytes(damaged[: len(damaged) - cut]))


def reason_of(value: bytes) -> str:
    try:
        read(value)
    except RejectedBundleError as error:
        return str(error)
    return ""


def test_a_failed_translation_is_rejected_so_that_the_last_good_one_stays():
    failed = Diagnostic("OUT-SCHEMA", Severity.FATAL, "INTERNAL", "", "a", "", "KeyError in f, line 3", "e", "r")
    value = encode(Bundle("a", BundleClass.ROUTING, 1, (), (failed,)))
    with pytest.raises(RejectedBundleError, match="could not be translated: OUT-SCHEMA KeyError in f, line 3"):
        read(value)
