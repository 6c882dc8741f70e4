from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.sealed import TOKEN, comparable, resealed, spans

HEAD = b"mfseal1.abcdefghijk.ABCDEFGHIJKLMNOPQRSTUV."
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
ciphertexts = st.text(LETTERS, min_size=64, max_size=200).map(lambda text: HEAD + text.encode())
plain = st.text(LETTERS, max_size=200).map(str.encode)
fields = st.lists(st.tuples(st.sampled_from([0x0A, 0x12, 0x32, 0x42, 0x7A]), ciphertexts | plain), max_size=5)


def serialised(parts: list[tuple[int, bytes]]) -> bytes:
    """Length-delimited fields, as protobuf writes them."""
    body = b""
    for tag, value in parts:
        length = bytes([len(value)]) if len(value) < 128 else bytes([0x80 | len(value) & 0x7F, len(value) >> 7])
        body += bytes([tag]) + length + value
    return body


@given(fields)
def test_exactly_the_tokens_are_found_whatever_stands_after_them(parts):
    body = serialised(parts)
    tokens = [value for _, value in parts if TOKEN.fullmatch(value)]
    assert [body[span.start : span.end] for span in spans(body)] == tokens


@given(fields)
def test_bodies_compare_by_everything_but_the_ciphertext(parts):
    def with_ciphertext(letter: bytes) -> bytes:
        changed = [(t, HEAD + letter * (len(v) - len(HEAD)) if v.startswith(HEAD) else v) for t, v in parts]
        return serialised(changed)

    assert comparable(with_ciphertext(b"x")) == comparable(with_ciphertext(b"y"))
    assert comparable(serialised([*parts, (0x42, b"a")])) != comparable(serialised([*parts, (0x42, b"b")]))


@given(fields)
def test_tokens_are_replaced_where_they_stand(parts):
    body = serialised(parts)
    after = resealed(body, lambda token: HEAD + b"z" * (len(token) - len(HEAD)))
    assert len(after) == len(body)
    assert comparable(after) == comparable(body)
    assert resealed(body, lambda token: token + b"longer") == body


def test_a_token_without_a_length_before_it_is_as_long_as_it_can_be():
    token = HEAD + b"x" * 70
    assert [body[s.start : s.end] for body in (token, b"\x03" + token + b'"') for s in spans(body)] == [token, token]
