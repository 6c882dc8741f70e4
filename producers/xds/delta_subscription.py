"""Delta rules for requests of one type (control-planes.md sections 3.4 and 5.1 to 5.4). Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from producers.xds.interest import WILDCARD
from producers.xds.subscription import INVALID_ARGUMENT, TYPE_RULES, Subscription, TypeRule
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from producers.xds.response import Entry, Reading

DELTA_TYPE_RULES = (
    *TYPE_RULES[:-1],
    TypeRule(xds.VIRTUAL_HOST, is_wildcard=False, parents=(xds.ROUTE_CONFIGURATION,)),
    TYPE_RULES[-1],
)
"""Virtual hosts by discovery exist in delta only; secrets stay last, as in the other variant."""


class _Reply(NamedTuple):
    """An answer that is owed."""

    nonce: str
    error_detail: str


class DeltaSubscription(Subscription):
    """What was asked for more or less, and which responses are still to be answered.

    Attributes:
        unheard: names and versions that were announced on this stream and of which it has said nothing yet.
        faulty: names of the resources whose last version was bad.
        is_resending: this stream has sent what it was told we have.
    """

    def open(self) -> None:
        """Forget everything that belongs to a stream."""
        super().open()
        self.unheard: dict[str, str] = {}
        self.faulty: set[str] = set()
        self.is_resending = False
        self._replies: list[_Reply] = []

    def receive(self, response: xds.Message, error_detail: str) -> None:
        """Note a response, which gets exactly one answer.

        One without a nonce cannot be answered. One that comes when nothing is subscribed to any more is not: istiod
        takes any request for a first one then, and dies of a NACK (section 3.6).
        """
        self.response_count += 1
        if response.nonce and (self.rule.is_wildcard or self.requested):
            self._replies.append(_Reply(response.nonce, error_detail))

    def hear(self, reading: Reading, *, may_tell: bool) -> None:
        """Note of which names a response speaks.

        Args:
            reading: the response.
            may_tell: whether the response is one of those that tell whether the announced versions are heeded.
        """
        for name, version in reading.versions.items():
            announced = self.unheard.pop(name, None)
            if may_tell and announced is not None and version in ("", announced):
                self.is_resending = True
        for name in reading.removed:
            self.unheard.pop(name, None)
        self.faulty -= reading.answered | reading.removed
        self.faulty |= {fault.name for fault in reading.faults}

    def next_requests(self, names: AbstractSet[str], held: Mapping[str, Entry]) -> list[xds.Message]:
        """Give the requests that are due: answers first, then a change of what is wanted.

        A NACK rests a second before the next ones, because some control planes resend at once (section 6).

        Args:
            names: what is wanted; empty for the legacy wildcard.
            held: the resources of the type as they are now.

        Returns:
            DeltaDiscoveryRequests without their node.
        """
        if not self.is_requested:
            return [self._first(names, held)] if self.rule.is_wildcard or names else []
        return [*self._answers(has_interest=self.rule.is_wildcard or bool(names)), *self._changes(names)]

    def _first(self, names: AbstractSet[str], held: Mapping[str, Entry]) -> xds.Message:
        self.is_requested = True
        self.requested = frozenset(names)
        self.unheard = {name: entry.version_info for name, entry in held.items()}
        return self._request(resource_names_subscribe=sorted(names), initial_resource_versions=self.unheard)

    def _answers(self, *, has_interest: bool) -> list[xds.Message]:
        """A NACK after the end of interest would bring istiod down: what is rejected then is merely acknowledged."""
        due = [reply if has_interest else _Reply(reply.nonce, "") for reply in self._replies]
        self._replies = [reply for reply in due if reply.error_detail and self.is_resting]
        sent = [reply for reply in due if not (reply.error_detail and self.is_resting)]
        self.is_resting = self.is_resting or any(reply.error_detail for reply in sent)
        return [self._answer(reply) for reply in sent]

    def _answer(self, reply: _Reply) -> xds.Message:
        request = self._request(response_nonce=reply.nonce)
        if reply.error_detail:
            request.error_detail.code = INVALID_ARGUMENT
            request.error_detail.message = reply.error_detail
        return request

    def _changes(self, names: AbstractSet[str]) -> list[xds.Message]:
        if names == self.requested:
            return []
        more, less = sorted(names - self.requested), sorted(self.requested - names)
        self.requested = frozenset(names)
        if WILDCARD in less:
            self.unheard.clear()
        for name in (*more, *less):  # it is sent again when it is asked for again, whatever was announced
            self.unheard.pop(name, None)
        return [self._request(resource_names_subscribe=more, resource_names_unsubscribe=less)]

    def _request(self, **fields: object) -> xds.Message:
        message = xds.message_class("envoy.service.discovery.v3.DeltaDiscoveryRequest")
        return message(type_url=self.rule.type_url, **fields)
