"""One type of resource on one stream: what was asked for, which nonce and version to answer with. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

INVALID_ARGUMENT = 3  # google.rpc.Code

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TypeRule:
    """How a type is subscribed to."""

    type_url: str
    is_wildcard: bool
    """Asked for with an empty list, which means everything, and removed by absence (control-planes.md section 5.5)."""
    parents: tuple[str, ...] = ()
    """The types whose resources name resources of this one."""
    after: tuple[str, ...] = ()
    """The types that must have been heard of before this one is first asked for."""


# The order of control-planes.md section 3.2.
TYPE_RULES = (
    TypeRule(xds.CLUSTER, is_wildcard=True),
    TypeRule(xds.CLUSTER_LOAD_ASSIGNMENT, is_wildcard=False, parents=(xds.CLUSTER,)),
    TypeRule(xds.LISTENER, is_wildcard=True, after=(xds.CLUSTER,)),
    TypeRule(xds.ROUTE_CONFIGURATION, is_wildcard=False, parents=(xds.LISTENER,)),
    TypeRule(xds.SECRET, is_wildcard=False, parents=(xds.CLUSTER, xds.LISTENER)),
)


class Subscription:
    """State-of-the-world rules for requests of one type (control-planes.md sections 5.1 to 5.4).

    Attributes:
        version_info: of the last response that was accepted whole; survives the stream (section 5.3).
        is_answered: a response has been taken at least once.
        is_known: one without a bad resource has, so that absence means something.
        is_requested: a request was sent on this stream.
        requested: the names in the last request on this stream.
        response_count: responses on this stream.
        is_resting: a NACK was sent less than a second ago, the next one must wait.
    """

    def __init__(self, rule: TypeRule) -> None:
        self.rule = rule
        self.version_info = ""
        self.is_answered = False
        self.is_known = False
        self.open()

    def open(self) -> None:
        """Forget everything that belongs to a stream (section 5.2: a new stream forgets nonces)."""
        self.is_requested = False
        self.requested = NOTHING
        self.response_count = 0
        self.is_resting = False
        self._nonce = ""
        self._error_detail = ""
        self._is_reply_due = False

    def receive(self, response: xds.Message, error_detail: str) -> None:
        """Note a response.

        Args:
            response: a DiscoveryResponse of this type.
            error_detail: why it is not accepted whole; empty to ACK it.
        """
        self.response_count += 1
        self._nonce = response.nonce
        self._error_detail = error_detail
        self._is_reply_due = True
        if not error_detail:
            self.version_info = response.version_info

    def next_request(self, names: AbstractSet[str]) -> xds.Message | None:
        """Give the request that is due: an ACK, a NACK, a change of subscription, or all in one.

        A NACK rests a second before the next one, because some control planes resend at once (section 6), and so does
        the answer to a response without a nonce, which some take for a first request and answer again.

        Args:
            names: what is wanted; empty for a wildcard.

        Returns:
            A DiscoveryRequest without its node; None when nothing is due, or not yet.
        """
        has_interest = self.rule.is_wildcard or bool(names)
        if not self.is_requested and not has_interest:
            return None
        if self.is_requested and not self._is_reply_due and names == self.requested:
            return None
        if not has_interest:
            self._error_detail = ""  # a NACK after the end of interest brings istiod down (section 3.6)
        needs_rest = bool(self._error_detail) or (self.response_count > 0 and not self._nonce)
        if needs_rest and self.is_resting:
            return None
        self.is_resting = self.is_resting or needs_rest
        return self._request(names)

    def _request(self, names: AbstractSet[str]) -> xds.Message:
        request = xds.message_class("envoy.service.discovery.v3.DiscoveryRequest")(
            type_url=self.rule.type_url,
            version_info=self.version_info,
            response_nonce=self._nonce,
            resource_names=sorted(names),
        )
        if self._error_detail:
            request.error_detail.code = INVALID_ARGUMENT
            request.error_detail.message = self._error_detail
        self.is_requested = True
        self.requested = frozenset(names)
        self._error_detail = ""
        self._is_reply_due = False
        return request
