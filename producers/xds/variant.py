"""The two variants of the protocol: which method is called, what comes back, and which session speaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from producers.xds.delta import DeltaSession
from producers.xds.sotw import SotWSession

if TYPE_CHECKING:
    from producers.xds.command import Command
    from producers.xds.event import Event
    from producers.xds.session import Timing
    from schemas import xds

SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService"


class AnySession(Protocol):
    """What the transport needs of a session."""

    def receive(self, event: Event) -> list[Command]:
        """Take an event; give what to do now, in this order."""
        ...


class MakeSession(Protocol):
    """Makes a session that knows nothing yet."""

    def __call__(self, node: xds.Message, source: str, timing: Timing | None = None) -> AnySession:
        """Make it for an identity and the control plane's name."""
        ...


@dataclass(frozen=True)
class Variant:
    """One variant of the aggregated discovery service."""

    method: str
    """Full name of the gRPC method."""
    response: str
    """Full name of the message that comes back."""
    session: MakeSession


_MESSAGE = "envoy.service.discovery.v3."

VARIANTS = {
    "sotw": Variant(f"{SERVICE}/StreamAggregatedResources", _MESSAGE + "DiscoveryResponse", SotWSession),
    "delta": Variant(f"{SERVICE}/DeltaAggregatedResources", _MESSAGE + "DeltaDiscoveryResponse", DeltaSession),
}
"""By the name that the settings use."""
