from __future__ import annotations

import re
from base64 import b32encode
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from translators.ids import hash80, label, object_id, object_name

anything = st.text(max_size=400)


@given(anything, st.lists(anything, max_size=4))
def test_ids_are_always_valid(source_name: str, parts: list[str]):
    made = object_id("routes", source_name, *parts)
    assert re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", made)
    assert len(made) <= 57


@given(st.lists(anything, max_size=3), st.lists(anything, max_size=3))
def test_different_parts_give_different_ids(left: list[str], right: list[str]):
    same = ["routes", *left] == ["routes", *right] or "\x1f".join(["k", *left]) == "\x1f".join(["k", *right])
    assert (object_id("routes", "x", *left) == object_id("routes", "x", *right)) == same


def test_an_id_is_the_same_for_ever():
    """Ids are written into logs and data planes: this value must never change without a new SCHEMA_VERSION."""
    assert hash80("upstreams", "a", "b") == object_id("upstreams", "", "a", "b")
    assert object_id("upstreams", "outbound|80||a/b", "x") == "outbound-80-a-b." + hash80("upstreams", "x")


@given(anything)
def test_hashes_are_base32(text: str):
    digest = blake2b(f"meshferry/1\x1froutes\x1f{text}".encode("utf-8", "surrogatepass"), digest_size=10).digest()
    assert hash80("routes", text) == b32encode(digest).decode().lower()


def test_kinds_do_not_share_ids():
    assert hash80("routes", "a") != hash80("upstreams", "a")


@given(st.text(min_size=1, max_size=400))
def test_names_fit_and_stay_different(text: str):
    assert 1 <= len(object_name(text)) <= 256
    assert object_name(text + "a" * 300) != object_name(text + "a" * 299 + "b")


@given(anything)
def test_labels_fit(text: str):
    assert re.fullmatch(r"\S{1,256}", label(text))
