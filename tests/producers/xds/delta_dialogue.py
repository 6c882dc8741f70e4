"""Dialogues with a delta session: the scripts of dialogue.py, and what only delta can say.

assert dialogue.open() == ["ask CDS *"]
assert dialogue.respond("CDS", cluster("a")) == ["ack CDS", "ask EDS a", "ask LDS *"]
assert dialogue.respond("CDS", cluster("b"), removed=["a"]) == ["ack CDS", "ask EDS +b -a", ...]
"""

from __future__ import annotations

from hashlib import blake2b

from producers.xds.delta import DeltaSession
from producers.xds.event import ResponseReceived
from producers.xds.validate import name_of
from schemas import xds
from tests.producers.xds.dialogue import SHORT, TYPE_URLS, Dialogue, wrapped

DELTA_DISCOVERY_RESPONSE = xds.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")
SETS = (xds.CLUSTER, xds.LISTENER, xds.SCOPED_ROUTE_CONFIGURATION, xds.VIRTUAL_HOST)


class DeltaDialogue(Dialogue):
    """A delta session and, for `serve`, a control plane that keeps account of what each stream has.

    Its versions are digests, and it heeds those that a stream begins with.
    """

    make_session = DeltaSession
    heeds_versions = True
    has_versions = True

    def __init__(self, node=None) -> None:
        super().__init__(node)
        self._given: dict[str, dict[str, str]] = {}

    def open(self):
        self._given.clear()
        return super().open()

    def respond(self, short, *resources, removed=(), version="1", nonce=None):
        """Send a response; resources are messages, or ready-made `envoy.service.discovery.v3.Resource`."""
        ready = [
            r if r.DESCRIPTOR.full_name == "envoy.service.discovery.v3.Resource" else wrapped(r, version=version)
            for r in resources
        ]
        nonce = f"n{next(self._nonces)}" if nonce is None else nonce
        response = DELTA_DISCOVERY_RESPONSE(
            type_url=TYPE_URLS.get(short, short),
            system_version_info=version,
            nonce=nonce,
            resources=ready,
            removed_resources=removed,
        )
        return self._tell(ResponseReceived(response))

    def serve(self, short, *resources, version="1"):
        """Send what the stream has not been given yet; what a set lacks is removed."""
        given = self._given.setdefault(TYPE_URLS[short], {})
        versions = {name_of(message): self.version_of(message) for message in resources}
        new = [message for message in resources if given.get(name_of(message)) != versions[name_of(message)]]
        gone = sorted(given.keys() - versions.keys()) if TYPE_URLS[short] in SETS else []
        given |= versions
        for name in gone:
            del given[name]
        ready = [wrapped(message, version=versions[name_of(message)] if self.has_versions else "") for message in new]
        return self.respond(short, *ready, removed=gone, version=version)

    @staticmethod
    def version_of(message):
        return blake2b(xds.canonical_bytes(message), digest_size=4).hexdigest()

    def _subscribe(self, request):
        self._is_first = request.type_url not in self.subscribed
        given = self._given.setdefault(request.type_url, {})
        names = self.subscribed.setdefault(request.type_url, set())
        more, less = request.resource_names_subscribe, request.resource_names_unsubscribe
        names |= set(more)
        names -= set(less)
        for name in (*more, *less):  # what is asked for anew must be answered even if unchanged
            given.pop(name, None)
        if self._is_first and self.heeds_versions:
            given |= request.initial_resource_versions

    def _told(self, request):
        """A request in words: ask, ack or nack, the type, and the names that are wanted more and less."""
        short = SHORT[request.type_url]
        if request.HasField("error_detail"):
            return f"nack {short}"
        if request.response_nonce:
            return f"ack {short}"
        more, less = ",".join(request.resource_names_subscribe), ",".join(request.resource_names_unsubscribe)
        if not self._is_first:
            return f"ask {short}" + f" +{more}" * bool(more) + f" -{less}" * bool(less)
        held = ",".join(sorted(request.initial_resource_versions))
        return f"ask {short} {more or '*'}" + f" have {held}" * bool(held)


class ForgetfulDialogue(DeltaDialogue):
    """A control plane that ignores the versions a stream begins with and sends all it has (Java's, section 6)."""

    heeds_versions = False


class UnversionedDialogue(ForgetfulDialogue):
    """A control plane whose resources have no versions (istiod, section 3.4)."""

    has_versions = False


DIALOGUES = {
    "sotw": Dialogue,
    "delta": DeltaDialogue,
    "delta-forgetful": ForgetfulDialogue,
    "delta-unversioned": UnversionedDialogue,
}
"""The variants, and delta once more for each habit of a control plane that changes what a new stream is told."""
