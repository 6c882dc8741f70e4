"""The policy: what the operator decides about translation. Part of the settings, recorded in a bundle's provenance."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from typing import Literal

import msgspec


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


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Decisions of the operator.

    Attributes:
        overrides: diagnostic code -> action, instead of the default of its class.
        path_matching: `decoded` matches on nginx's normalised path, `raw` guards every route with the raw one
            (mapping.md section 3).
        port_map: Envoy listener port -> APISIX port, where they differ.
        collectors: cluster that spans are sent to -> URL of the collector, e.g. `http://zipkin:9411`.
        max_flat_keys: keys per bucket above which flat mode is used (mapping.md section 8, step 6).
        dns_servers: `host:port` of the resolvers of the nodes' DNS discovery. With any, a STRICT_DNS cluster of one
            name uses all addresses of the name at once; without, one address per lookup.
        max_object_bytes: an object above this size is refused with OUT-SIZE.
    """

    overrides: dict[str, Action] = {}
    path_matching: Literal["decoded", "raw"] = "decoded"
    port_map: dict[int, int] = {}
    collectors: dict[str, str] = {}
    max_flat_keys: int = 2000
    max_object_bytes: int = 1_500_000
    dns_servers: tuple[str, ...] = ()

    def digest(self) -> str:
        """Short fingerprint for the provenance: equal policies give equal digests."""
        named = msgspec.structs.replace(self, port_map={str(port): to for port, to in self.port_map.items()})
        return blake2b(msgspec.json.encode(named, order="deterministic"), digest_size=8).hexdigest()


DEFAULT = Policy()
