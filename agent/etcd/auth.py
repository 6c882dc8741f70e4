"""Users of the etcd API: what they may name, and the tokens that stand for them (etcd-contract.md section 7).

A token says who and until when, signed with a key that is made from the user's password. So it holds for every agent
with the same users and after a restart, and no longer once the password is another. It has to: lua-resty-etcd keeps one
token for all endpoints and asks for the next one by its own clock alone, after three to four minutes. A 401 in between
leaves APISIX blind for as long, and up to 3.11 ends its watch for good.

Passwords are compared as they are, in constant time. They are in the settings in the clear anyway, and a slow hash for
each attempt would let anybody who can connect keep the agent busy. The slow hash is in the signing key, made once for
each user: whoever has a token must pay it for each password that is tried on it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from bisect import bisect_right
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from agent.etcd import errors
from agent.etcd.json_codec import parse_object, read_bytes, read_fields, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TOKEN_TTL_S = 300
"""etcd's --auth-token-ttl; each use begins it anew, as there."""
MAX_TOKENS = 4096
"""Tokens in use whose time is kept; beyond that the oldest ends when it says."""
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}
_MAX_EXPIRY_DIGITS = 12
_KEY_FIELDS = {"key": read_bytes, "range_end": read_bytes}
_CREDENTIAL_FIELDS = {"name": read_text, "password": read_text}
_NOBODY = secrets.token_bytes(64)


class User(NamedTuple):
    """Someone who may use the API.

    Attributes:
        name: as in `deployment.etcd.user`.
        password: not empty.
        prefixes: what every key it names must begin with; an empty one allows all keys.
    """

    name: str
    password: str
    prefixes: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"User(name={self.name!r}, prefixes={self.prefixes!r})"


class Clock(NamedTuple):
    """Both clocks, in seconds: tokens end by the wall's, and are kept alive by the one that never jumps."""

    wall_s: Callable[[], float]
    monotonic_s: Callable[[], float]


def prefix_end(prefix: bytes) -> bytes | None:
    """Give the first key after all that begin with a prefix; None where there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def _reaches(end: bytes | None, start: bytes) -> bool:
    return end is None or start <= end


def _later(one: bytes | None, other: bytes | None) -> bytes | None:
    return None if one is None or other is None else max(one, other)


class Grant:
    """The keys that may be named.

    Args:
        prefixes: see `User`.
    """

    def __init__(self, prefixes: Iterable[bytes]) -> None:
        self._starts: list[bytes] = []
        self._ends: list[bytes | None] = []
        for start in sorted(prefixes):
            end = prefix_end(start)
            if self._ends and _reaches(self._ends[-1], start):
                self._ends[-1] = _later(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def covers(self, key: bytes, range_end: bytes = b"") -> bool:
        """Tell whether every key of an etcd range may be named.

        Args:
            key: the first, or the only one.
            range_end: empty for the one key, a zero byte for all from it on.
        """
        place = bisect_right(self._starts, key) - 1
        if place < 0:
            return False
        end = self._ends[place]
        if end is None:
            return True
        return key < end and range_end != b"\0" and range_end <= end

    def check(self, key: bytes, range_end: bytes = b"") -> None:
        """Refuse a range that leaves the prefixes.

        Raises:
            EtcdError: PermissionDenied.
        """
        if not self.covers(key, range_end):
            raise errors.permission_denied()

    def check_request(self, body: bytes) -> None:
        """Refuse a request in JSON that names a key outside the prefixes anywhere.

        Raises:
            EtcdError: PermissionDenied; InvalidArgument for what cannot be read.
        """
        for key, range_end in named_ranges(body):
            self.check(key, range_end)


EVERYTHING = Grant([b""])


def named_ranges(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give each key and range_end of a request, at any depth: a txn has them in its operations.

    A message without a key names none: etcd refuses it.

    Raises:
        EtcdError: InvalidArgument.
    """
    waiting: list[object] = [parse_object(body)]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            fields = read_fields(found, _KEY_FIELDS)
            if fields.get("key"):
                yield fields["key"], fields.get("range_end", b"")
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


class _Account:
    """A user, prepared."""

    def __init__(self, user: User) -> None:
        self._user = user
        self.grant = Grant(user.prefixes)
        self.digest = _digest(user.password)
        self.id = _text(user.name.encode())

    @cached_property
    def key(self) -> bytes:
        """Make the key that its tokens are signed with: some 50 ms, once, when it is first wanted."""
        return hashlib.scrypt(
            self._user.password.encode(), salt=b"meshferry etcd token " + self._user.name.encode(), **_SCRYPT
        )

    def sign(self, expires_s: int) -> str:
        """Make the token that ends then."""
        claim = f"{self.id}.{expires_s}"
        return f"{claim}.{_text(hashlib.blake2b(claim.encode(), key=self.key, digest_size=24).digest())}"


def _digest(password: str) -> bytes:
    """Give all passwords one length, so that comparing tells nothing of it."""
    return hashlib.blake2b(password.encode("utf-8", "surrogatepass")).digest()


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


class Auth:
    """The Auth service.

    Args:
        users: without any, everybody may do everything.
        clock: see there.
    """

    def __init__(self, users: Iterable[User], clock: Clock) -> None:
        self._clock = clock
        self._accounts = {user.name: _Account(user) for user in users}
        self._by_id = {account.id: account for account in self._accounts.values()}
        self._used: OrderedDict[str, tuple[float, Grant]] = OrderedDict()
        self.is_enabled = bool(self._accounts)

    def authenticate(self, name: str, password: str) -> str:
        """Give a user a token.

        Raises:
            EtcdError: FailedPrecondition without users; InvalidArgument for a wrong name or password, alike.
        """
        if not self.is_enabled:
            raise errors.auth_not_enabled()
        account = self._accounts.get(name)
        is_right = hmac.compare_digest(_digest(password), _NOBODY if account is None else account.digest)
        if account is None or not is_right:
            raise errors.authentication_failed()
        return account.sign(int(self._clock.wall_s()) + TOKEN_TTL_S)

    def authenticate_request(self, body: bytes) -> str:
        """Give a token for `{"name", "password"}`.

        Raises:
            EtcdError: as `authenticate`; InvalidArgument for what cannot be read.
        """
        fields = read_fields(parse_object(body), _CREDENTIAL_FIELDS)
        return self.authenticate(fields.get("name", ""), fields.get("password", ""))

    def authorize(self, token: str) -> Grant:
        """Tell what the bearer of a token may name.

        Args:
            token: the `Authorization` header as it is, or the metadata `token`; empty where there is none.

        Raises:
            EtcdError: InvalidArgument without a token; Unauthenticated for one that is not or no longer valid.
        """
        if not self.is_enabled:
            return EVERYTHING
        if not token:
            raise errors.user_name_empty()
        now_s = self._clock.monotonic_s()
        used = self._used.get(token)
        grant = self._verify(token) if used is None or used[0] <= now_s else used[1]
        self._used[token] = (now_s + TOKEN_TTL_S, grant)
        self._used.move_to_end(token)
        if len(self._used) > MAX_TOKENS:
            self._used.popitem(last=False)
        return grant

    def _verify(self, token: str) -> Grant:
        user, _, rest = token.partition(".")
        expiry = rest.partition(".")[0]
        account = self._by_id.get(user)
        if account is None or not (expiry.isascii() and expiry.isdecimal() and len(expiry) <= _MAX_EXPIRY_DIGITS):
            raise errors.invalid_auth_token()
        is_signed = hmac.compare_digest(token.encode(), account.sign(int(expiry)).encode())
        if not is_signed or int(expiry) <= self._clock.wall_s():
            raise errors.invalid_auth_token()
        return account.grant
