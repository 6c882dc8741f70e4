"""State-of-the-world ADS: every response holds all of what was asked for, every request all the names that are wanted.

Clusters and listeners that a response lacks are gone (control-planes.md section 5.5), but not at the word of the first
response of a stream: a control plane that has just started may not know of them yet. A second response or time confirms
it. Scopes are gone alike: Envoy takes their set as a whole too (ScopedRdsConfigSubscription).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from producers.xds.interest import WILDCARD
from producers.xds.phase import Heard, Phase
from producers.xds.response import Reading, read_response
from producers.xds.session import Session, pass_over
from producers.xds.subscription import INVALID_ARGUMENT, NOTHING, TYPE_RULES, Subscription, TypeRule
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from producers.xds.command import Command
    from producers.xds.references import Key


ALL = frozenset({WILDCARD})
"""All scopes are asked for by an empty list, as Envoy does: go-control-plane's snapshot caches are silent about `*`."""


class SotWSubscription(Subscription):
    """Rules for requests of one type (control-planes.md sections 5.1 to 5.4).

    Attributes:
        version_info: of the last response that was accepted whole; survives the stream (section 5.3), but not the end
            of interest: the Java control plane is silent to whoever claims to hold its version (section 6).
        is_unanswered: nothing has come since other names were asked for.
        left_out: names that are not asked for until something comes, because their like may be what keeps it away.
    """

    def __init__(self, rule: TypeRule) -> None:
        super().__init__(rule)
        self.version_info = ""

    def open(self) -> None:
        """Forget everything that belongs to a stream."""
        super().open()
        self._nonce = ""
        self._error_detail = ""
        self._is_reply_due = False
        self.is_unanswered = False
        self.left_out = NOTHING

    def receive(self, response: xds.Message, error_detail: str) -> None:
        """Note a response; only the last one is answered."""
        self.response_count += 1
        self._nonce = response.nonce
        self._error_detail = error_detail
        self._is_reply_due = True
        self.is_unanswered = False
        self.left_out = NOTHING
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
            resource_names=[] if names == ALL else sorted(names),
        )
        if self._error_detail:
            request.error_detail.code = INVALID_ARGUMENT
            request.error_detail.message = self._error_detail
        if not self.rule.is_wildcard and not names:
            self.version_info = ""
        self.is_unanswered = self.is_unanswered or not self.is_requested or names != self.requested
        self.is_requested = True
        self.requested = frozenset(names)
        self._error_detail = ""
        self._is_reply_due = False
        return request


class SotWSession(Session[SotWSubscription]):
    """What one view knows of a control plane that speaks the state of the world."""

    def _new_subscriptions(self) -> dict[str, SotWSubscription]:
        return {rule.type_url: SotWSubscription(rule) for rule in TYPE_RULES}

    def _read(self, response: xds.Message, subscription: SotWSubscription) -> Reading:
        type_url = response.type_url
        return read_response(
            response, self._warming.accepted[type_url], subscription.interest(self._warming.named[type_url])
        )

    def _due(self, subscription: SotWSubscription, names: AbstractSet[str]) -> list[xds.Message]:
        """Give the request that is due; the first of a stream claims no version while something was never answered."""
        if not subscription.is_requested and self._is_awaited(subscription.rule.type_url, names):
            subscription.version_info = ""
        request = subscription.next_request(names)
        return [] if request is None else [request]

    def _is_awaited(self, type_url: str, names: AbstractSet[str]) -> bool:
        return any((type_url, name) in self._warming.pending for name in names or ALL)

    def _names(self, subscription: SotWSubscription) -> AbstractSet[str]:
        return super()._names(subscription) - subscription.left_out

    def _narrow(self, silent: list[Key]) -> list[Command]:
        """Ask once more without the names that only what is to be replaced refers to.

        The Java control plane answers nothing when one name is not in its snapshot (section 6), and what a change no
        longer names is still asked for until the change is warm.
        """
        type_url = silent[0][0]
        subscription = self._subscriptions[type_url]
        left_out = subscription.requested - self._warming.needed(type_url)
        if not subscription.is_unanswered or subscription.left_out or not left_out:
            return []
        subscription.left_out = left_out
        return self._request(subscription) + self._await_existence(type_url, [name for _, name in silent])

    def _weigh(self, subscription: SotWSubscription, reading: Reading) -> Heard:
        if reading.has_only_heartbeats:
            return Heard.HEARTBEAT
        if not self._is_whole_set(subscription, reading):
            return Heard.NOTHING_LESS
        is_first_and_empty = not reading.mentioned and not subscription.is_known
        return Heard.LESS if is_first_and_empty or self._absent(subscription, reading) else Heard.NOTHING_LESS

    def _is_whole_set(self, subscription: SotWSubscription, reading: Reading) -> bool:
        return reading.is_complete and subscription.is_set(self._warming.named[subscription.rule.type_url])

    def _absent(self, subscription: SotWSubscription, reading: Reading) -> list[str]:
        held = self._warming.accepted[subscription.rule.type_url]
        return [name for name in held if name not in reading.mentioned]

    def _take(self, subscription: SotWSubscription, reading: Reading) -> list[Command]:
        """Take what is there and, of clusters, listeners and scopes, drop what is not."""
        type_url = subscription.rule.type_url
        commands = self._accept(type_url, reading)
        if self._is_whole_set(subscription, reading):
            self._drop(type_url, self._absent(subscription, reading))
        subscription.doubted.clear()
        return commands + self._conclude(subscription, reading)

    def _conclude(self, subscription: SotWSubscription, reading: Reading) -> list[Command]:
        self._warming.settle((subscription.rule.type_url, WILDCARD))
        subscription.is_answered = True
        # With a bad resource the set is not whole: the log may hold a last good one that a complete set would remove.
        subscription.is_known = subscription.is_known or not reading.faults
        return []

    def _doubt(self, subscription: SotWSubscription, reading: Reading) -> list[Command]:
        """Take what is there and keep what is not until time or a second response confirms it."""
        type_url = subscription.rule.type_url
        commands: list[Command] = [*self._accept(type_url, reading), self._await_confirmation(subscription)]
        commands += self._hold(subscription, self._absent(subscription, reading))
        if reading.mentioned:
            return commands + self._conclude(subscription, reading)
        self._warming.pending.add((type_url, WILDCARD))
        return commands

    def _confirm(self, subscription: SotWSubscription, _reading: Reading | None) -> list[Command]:
        """Drop what was kept in doubt; where nothing came at all, nothing is what there is."""
        type_url = subscription.rule.type_url
        self._drop(type_url, subscription.doubted)
        subscription.doubted.clear()
        if (type_url, WILDCARD) in self._warming.pending:  # it was empty, and that was everything
            self._warming.settle((type_url, WILDCARD))
            subscription.is_answered = subscription.is_known = True
        return []

    phases: ClassVar[Mapping[tuple[Phase, Heard], tuple[Phase, Callable[..., list[Command]]]]] = {
        (Phase.UNASKED, Heard.REQUESTED): (Phase.ASKED, pass_over),
        (Phase.ASKED, Heard.HEARTBEAT): (Phase.ASKED, pass_over),
        (Phase.ASKED, Heard.NOTHING_LESS): (Phase.HEARD, _take),
        (Phase.ASKED, Heard.LESS): (Phase.DOUBTED, _doubt),
        (Phase.DOUBTED, Heard.HEARTBEAT): (Phase.DOUBTED, pass_over),
        (Phase.DOUBTED, Heard.NOTHING_LESS): (Phase.HEARD, _take),
        (Phase.DOUBTED, Heard.LESS): (Phase.HEARD, _take),
        (Phase.DOUBTED, Heard.CONFIRMED): (Phase.HEARD, _confirm),
        (Phase.HEARD, Heard.HEARTBEAT): (Phase.HEARD, pass_over),
        (Phase.HEARD, Heard.NOTHING_LESS): (Phase.HEARD, _take),
        (Phase.HEARD, Heard.LESS): (Phase.HEARD, _take),
    }
