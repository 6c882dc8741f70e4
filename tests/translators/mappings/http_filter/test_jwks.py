"""A key set gives one public key and the one algorithm that it verifies."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.oracle.token import Signer, ec_signer, ed_signer, rsa_signer
from translators.mappings.http_filter.jwks import KeySetError, read_key

RSA = json.loads(rsa_signer().key_set())["keys"][0]


@pytest.mark.parametrize(
    "signer", [rsa_signer(), ec_signer("P-256"), ec_signer("P-384"), ec_signer("P-521"), ed_signer()]
)
def test_a_public_key_is_the_signers(signer: Signer):
    found = read_key(signer.key_set(kid="k", use="sig"))
    pem = signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert found == (pem.decode(), signer.algorithm, "k")


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS384"])
def test_a_key_says_what_it_verifies(algorithm: str):
    assert read_key(rsa_signer().key_set(alg=algorithm)).algorithm == algorithm


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mfseal1.a.b.c", "a key that could sign, too; use RSA, EC or Ed25519, the public part alone"),
        ("no json", "the key set is not JSON with `keys`"),
        ("[]", "the key set is not JSON with `keys`"),
        ("{}", "the key set is not JSON with `keys`"),
        ('{"keys": {}}', "0 keys; APISIX verifies the tokens of an issuer with one"),
        (json.dumps({"keys": [RSA, RSA]}), "2 keys; APISIX verifies the tokens of an issuer with one"),
        (json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "a key of the kind oct; use RSA, EC or Ed25519"),
        (
            json.dumps({"keys": [{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}]}),
            "a key of the kind EC; use RSA, EC or Ed25519",
        ),
        (rsa_signer().key_set(alg="HS256"), "a key for HS256, which its kind does not have"),
        (ec_signer().key_set(alg="ES512"), "a key for ES512, which its kind does not have"),
        (rsa_signer().key_set(n=1), "the key is damaged"),
        (ec_signer().key_set(x="AA"), "the key is damaged"),
        (json.dumps({"keys": ["x"]}), "the key is damaged"),
        (json.dumps({"keys": [{"kty": "RSA"}]}), "the key is damaged"),
    ],
)
def test_anything_else_is_no_key(text: str, problem: str):
    with pytest.raises(KeySetError) as error:
        read_key(text)
    assert str(error.value) == problem
