"""Consumers are known by what they are recognised by."""

from __future__ import annotations

import orjson

from translators.consumer import consumer_name, consumer_objects, recognising


def test_a_name_is_the_hash_of_the_content():
    assert consumer_name("key-auth", {"key": "a"}) == consumer_name("key-auth", {"key": "a"})
    names = {consumer_name("key-auth", {"key": "a"}), consumer_name("key-auth", {"key": "b"})}
    assert len({*names, consumer_name("jwt-auth", {"key": "a"})}) == 3


def test_sealing_anew_renames_nobody():
    """Only the fingerprint of a sealed value stays when it is sealed for another key."""
    one, other = "mfseal1.AAAAAAAAAAA.FFFF.cccc", "mfseal1.BBBBBBBBBBB.FFFF.dddd"
    assert consumer_name("key-auth", {"key": one}) == consumer_name("key-auth", {"key": other})
    assert consumer_name("key-auth", {"key": one}) != consumer_name("key-auth", {"key": one.replace("FFFF", "GGGG")})


def test_who_may_pass_is_asked_of_the_consumer_and_not_of_the_request():
    plugins = recognising(
        "key-auth", {"header": "x", "_meta": {"filter": [("http_x", "~~", "")]}}, ["b", "a", "b"], 403
    )
    assert list(plugins) == ["key-auth", "consumer-restriction"]
    assert plugins["consumer-restriction"] == {
        "_meta": {"filter": [("consumer_name", "~~", ".*")]},
        "rejected_code": 403,
        "whitelist": ["a", "b"],
    }
    assert "_meta" not in recognising("key-auth", {}, ["a"], 403)["consumer-restriction"]


def test_a_consumer_has_the_name_it_is_known_by():
    (only,) = consumer_objects({"x_b": {"plugins": {"key-auth": {"key": "k"}}}})
    assert only.key == "/consumers/x_b"
    assert orjson.loads(only.value) == {"plugins": {"key-auth": {"key": "k"}}, "username": "x_b"}
