"""etcd's errors as the gateway of 3.4 and 3.5 shows them: always `error`, `code` and `message` (contract rule 3)."""

from __future__ import annotations

import orjson


class EtcdError(Exception):
    """An error with the text and the gRPC code clients match on.

    Attributes:
        status: the HTTP status.
        code: the gRPC code.
        message: etcd's own text.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> bytes:
        """Render the error in the shape of the gateway's first generation."""
        return orjson.dumps({"error": self.message, "message": self.message, "code": self.code})


def invalid_argument(message: str) -> EtcdError:
    """The request cannot be understood."""
    return EtcdError(400, 3, message)


def compacted() -> EtcdError:
    """The revision asked for is gone."""
    return EtcdError(400, 11, "etcdserver: mvcc: required revision has been compacted")


def future_revision() -> EtcdError:
    """The revision asked for has not happened."""
    return EtcdError(400, 11, "etcdserver: mvcc: required revision is a future revision")


def permission_denied() -> EtcdError:
    """A write, for the keys come from the log and from nowhere else; or a key outside the user's prefixes."""
    return EtcdError(403, 7, "etcdserver: permission denied")


def user_name_empty() -> EtcdError:
    """There are users, and the request has no token."""
    return invalid_argument("etcdserver: user name is empty")


def authentication_failed() -> EtcdError:
    """There is no such user, or the password is another: nobody is told which."""
    return invalid_argument("etcdserver: authentication failed, invalid user ID or password")


def invalid_auth_token() -> EtcdError:
    """The token is nobody's, or has ended."""
    return EtcdError(401, 16, "etcdserver: invalid auth token")


def key_not_provided() -> EtcdError:
    """The request has no key."""
    return invalid_argument("etcdserver: key is not provided")


def request_too_large() -> EtcdError:
    """The decoded request is above etcd's own limit of 1.5 MiB."""
    return invalid_argument("etcdserver: request is too large")


def message_too_large(size: int, limit: int) -> EtcdError:
    """The request is above what the gateway takes."""
    return EtcdError(429, 8, f"grpc: received message larger than max ({size} vs. {limit})")


def not_ready() -> EtcdError:
    """There is no state to serve yet; the client sleeps and comes back (rule 15)."""
    return EtcdError(503, 14, "etcdserver: no state yet: the bundles topic has not been read and there is no snapshot")


def too_many_watches() -> EtcdError:
    """Watches come faster than the agent is told to take them; the client sleeps and comes back (rule 15)."""
    return EtcdError(503, 14, "etcdserver: too many new watches at once, come back in a while")


def auth_not_enabled() -> EtcdError:
    """Somebody sent a user and a password."""
    return EtcdError(400, 9, "etcdserver: authentication is not enabled")


def lease_not_found() -> EtcdError:
    """No such lease, or no longer."""
    return EtcdError(404, 5, "etcdserver: requested lease not found")


def lease_exists() -> EtcdError:
    """The lease id asked for is taken."""
    return EtcdError(400, 9, "etcdserver: lease already exists")


def lease_ttl_too_large() -> EtcdError:
    """The lease would outlive everybody."""
    return EtcdError(400, 11, "etcdserver: too large lease TTL")


def too_many_leases() -> EtcdError:
    """There are as many leases as an agent keeps; one that is not renewed makes room."""
    return EtcdError(429, 8, "etcdserver: too many leases: wait for one to expire or revoke some")


def too_many_operations() -> EtcdError:
    """A txn is longer than etcd's own limit."""
    return invalid_argument("etcdserver: too many operations in txn request")


def duplicate_key() -> EtcdError:
    """A txn puts one key twice."""
    return invalid_argument("etcdserver: duplicate key given in txn request")


def undecodable() -> EtcdError:
    """A gRPC message is not what it should be."""
    return EtcdError(500, 13, "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data")


def unimplemented(message: str) -> EtcdError:
    """There is no such method."""
    return EtcdError(501, 12, message)
