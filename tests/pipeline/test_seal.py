from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pipeline.seal import TOKEN, Opener, Sealer, SealError, key_id_of

PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
FINGERPRINT_KEY = bytes(32)
PEM = b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"


def sealer() -> Sealer:
    return Sealer(PUBLIC, FINGERPRINT_KEY)


def opener() -> Opener:
    return Opener({key_id_of(PUBLIC): PRIVATE})


@given(st.binary())
def test_what_is_sealed_opens_and_shows_nothing(plaintext):
    token = sealer().seal(plaintext)
    assert opener().open(token) == plaintext
    assert TOKEN.fullmatch(token.encode())
    assert not plaintext[:16] or len(plaintext) < 4 or plaintext not in token.encode()


def test_equal_values_have_equal_tokens_and_others_do_not():
    one = sealer()
    assert one.seal(PEM) == one.seal(PEM)
    assert one.seal(PEM) != one.seal(PEM + b" ")
    assert sealer().seal(PEM) != sealer().seal(PEM)


def test_tokens_that_are_read_back_are_used_again():
    token = sealer().seal(PEM)
    restarted = sealer()
    restarted.remember(b"\x0a\x07" + token.encode() + b"\x12\x03abc")
    assert restarted.seal(PEM) == token


def test_a_token_that_is_read_back_comes_in_place_of_ones_own():
    published, standby = sealer().seal(PEM), sealer()
    own = standby.seal(PEM)
    assert standby.settled(own.encode()) == own.encode()
    standby.remember(published.encode())
    assert standby.seal(PEM) == published
    assert standby.settled(own.encode()) == published.encode()
    for foreign in (sealer().seal(b"other"), Sealer(b"\x07" * 32, FINGERPRINT_KEY).seal(PEM), "no token"):
        assert standby.settled(foreign.encode()) == foreign.encode()


def test_the_field_after_a_token_is_not_taken_for_a_part_of_it():
    """Its tag, and what follows, may be letters of base64url."""
    token = sealer().seal(PEM).encode()
    length = bytes([0x80 | len(token) & 0x7F, len(token) >> 7])
    restarted = sealer()
    restarted.remember(b"\x0a" + length + token + b"BAwhatever")
    assert restarted.seal(PEM) == token.decode()


def test_tokens_of_another_key_are_not_used_again():
    other = X25519PrivateKey.generate().public_key().public_bytes_raw()
    restarted = sealer()
    restarted.remember(Sealer(other, FINGERPRINT_KEY).seal(PEM).encode())
    assert opener().open(restarted.seal(PEM)) == PEM


def test_a_fingerprint_says_nothing_without_its_key():
    def fingerprint(key: bytes) -> str:
        return Sealer(PUBLIC, key).seal(PEM).split(".")[2]

    assert fingerprint(bytes(32)) != fingerprint(b"\x01" * 32)


@given(st.text(), st.text())
def test_tokens_inside_json_become_json_strings(first, second):
    one = sealer()
    document = {"cert": "public", "key": one.seal(first.encode()), "keys": [one.seal(second.encode())]}
    opened = json.loads(opener().open_value(json.dumps(document).encode()))
    assert opened == {"cert": "public", "key": first, "keys": [second]}


def test_json_without_tokens_is_not_touched():
    assert opener().open_value(b'{"a":"mfseal1."}') == b'{"a":"mfseal1."}'


@pytest.mark.parametrize("part", [2, 3])
def test_an_altered_token_does_not_open(part):
    parts = sealer().seal(PEM).split(".")
    parts[part] = ("B" if parts[part][0] == "A" else "A") + parts[part][1:]
    with pytest.raises(SealError, match="altered or is damaged"):
        opener().open(".".join(parts))


def test_a_token_of_another_key_says_which_keys_are_here():
    token = sealer().seal(PEM)
    with pytest.raises(SealError, match=f"sealed for key {key_id_of(PUBLIC)}, this process holds none"):
        Opener({}).open_value(token.encode())


def test_what_is_no_token_does_not_open():
    with pytest.raises(SealError, match="not a sealed value"):
        opener().open("mfseal1.x.y.z")


def test_bytes_that_are_no_text_cannot_stand_in_json():
    with pytest.raises(SealError, match="is not UTF-8 text"):
        opener().open_value(sealer().seal(b"\xff").encode())


def test_a_truncated_token_does_not_open():
    parts = sealer().seal(PEM).split(".")
    parts[3] = "A"
    with pytest.raises(SealError, match="altered or is damaged"):
        opener().open(".".join(parts))


def test_keys_that_came_meanwhile_are_looked_for_when_a_token_needs_them():
    token = sealer().seal(PEM)
    calls = []

    def reread():
        calls.append(1)
        return {key_id_of(PUBLIC): PRIVATE}

    one = Opener({}, reread)
    assert one.open(token) == one.open(token) == PEM
    assert calls == [1]
