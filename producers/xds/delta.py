"""Delta ADS: responses hold what changed, requests what is wanted more or less.

Acknowledgement and subscription are requests of their own: istiod drops a change of names that comes with a stale nonce
(control-planes.md section 3.4). A new stream begins with all names and the versions that are held; whether the server
heeds those shows in what it sends. One that sends again what is held in just the version that was announced, or that
gives no versions at all, sends all it has: what it does not send is gone, even if it never says so (section 6, the Java
control plane). One that does heed them is silent about what has not changed. Where everything has changed between two
streams neither shows; what is left out then stays (law 7), until a later stream shows it.

What the first answers of a stream remove, or leave out in this way, stays until time confirms it. Nothing marks the end
of a first answer either, so that it takes the same time until absence means anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from producers.xds.delta_subscription import DELTA_TYPE_RULES, DeltaSubscription
from producers.xds.interest import WILDCARD
from producers.xds.phase import Heard, Phase
from producers.xds.response import Reading, read_delta_response
from producers.xds.session import Session, pass_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from producers.xds.command import Command
    from schemas import xds


class DeltaSession(Session[DeltaSubscription]):
    """What one view knows of a control plane that speaks delta."""

    def _new_subscriptions(self) -> dict[str, DeltaSubscription]:
        return {rule.type_url: DeltaSubscription(rule) for rule in DELTA_TYPE_RULES}

    def _read(self, response: xds.Message, subscription: DeltaSubscription) -> Reading:
        type_url = response.type_url
        interest = subscription.interest(self._warming.named[type_url])
        return read_delta_response(response, self._warming.accepted[type_url], interest)

    def _due(self, subscription: DeltaSubscription, names: AbstractSet[str]) -> list[xds.Message]:
        return subscription.next_requests(names, self._warming.accepted[subscription.rule.type_url])

    def _weigh(self, subscription: DeltaSubscription, reading: Reading) -> Heard:
        if reading.has_only_heartbeats and not reading.removed:
            return Heard.HEARTBEAT
        takes_away = not reading.removed.isdisjoint(subscription.unheard)
        leaves_open = not subscription.is_known or bool(subscription.unheard.keys() - reading.mentioned)
        return Heard.LESS if takes_away or (self._is_set(subscription) and leaves_open) else Heard.NOTHING_LESS

    def _is_set(self, subscription: DeltaSubscription) -> bool:
        return subscription.is_set(self._warming.named[subscription.rule.type_url])

    # What is done

    def _take(self, subscription: DeltaSubscription, reading: Reading) -> list[Command]:
        """Take what is there and drop what is removed."""
        commands = self._take_resources(subscription, reading)
        self._drop(subscription.rule.type_url, reading.removed)
        subscription.is_known = subscription.is_known or not subscription.faulty
        return commands

    def _begin_to_doubt(self, subscription: DeltaSubscription, reading: Reading) -> list[Command]:
        """Start the time after which this stream's first answers count for everything, and doubt."""
        return [self._await_confirmation(subscription), *self._doubt(subscription, reading)]

    def _doubt(self, subscription: DeltaSubscription, reading: Reading) -> list[Command]:
        """Keep what is removed before the stream has said that it exists; removed a second time it is gone."""
        kept = reading.removed & subscription.unheard.keys()
        commands = self._take_resources(subscription, reading)
        self._drop(subscription.rule.type_url, reading.removed - kept)
        subscription.doubted -= reading.mentioned | (reading.removed - kept)
        return commands + self._hold(subscription, kept)

    def _confirm(self, subscription: DeltaSubscription, _reading: Reading | None) -> list[Command]:
        """Drop what was kept in doubt, and what a control plane that sends all it has did not send."""
        self._drop(subscription.rule.type_url, subscription.doubted)
        subscription.doubted.clear()
        subscription.is_known = subscription.is_known or not subscription.faulty
        self._drop_left_out()
        return []

    def _take_resources(self, subscription: DeltaSubscription, reading: Reading) -> list[Command]:
        """Take what is there.

        Only first answers about sets tell whether announced versions are heeded: Consul sends the children of what has
        changed again, unchanged or not (section 2.4).
        """
        type_url = subscription.rule.type_url
        commands = self._accept(type_url, reading)
        is_first = subscription.phase is Phase.DOUBTED or subscription.response_count == 1
        subscription.hear(reading, may_tell=is_first and self._is_set(subscription))
        self._warming.settle((type_url, WILDCARD))
        subscription.is_answered = True
        self._drop_left_out()
        return commands

    def _drop_left_out(self) -> None:
        """Where the server sends all it has, what it has not sent in time is gone."""
        if not any(subscription.is_resending for subscription in self._subscriptions.values()):
            return
        for type_url, subscription in self._subscriptions.items():
            if subscription.phase is Phase.HEARD and self._is_set(subscription):
                self._drop(type_url, list(subscription.unheard))
                subscription.unheard.clear()

    phases: ClassVar[Mapping[tuple[Phase, Heard], tuple[Phase, Callable[..., list[Command]]]]] = {
        (Phase.UNASKED, Heard.REQUESTED): (Phase.ASKED, pass_over),
        (Phase.ASKED, Heard.HEARTBEAT): (Phase.ASKED, pass_over),
        (Phase.ASKED, Heard.NOTHING_LESS): (Phase.HEARD, _take),
        (Phase.ASKED, Heard.LESS): (Phase.DOUBTED, _begin_to_doubt),
        (Phase.DOUBTED, Heard.HEARTBEAT): (Phase.DOUBTED, pass_over),
        (Phase.DOUBTED, Heard.NOTHING_LESS): (Phase.DOUBTED, _doubt),
        (Phase.DOUBTED, Heard.LESS): (Phase.DOUBTED, _doubt),
        (Phase.DOUBTED, Heard.CONFIRMED): (Phase.HEARD, _confirm),
        (Phase.HEARD, Heard.HEARTBEAT): (Phase.HEARD, pass_over),
        (Phase.HEARD, Heard.NOTHING_LESS): (Phase.HEARD, _take),
        (Phase.HEARD, Heard.LESS): (Phase.HEARD, _take),
    }
