"""What the cutter knows of a Listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from producers.chain import ChainFacts, read_chains, stream_body, stream_references
from producers.cut_view import address_stub, listener_stub
from producers.traversal import body_of

if TYPE_CHECKING:
    from producers.reference import References
    from schemas import xds

WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class ListenerFacts(NamedTuple):
    """A Listener, taken apart."""

    chains: dict[str, ChainFacts]
    stub: bytes
    address_stub: bytes
    address: bytes
    """Canonical bytes of `address`."""
    port: int
    """0 when it has no port."""
    is_wildcard: bool
    """It stands for every address of the machine."""
    is_bound: bool
    """False when it opens no port of its own and is reached through another listener (use_original_dst)."""
    stream_body: bytes | None
    """The Listener reduced to its L4 chains; None when it has none."""
    stream_references: References


def read_listener(listener: xds.Message) -> ListenerFacts:
    """Take a canonical Listener apart."""
    return ListenerFacts(
        chains=read_chains(listener),
        stub=listener_stub(listener),
        address_stub=address_stub(listener),
        address=body_of(listener.address),
        port=listener.address.socket_address.port_value,
        is_wildcard=listener.address.socket_address.address in WILDCARDS,
        is_bound=_is_bound(listener),
        stream_body=stream_body(listener),
        stream_references=stream_references(listener),
    )


def _is_bound(listener: xds.Message) -> bool:
    if listener.HasField("bind_to_port"):
        return bool(listener.bind_to_port.value)
    legacy = listener.deprecated_v1
    return bool(legacy.bind_to_port.value) if legacy.HasField("bind_to_port") else True
