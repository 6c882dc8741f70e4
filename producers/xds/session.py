"""The state-of-the-world ADS session: events in, commands out. No socket, no clock, no await.

One stream carries all types. Clusters and listeners are asked for by wildcard; endpoints, routes and secrets by the
names that accepted resources refer to (references.py). Each response is read (response.py), its valid resources are
accepted, and one ACK or NACK answers it (subscription.py). What is warm is delivered (warming.py), the first time only
when everything asked for has been answered or its existence timer has run out, so that a restart removes nothing that
is merely late. The rules are those of control-planes.md section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from typing import TYPE_CHECKING, ClassVar

from producers.xds.command import Command, SendRequest, StartTimer
from producers.xds.delivery import Delivery
from producers.xds.event import Event, ResponseReceived, StreamEnded, StreamOpened, TimerFired
from producers.xds.report import Report
from producers.xds.response import Reading, read_response
from producers.xds.subscription import NOTHING, TYPE_RULES, Subscription
from producers.xds.warming import Warming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from producers.xds.references import Key
    from schemas import xds

WILDCARD = "*"
"""Stands for "all resources of the type" where a name is awaited."""
MAX_NAMES_IN_PROBLEM = 5


class LocalProtocolError(RuntimeError):
    """The session was told something that cannot have happened; a fault of the caller, not of the control plane."""


class State(Enum):
    """Whether there is a stream."""

    DISCONNECTED = auto()
    CONNECTED = auto()


@dataclass(frozen=True)
class Timing:
    """Delays of the protocol, in milliseconds."""

    existence_ms: int = 15_000
    """How long a name may stay silent before it counts as absent (section 5.6, Envoy's initial_fetch_timeout)."""
    confirmation_ms: int = 15_000
    """How long an empty first answer must stand before it counts as a removal."""
    nack_interval_ms: int = 1_000
    """Least time between two NACKs of one type (section 5.12)."""


class Session:
    """What one view knows of its control plane."""

    def __init__(self, node: xds.Message, source: str, timing: Timing | None = None) -> None:
        """Begin disconnected and knowing nothing.

        Args:
            node: `envoy.config.core.v3.Node`, sent with the first request of each stream.
            source: the control plane's address, for people.
            timing: other delays than the protocol's.
        """
        self._node = node
        self._timing = timing or Timing()
        self._state = State.DISCONNECTED
        self._is_node_due = True
        self._subscriptions = {rule.type_url: Subscription(rule) for rule in TYPE_RULES}
        self._warming = Warming()
        self._warming.pending.update((rule.type_url, WILDCARD) for rule in TYPE_RULES if rule.is_wildcard)
        self._serials = count(1)
        self._timers: dict[int, Callable[[], list[Command]]] = {}
        self._awaited: dict[Key, int] = {}
        self._unconfirmed: set[str] = set()
        self._delivery = Delivery(self._subscriptions, self._warming, source)
        self._report = Report(source)

    def receive(self, event: Event) -> list[Command]:
        """Take an event.

        Returns:
            What to do now, in this order.

        Raises:
            LocalProtocolError: the event cannot happen in this state.
        """
        try:
            self._state, action = self.transitions[self._state, type(event)]
        except KeyError:
            raise LocalProtocolError(f"{type(event).__name__} while {self._state.name}") from None
        return action(self, event)

    def _open(self, _event: Event) -> list[Command]:
        self._is_node_due = True
        for subscription in self._subscriptions.values():
            subscription.open()
        return self._proceed()

    def _end(self, _event: Event) -> list[Command]:
        self._timers.clear()
        self._awaited.clear()
        self._unconfirmed.clear()
        return []

    def _fire(self, event: TimerFired) -> list[Command]:
        expire = self._timers.pop(event.serial, None)
        return expire() if expire is not None else []

    def _ignore(self, _event: Event) -> list[Command]:
        return []

    def _answer(self, event: ResponseReceived) -> list[Command]:
        response = event.response
        subscription = self._subscriptions.get(response.type_url)
        if subscription is None or not subscription.is_requested:
            remedy = "it was ignored; nothing to do unless resources are missing"
            return self._report.problem(
                response.type_url, "the control plane sent a type that was not asked for", remedy
            )
        is_wildcard = subscription.rule.is_wildcard
        wanted = None if is_wildcard else self._warming.named[response.type_url]
        reading = read_response(response, self._warming.accepted[response.type_url], wanted)
        error_detail = reading.error_detail() if is_wildcard or wanted else ""
        subscription.receive(response, error_detail)
        commands = self._rejected(response.type_url, error_detail)
        commands += self._take(subscription, reading)
        return commands + self._proceed()

    def _proceed(self) -> list[Command]:
        deliveries = self._delivery.next_commands()  # first, because what is replaced may free names
        return self._requests() + deliveries

    # What a response changes

    def _take(self, subscription: Subscription, reading: Reading) -> list[Command]:
        type_url = subscription.rule.type_url
        is_empty = subscription.rule.is_wildcard and not reading.mentioned and reading.is_complete
        if is_empty and subscription.response_count == 1:
            return self._hold(type_url)
        self._unconfirmed.discard(type_url)
        for name, entry in reading.changed.items():
            self._warming.accept((type_url, name), entry)
        for name in reading.mentioned:
            self._warming.settle((type_url, name))
        if subscription.rule.is_wildcard and reading.is_complete:
            self._keep_only(type_url, reading.mentioned)
        self._warming.settle((type_url, WILDCARD))
        subscription.is_answered = True
        # With a bad resource the set is not whole: the log may hold a last good one that a complete set would remove.
        subscription.is_known = subscription.is_known or not reading.faults
        return []

    def _keep_only(self, type_url: str, names: frozenset[str]) -> None:
        for name in [name for name in self._warming.accepted[type_url] if name not in names]:
            self._warming.drop((type_url, name))

    def _hold(self, type_url: str) -> list[Command]:
        """Keep what is held until an empty first answer is confirmed: a control plane may have just started (law 7)."""
        self._unconfirmed.add(type_url)
        self._warming.pending.add((type_url, WILDCARD))
        commands: list[Command] = [self._start_timer(self._timing.confirmation_ms, lambda: self._confirm(type_url))]
        held_count = len(self._warming.accepted[type_url])
        if held_count:
            message = f"the first answer of a new stream is empty; {held_count} resources stay until it is confirmed"
            remedy = "nothing to do if they were removed on purpose, else look at the control plane"
            commands += self._report.problem(type_url, message, remedy)
        return commands

    def _confirm(self, type_url: str) -> list[Command]:
        if type_url not in self._unconfirmed:
            return []
        self._unconfirmed.discard(type_url)
        self._keep_only(type_url, NOTHING)
        self._warming.settle((type_url, WILDCARD))
        self._subscriptions[type_url].is_answered = self._subscriptions[type_url].is_known = True
        return self._proceed()

    # What is sent

    def _requests(self) -> list[Command]:
        commands: list[Command] = []
        for subscription in self._subscriptions.values():
            if self._may_ask(subscription):
                commands += self._request(subscription)
        return commands

    def _may_ask(self, subscription: Subscription) -> bool:
        return subscription.is_requested or all(self._is_heard(type_url) for type_url in subscription.rule.after)

    def _is_heard(self, type_url: str) -> bool:
        """Answered on this stream or earlier, or silent for too long."""
        is_answered = self._subscriptions[type_url].response_count > 0
        return is_answered or (type_url, WILDCARD) not in self._warming.pending

    def _request(self, subscription: Subscription) -> list[Command]:
        rule = subscription.rule
        names = NOTHING if rule.is_wildcard else self._warming.named[rule.type_url]
        is_first, before, was_resting = not subscription.is_requested, subscription.requested, subscription.is_resting
        request = subscription.next_request(names)
        if request is None:
            return []
        if self._is_node_due:
            request.node.CopyFrom(self._node)
            self._is_node_due = False
        commands: list[Command] = [SendRequest(request)]
        if subscription.is_resting and not was_resting:
            commands.append(self._start_timer(self._timing.nack_interval_ms, lambda: self._rested(subscription)))
        asked = {WILDCARD} if rule.is_wildcard and is_first else subscription.requested - before
        return commands + self._await_existence(rule.type_url, asked)

    def _rested(self, subscription: Subscription) -> list[Command]:
        subscription.is_resting = False
        return self._requests()

    def _await_existence(self, type_url: str, names: Iterable[str]) -> list[Command]:
        keys = [(type_url, name) for name in names if (type_url, name) in self._warming.pending]
        if not keys:
            return []
        command = self._start_timer(self._timing.existence_ms, lambda: self._miss(keys, command.serial))
        self._awaited.update(dict.fromkeys(keys, command.serial))
        return [command]

    def _miss(self, keys: list[Key], serial: int) -> list[Command]:
        """Treat names that stayed silent as absent; an answer that comes later revives them."""
        silent = [key for key in keys if self._awaited.get(key) == serial and self._is_silent(key)]
        for key in silent:
            self._warming.settle(key)
        return self._silence(silent) + self._proceed() if silent else []

    def _is_silent(self, key: Key) -> bool:
        is_unconfirmed = key[1] == WILDCARD and key[0] in self._unconfirmed
        return key in self._warming.pending and not is_unconfirmed

    def _start_timer(self, delay_ms: int, expire: Callable[[], list[Command]]) -> StartTimer:
        serial = next(self._serials)
        self._timers[serial] = expire
        return StartTimer(serial, delay_ms)

    # What people are told

    def _rejected(self, type_url: str, error_detail: str) -> list[Command]:
        if not error_detail:
            self._report.clear(type_url)
            return []
        remedy = "their previous versions stay; correct them at the control plane"
        return self._report.problem(type_url, f"resources were rejected: {error_detail}", remedy)

    def _silence(self, keys: list[Key]) -> list[Command]:
        names = ", ".join(name for _, name in keys[:MAX_NAMES_IN_PROBLEM])
        more = f" and {len(keys) - MAX_NAMES_IN_PROBLEM} more" if len(keys) > MAX_NAMES_IN_PROBLEM else ""
        message = f"no answer within {self._timing.existence_ms / 1000:g} s for {names}{more}; treated as absent"
        return self._report.problem(keys[0][0], message, "check that the control plane serves them to this node id")

    transitions: ClassVar[Mapping[tuple[State, type[Event]], tuple[State, Callable[..., list[Command]]]]] = {
        (State.DISCONNECTED, StreamOpened): (State.CONNECTED, _open),
        (State.DISCONNECTED, TimerFired): (State.DISCONNECTED, _ignore),
        (State.CONNECTED, ResponseReceived): (State.CONNECTED, _answer),
        (State.CONNECTED, TimerFired): (State.CONNECTED, _fire),
        (State.CONNECTED, StreamEnded): (State.DISCONNECTED, _end),
    }
    """What may happen when, and what is then done."""
