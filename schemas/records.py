"""The record types that topics carry, frozen. Their Avro schemas are in schemas/avro, the codec in schemas/codec.py."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

SCHEMA_NAMESPACE = "meshferry"


class Role(StrEnum):
    """Why a resource is in a unit."""

    SUBJECT = "subject"
    """What the unit is about."""
    REFERENCE = "reference"
    """What the subject names: clusters without endpoints, secrets."""
    SIBLING = "sibling"
    """A stub of a neighbour that matters only by what it would match first."""
    USE = "use"
    """A RouteAction reduced to the fields that shape an APISIX upstream (schemas/uses.py)."""


class UnitKind(StrEnum):
    """The kinds of units, architecture.md section 4; also the first part of a unit key."""

    SECRET = "secret"  # noqa: S105 - a kind, not a secret
    CLUSTER = "cluster"
    TLS = "tls"
    HTTP = "http"
    STREAM = "stream"
    VIEW = "view"


class Severity(StrEnum):
    """How bad a diagnostic is, ascending."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"
    FATAL = "FATAL"


class Resource(msgspec.Struct, frozen=True):
    """One xDS resource inside a unit, in canonical bytes."""

    role: Role
    type_url: str
    name: str
    body: bytes


class Provenance(msgspec.Struct, frozen=True):
    """Where a record came from. Never part of a comparison of content."""

    source: str = ""
    version_info: str = ""
    time_ms: int = 0
    build: str = ""


class Unit(msgspec.Struct, frozen=True):
    """A self-contained slice of an image: `translate` needs nothing else (law 2)."""

    kind: UnitKind
    key: str
    params: dict[str, str]
    resources: tuple[Resource, ...]
    provenance: Provenance = Provenance()

    def content(self) -> tuple[str, dict[str, str], tuple[Resource, ...]]:
        """What decides whether two units are the same: everything but the provenance."""
        return self.key, self.params, self.resources


class EtcdObject(msgspec.Struct, frozen=True):
    """One APISIX object: its key below the etcd prefix (`/routes/<id>`) and its JSON value, canonical bytes."""

    key: str
    value: bytes


class Diagnostic(msgspec.Struct, frozen=True, order=True):
    """One finding of the translation, mapping.md section 11."""

    code: str
    severity: Severity
    diagnostic_class: str
    type_url: str
    name: str
    path: str
    value: str
    effect: str
    remedy: str


class BundleClass(StrEnum):
    """What a bundle changes; endpoint bundles pass a release gate, routing bundles wait (architecture.md section 7)."""

    ROUTING = "routing"
    ENDPOINTS = "endpoints"


class Bundle(msgspec.Struct, frozen=True):
    """The translation of one unit."""

    unit_key: str
    bundle_class: BundleClass
    seq: int
    """genesis + offset of the unit record; a lower one than that in force is ignored (law 4)."""
    objects: tuple[EtcdObject, ...]
    diagnostics: tuple[Diagnostic, ...]
    manifest: str = ""
    """JSON of what the node's static config.yaml must provide; empty except in the bundle of the unit `view`."""
    provenance: Provenance = Provenance()


class Genesis(msgspec.Struct, frozen=True):
    """First record of a topic, key `@genesis`: the origin of its revisions (law 5)."""

    view: str
    created_ms: int
    id: str


class RejectedUnit(msgspec.Struct, frozen=True):
    """A bundle an agent did not take."""

    unit_key: str
    reason: str


class NeighbourStatus(msgspec.Struct, frozen=True):
    """What the APISIX beside an agent has, by its control API."""

    is_reachable: bool
    applied_revision: int
    """The newest revision of which everything is in APISIX; 0 when it gives no answer."""
    behind: int
    """Routes and upstreams it has not taken, or still has though they are gone."""
    reason: str
    """Which, or why there is no answer; empty when it has everything."""


class NodeStatus(msgspec.Struct, frozen=True):
    """What an agent says of itself, key = node id."""

    node: str
    view: str
    applied_revision: int
    target_revision: int
    watchers: int
    is_live: bool
    """False while the last-known-good state is served because the log does not answer."""
    time_ms: int
    build: str
    rejected: tuple[RejectedUnit, ...] = ()
    last_good_age_ms: int = 0
    """How long the log has not answered; 0 while it does."""
    apisix: NeighbourStatus | None = None
    """None when the agent is not told to ask."""


class Freeze(msgspec.Struct, frozen=True):
    """Control record: agents hold at their current offset."""

    reason: str
    expires_ms: int
    passes_endpoints: bool


class Release(msgspec.Struct, frozen=True):
    """Control record: which nodes may follow to which offset."""

    target_offset: int
    baseline_offset: int
    percent: int
    labels: dict[str, str]


class Approval(msgspec.Struct, frozen=True):
    """Control record: removals held by the guard may be published."""

    fingerprint: str
    approved_by: str
    time_ms: int


class HeldKind(StrEnum):
    """What a hold keeps back."""

    REMOVALS = "removals"
    """Units that the source no longer has."""
    ENDPOINTS = "endpoints"
    """Clusters that would lose all usable endpoints."""
    FLAPPING = "flapping"
    """Resources that change to and fro."""


class Held(msgspec.Struct, frozen=True):
    """Control record: a change that the producer holds back, key = `held/<kind>`."""

    fingerprint: str
    kind: HeldKind
    names: tuple[str, ...]
    """Unit keys, cluster names, or type and name of resources; sorted, at most 1000."""
    count: int
    published_count: int
    recent_count: int
    since_ms: int
    reason: str


Record = Unit | Bundle | Genesis | NodeStatus | Freeze | Release | Approval | Held
RecordName = Literal["Unit", "Bundle", "Genesis", "NodeStatus", "Freeze", "Release", "Approval", "Held"]
