"""The policy: what the operator decides about translation. Part of the settings, recorded in a bundle's provenance."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from typing import Annotated, Literal, TypeAlias

import msgspec

_URL = msgspec.Meta(pattern=r"^https?://[^/?#\s]+")
_BASE_URL = msgspec.Meta(pattern=r"^https?://[^/?#\s]+$")
_NOT_EMPTY = msgspec.Meta(min_length=1)
Version: TypeAlias = tuple[int, int]
"""Major and minor version of APISIX; patch levels bring no fields."""

OLDEST: Version = (3, 9)
NEWEST: Version = (3, 18)
_RANGE = re.compile(r"\s*(\d+\.\d+)(?:\.\d+)?\s*(?:-\s*(\d+\.\d+)(?:\.\d+)?\s*)?")


def version_text(version: Version) -> str:
    """Write a version as APISIX does, without its patch level."""
    return f"{version[0]}.{version[1]}"


class Action(StrEnum):
    """What a diagnostic leads to, mapping.md section 11."""

    ALLOW = "allow"
    """Translate without the feature and do not even warn: the operator knows."""
    WARN = "warn"
    """Translate without the feature and say so."""
    BLOCK_ROUTE = "block_route"
    """Keep what would match, answer it with an error."""
    REJECT_RESOURCE = "reject_resource"
    """Leave the object out."""


class StaticLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit of a rate limit service, as in the service's own configuration.

    Attributes:
        descriptor: keys and values in order; an empty value stands for any, each counted apart.
        requests_per_unit: how many requests a unit of time has.
        unit: of time.
    """

    descriptor: Annotated[tuple[tuple[str, str], ...], _NOT_EMPTY]
    requests_per_unit: Annotated[int, msgspec.Meta(ge=1)]
    unit: Literal["second", "minute", "hour", "day"]


class OPAService(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An Open Policy Agent that answers instead of an authorization service that speaks gRPC only.

    Attributes:
        host: base URL, e.g. `http://127.0.0.1:8181`.
        policy: path of the policy document, e.g. `envoy/authz`.
    """

    host: Annotated[str, _BASE_URL]
    policy: Annotated[str, _NOT_EMPTY]


class Redirects(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which local ports TCP connections are redirected to that listeners without a port of their own wait for.

    Attributes:
        first_port: of the range that ports are taken from.
        last_port: of the range.
        ports: `output/10.96.0.7:9080` -> port, where the one that the name gives by itself is taken.
    """

    first_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 20_000
    last_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 29_999
    ports: dict[str, Annotated[int, msgspec.Meta(ge=1, le=65535)]] = {}

    def __post_init__(self) -> None:
        """Refuse a range without a port."""
        if self.last_port < self.first_port:
            raise ValueError(f"redirects: last_port {self.last_port} is below first_port {self.first_port}")

    def port_of(self, name: str) -> int:
        """Give the port of a destination: from its name alone, so that no other listener ever moves it."""
        if name in self.ports:
            return self.ports[name]
        number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest())
        return self.first_port + number % (self.last_port - self.first_port + 1)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Decisions of the operator.

    Attributes:
        overrides: diagnostic code -> action, instead of the default of its class.
        path_matching: `decoded` matches on nginx's normalised path, `raw` guards every route with the raw one
            (mapping.md section 3).
        port_map: Envoy listener port -> APISIX port, where they differ.
        redirects: the ports of TCP connections that the node redirects (mapping.md section 7, port-map mode).
        collectors: cluster that spans are sent to -> URL of the collector, e.g. `http://zipkin:9411`.
        max_flat_keys: keys per bucket above which flat mode is used (mapping.md section 8, step 6).
        dns_servers: `host:port` of the resolvers of the nodes' DNS discovery. With any, a STRICT_DNS cluster of one
            name uses all addresses of the name at once; without, one address per lookup.
        max_object_bytes: an object above this size is refused with OUT-SIZE.
        authorization_services: cluster of an ext_authz HTTP service -> base URL under which nodes reach it, where that
            is not the one of `server_uri`.
        opa_services: cluster of an ext_authz gRPC service -> what nodes ask instead.
        rls_static_limits: domain of a rate limit service -> its limits, which nodes then apply themselves.
        circuit_breakers: `limit_conn` makes nodes refuse requests to a cluster beyond its max_requests.
        apisix_versions: the versions of the nodes, `3.12-3.18` or one alone. What the oldest of them lacks is diagnosed
            and not emitted. The default is the one version that translations are compared with; nodes that are older
            have to be named, because nothing a translator reads tells it of them.

    Raises:
        ValueError: apisix_versions is no range within 3.9 to 3.18.
    """

    overrides: dict[str, Action] = {}
    path_matching: Literal["decoded", "raw"] = "decoded"
    port_map: dict[int, int] = {}
    redirects: Redirects = Redirects()
    collectors: dict[str, str] = {}
    max_flat_keys: int = 2000
    max_object_bytes: int = 1_500_000
    dns_servers: tuple[str, ...] = ()
    authorization_services: dict[str, Annotated[str, _URL]] = {}
    opa_services: dict[str, OPAService] = {}
    rls_static_limits: dict[str, tuple[StaticLimit, ...]] = {}
    circuit_breakers: Literal["ignore", "limit_conn"] = "ignore"
    apisix_versions: str = version_text(NEWEST)

    def __post_init__(self) -> None:
        """Refuse versions that no table says anything about."""
        oldest, newest = self.versions()
        if not OLDEST <= oldest <= newest <= NEWEST:
            known = f"{version_text(OLDEST)}-{version_text(NEWEST)}"
            raise ValueError(f"apisix_versions: {self.apisix_versions!r} is not within {known}")

    def versions(self) -> tuple[Version, Version]:
        """Give the oldest and the newest version of the nodes."""
        return _versions(self.apisix_versions)

    def digest(self) -> str:
        """Short fingerprint for the provenance: that of the values alone, however a settings file orders them."""
        named = msgspec.structs.replace(self, port_map={str(port): to for port, to in self.port_map.items()})
        return blake2b(msgspec.json.encode(named, order="sorted"), digest_size=8).hexdigest()


@cache
def _versions(text: str) -> tuple[Version, Version]:
    found = _RANGE.fullmatch(text)
    if found is None:
        raise ValueError(f"apisix_versions: {text!r} is no range such as 3.12-3.18")
    return _version(found[1]), _version(found[2] or found[1])


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


DEFAULT = Policy()
