from __future__ import annotations

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.etcd import auth as auth_module
from agent.etcd.auth import TOKEN_TTL_S, Auth, Clock, Grant, User, named_ranges, prefix_end
from agent.etcd.errors import EtcdError
from agent.store.range import lies_in
from tests.conformance.watch_client import b64

KEYS = st.lists(st.sampled_from(b"\x00\x01/ab\xfe\xff"), max_size=4).map(bytes)
DENIED, INVALID = (403, 7, "etcdserver: permission denied"), (401, 16, "etcdserver: invalid auth token")


@given(st.lists(KEYS, max_size=3), KEYS, KEYS, st.lists(KEYS, max_size=20))
@example([b"/apisix"], b"/apisix", b"/apisiy\0", [b"/apisiy"])
@example([b"/apisix"], b"/apisix", b"\0", [b"/b"])
@example([b"\xff"], b"\xff", b"\0", [b"\xff\xff"])
def test_no_range_that_leaves_the_prefixes_is_covered(
    prefixes: list[bytes], key: bytes, range_end: bytes, others: list[bytes]
):
    near = [name + tail for name in (key, range_end, *prefixes) for tail in (b"", b"\0", b"\xff")]
    inside = [name for name in (*others, *near, *(n[:-1] for n in near if n)) if lies_in(name, key, range_end)]
    if Grant(prefixes).covers(key, range_end):
        assert all(any(name.startswith(prefix) for prefix in prefixes) for name in inside)


@given(st.lists(KEYS, min_size=1, max_size=3), KEYS, KEYS)
def test_every_range_inside_a_prefix_is_covered(prefixes: list[bytes], tail: bytes, other: bytes):
    grant, prefix = Grant(prefixes), prefixes[0]
    assert grant.covers(prefix + tail)
    assert grant.covers(prefix + tail, prefix + max(tail, other) + b"\0")
    assert grant.covers(prefix + tail, prefix_end(prefix) or b"\0")


@pytest.mark.parametrize(
    ("key", "range_end", "is_covered"),
    [
        (b"/apisix", b"/apisiy", True),  # nginx's full load
        (b"/apisix/", b"/apisix0", True),  # its watch
        (b"/apisix//phantomkey", b"", True),
        (b"/apisix/routes", b"/apisix/routet", True),
        (b"/apisix", b"/apisiy\0", False),
        (b"/apisiw\xff", b"/apisiy", False),
        (b"/apisix", b"\0", False),
        (b"\0", b"\0", False),
        (b"/apisiy", b"", False),
        (b"/z", b"/apisiy", False),  # an empty range, named from outside
    ],
)
def test_what_apisix_asks_for_and_its_neighbours(key: bytes, range_end: bytes, is_covered: bool):  # noqa: FBT001 - a column
    assert Grant([b"/apisix"]).covers(key, range_end) is is_covered


def test_prefixes_that_touch_are_one_range():
    assert Grant([b"/b", b"/a", b"/a/x"]).covers(b"/a", b"/c")
    assert not Grant([b"/a", b"/c"]).covers(b"/a", b"/d")
    assert Grant([b"\xff", b"\xfe"]).covers(b"\xfe", b"\0")
    assert Grant([b"/a", b""]).covers(b"\0", b"\0")
    assert not Grant([]).covers(b"/a")


def test_a_request_is_judged_by_every_key_in_it():
    inside, outside = {"key": b64(b"/apisix/a")}, {"key": b64(b"/other")}
    grant = Grant([b"/apisix"])
    for body in (b"", b"{}", orjson.dumps(inside), orjson.dumps({"compare": [inside], "success": [{"r": inside}]})):
        grant.check_request(body)
    for message in (
        outside,
        {**inside, "rangeEnd": b64(b"\0")},
        {**inside, "range_end": b64(b"/b")},
        {"compare": [outside]},
        {"success": [{"requestRange": inside}, {"request_txn": {"failure": [{"request_put": outside}]}}]},
    ):
        with pytest.raises(EtcdError, match="permission denied"):
            grant.check_request(orjson.dumps(message))


def test_a_request_may_be_as_deep_as_the_parser_lets_it():
    body = b'{"a":' * 500 + b"{}" + b"}" * 500
    assert list(named_ranges(body)) == []


class Bed:
    """Users and clocks that a test turns."""

    def __init__(self) -> None:
        self.wall_s, self.monotonic_s = 1_800_000_000.0, 50.0
        self.users = [User("apisix", "hush", (b"/apisix",)), User("ops", "quiet", (b"",))]
        self.auth = self.again()

    def again(self) -> Auth:
        """An agent with the same users, started anew or beside it."""
        return Auth(self.users, Clock(lambda: self.wall_s, lambda: self.monotonic_s))

    def pass_s(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def bed() -> Bed:
    return Bed()


def refusal(auth: Auth, token: str) -> tuple[int, int, str]:
    with pytest.raises(EtcdError) as caught:
        auth.authorize(token)
    return caught.value.status, caught.value.code, caught.value.message


def test_a_token_stands_for_its_user(bed: Bed):
    grant = bed.auth.authorize(bed.auth.authenticate("apisix", "hush"))
    assert grant.covers(b"/apisix", b"/apisiy")
    assert not grant.covers(b"/other")
    assert bed.auth.authorize(bed.auth.authenticate("ops", "quiet")).covers(b"\0", b"\0")


def test_a_token_holds_on_other_agents_and_after_a_restart(bed: Bed):
    token = bed.auth.authenticate("apisix", "hush")
    assert bed.again().authorize(token).covers(b"/apisix")


def test_a_token_does_not_outlive_its_password(bed: Bed):
    token = bed.auth.authenticate("apisix", "hush")
    bed.users[0] = bed.users[0]._replace(password="other")
    assert refusal(bed.again(), token) == INVALID
    del bed.users[0]
    assert refusal(bed.again(), token) == INVALID


def test_a_token_ends_unless_it_is_used(bed: Bed):
    token, idle = bed.auth.authenticate("apisix", "hush"), bed.auth.authenticate("ops", "quiet")
    for _ in range(3):
        bed.pass_s(TOKEN_TTL_S - 1)
        bed.auth.authorize(token)
    assert refusal(bed.auth, idle) == INVALID
    bed.pass_s(TOKEN_TTL_S)
    assert refusal(bed.auth, token) == INVALID


def test_a_wall_clock_that_jumps_ends_no_token_in_use(bed: Bed):
    token = bed.auth.authenticate("apisix", "hush")
    bed.auth.authorize(token)
    bed.wall_s += 86_400
    assert bed.auth.authorize(token).covers(b"/apisix")


def test_the_time_of_so_many_tokens_is_kept(bed: Bed, monkeypatch):
    monkeypatch.setattr(auth_module, "MAX_TOKENS", 2)
    tokens = []
    for _ in range(3):
        tokens.append(bed.auth.authenticate("apisix", "hush"))
        bed.auth.authorize(tokens[-1])
        bed.pass_s(100)
    bed.pass_s(1)
    assert refusal(bed.auth, tokens[0]) == INVALID
    assert bed.auth.authorize(tokens[1])


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_a_token_that_was_changed_is_nobodys(bed: Bed, place: int):
    token = bed.auth.authenticate("apisix", "hush")
    changed = token[:place] + ("A" if token[place : place + 1] != "A" else "B") + token[place + 1 :]
    assert refusal(bed.auth, changed) == INVALID


@pytest.mark.parametrize("token", ["x", ".", "..", "YXBpc2l4", "YXBpc2l4..", "YXBpc2l4.٣.x", f"YXBpc2l4.{'9' * 99}.x"])
def test_what_is_no_token_is_refused(bed: Bed, token: str):
    assert refusal(bed.auth, token) == INVALID


def test_no_token_is_no_user(bed: Bed):
    assert refusal(bed.auth, "") == (400, 3, "etcdserver: user name is empty")


@pytest.mark.parametrize(("name", "password"), [("apisix", "quiet"), ("nobody", "hush"), ("", ""), ("apisix", "")])
def test_a_wrong_name_and_a_wrong_password_look_alike(bed: Bed, name: str, password: str):
    with pytest.raises(EtcdError) as caught:
        bed.auth.authenticate(name, password)
    error = caught.value
    assert (error.status, error.code) == (400, 3)
    assert error.message == "etcdserver: authentication failed, invalid user ID or password"


def test_a_failed_attempt_costs_no_slow_hash(bed: Bed, monkeypatch):
    def never(*_: object, **__: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr("hashlib.scrypt", never)
    for name in ("apisix", "nobody"):
        with pytest.raises(EtcdError):
            bed.auth.authenticate(name, "guess")


def test_credentials_come_as_json(bed: Bed):
    assert bed.auth.authorize(bed.auth.authenticate_request(b'{"name":"apisix","password":"hush"}'))
    with pytest.raises(EtcdError, match="authentication failed"):
        bed.auth.authenticate_request(b"")
    with pytest.raises(EtcdError, match="cannot unmarshal number into Go value of type string"):
        bed.auth.authenticate_request(b'{"name":1}')


def test_without_users_everybody_may_do_everything():
    auth = Auth((), Clock(lambda: 0.0, lambda: 0.0))
    assert auth.authorize("").covers(b"\0", b"\0")
    assert auth.authorize("whatever").covers(b"/a")
    with pytest.raises(EtcdError, match="authentication is not enabled") as caught:
        auth.authenticate("apisix", "hush")
    assert (caught.value.status, caught.value.code) == (400, 9)


def test_no_password_is_shown(bed: Bed):
    assert "hush" not in repr(bed.users)
    assert "apisix" in repr(bed.users)
