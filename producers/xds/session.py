"""What the two variants of an ADS session share: events in, commands out. No socket, no clock, no await.

`SotWSession` (sotw.py) and `DeltaSession` (delta.py) are made alike, `(node, source, timing)`, and used alike,
`receive(event) -> list[Command]`. With delta a SendRequest carries a DeltaDiscoveryRequest and a ResponseReceived a
DeltaDiscoveryResponse; all other events and commands are the same.

One stream carries all types. Clusters and listeners are asked for by wildcard; all else by the names that accepted
resources refer to (references.py). Each response is read (response.py), its valid resources are accepted, and an ACK or
a NACK answers it. What is warm is delivered (warming.py), the first time only when everything asked for has been
answered or its existence timer has run out, so that a restart removes nothing that is merely late. A resource with a
TTL that nobody renews is dropped (expiry.py). The rules are those of control-planes.md section 5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from producers.xds.command import Command, SendRequest, StartTimer
from producers.xds.delivery import Delivery
from producers.xds.event import Event, ResponseReceived, StreamEnded, StreamOpened, TimerFired
from producers.xds.expiry import Expiry
from producers.xds.interest import WILDCARD
from producers.xds.phase import Heard, Phase
from producers.xds.report import Report
from producers.xds.subscription import NOTHING, Subscription
from producers.xds.warming import Warming
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from producers.xds.references import Key
    from producers.xds.response import Entry, Reading

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
    """How long what the first answer of a stream takes away stays in force all the same."""
    nack_interval_ms: int = 1_000
    """Least time between two NACKs of one type (section 5.12)."""


_S = TypeVar("_S", bound=Subscription)


class Session(ABC, Generic[_S]):
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
        self._subscriptions = self._new_subscriptions()
        wildcards = [url for url, subscription in self._subscriptions.items() if subscription.rule.is_wildcard]
        self._warming = Warming()
        self._warming.pending.update((type_url, WILDCARD) for type_url in wildcards)
        self._serials = count(1)
        self._timers: dict[int, Callable[[], list[Command]]] = {}
        self._awaited: dict[Key, int] = {}
        self._expiry = Expiry()
        self._delivery = Delivery(self._subscriptions, self._warming, source)
        self._report = Report(source, self._subscriptions)

    # What the variants do each in their way

    phases: ClassVar[Mapping[tuple[Phase, Heard], tuple[Phase, Callable[..., list[Command]]]]]
    """What may be heard of a type when, and what is then done."""

    @abstractmethod
    def _new_subscriptions(self) -> dict[str, _S]:
        """Make the subscriptions, in the order in which types are asked for."""

    @abstractmethod
    def _read(self, response: xds.Message, subscription: _S) -> Reading:
        """Read a response of a type that was asked for."""

    @abstractmethod
    def _weigh(self, subscription: _S, reading: Reading) -> Heard:
        """Tell what a response comes to, before anything of it is taken."""

    @abstractmethod
    def _due(self, subscription: _S, names: AbstractSet[str]) -> list[xds.Message]:
        """Give the requests that are due now."""

    # Events

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
        """Forget nonces and ask for everything again, from the versions that are held."""
        self._is_node_due = True
        for subscription in self._subscriptions.values():
            subscription.open()
        return self._proceed()

    def _end(self, _event: Event) -> list[Command]:
        """Stop all timers but those of TTLs, which are for the very case that the control plane has gone."""
        self._timers = {serial: expire for serial, expire in self._timers.items() if self._expiry.knows(serial)}
        self._awaited.clear()
        return []

    def _fire(self, event: TimerFired) -> list[Command]:
        """Do what the timer was started for; one of a stream that has ended does nothing."""
        expire = self._timers.pop(event.serial, None)
        return expire() if expire is not None else []

    def _answer(self, event: ResponseReceived) -> list[Command]:
        """Take the valid resources, then acknowledge or reject, ask for what is newly named, deliver what is warm."""
        response = event.response
        subscription = self._subscriptions.get(response.type_url)
        if subscription is None or not subscription.is_requested:
            message = "the control plane sent a type that was not asked for"
            return self._report.problem(
                response.type_url, message, "it was ignored; nothing to do unless resources are missing"
            )
        reading = self._read(response, subscription)
        has_interest = subscription.rule.is_wildcard or bool(self._warming.named[response.type_url])
        error_detail = reading.error_detail() if has_interest else ""
        subscription.receive(response, error_detail)
        commands = self._rejected(response.type_url, error_detail)
        commands += self._hear(subscription, self._weigh(subscription, reading), reading)
        commands += self._renew(response.type_url, reading)
        return commands + self._proceed()

    def _proceed(self) -> list[Command]:
        deliveries = self._delivery.next_commands()  # first, because what is replaced may free names
        return self._requests() + deliveries

    # What a response changes

    def _hear(self, subscription: _S, heard: Heard, reading: Reading | None = None) -> list[Command]:
        subscription.phase, action = self.phases[subscription.phase, heard]
        return action(self, subscription, reading)

    def _accept(self, type_url: str, reading: Reading) -> list[Command]:
        """Take the valid resources of a response and what it answers."""
        commands: list[Command] = []
        for name, entry in reading.changed.items():
            served, problem = self._served(name, entry)
            commands += problem
            self._warming.accept((type_url, name), served)
        for name in reading.answered | reading.removed:
            self._warming.settle((type_url, name))
        self._take_versions(type_url, reading)
        return commands

    def _take_versions(self, type_url: str, reading: Reading) -> None:
        """Keep the new version of what has not changed otherwise: heartbeats name it, the next stream announces it."""
        held, faulty = self._warming.accepted[type_url], {fault.name for fault in reading.faults}
        for name, version in reading.versions.items():
            entry = held.get(name)
            if entry is not None and version and version != entry.version_info and name not in faulty:
                held[name] = entry._replace(version_info=version)

    def _served(self, name: str, entry: Entry) -> tuple[Entry, list[Command]]:
        """Leave out what a resource refers to and this variant cannot ask for: virtual hosts need delta."""
        served = frozenset(key for key in entry.references if key[0] in self._subscriptions)
        if served == entry.references:
            return entry, []
        message = f"{name} takes its virtual hosts by VHDS, which only the variant delta has; they are missing"
        return entry._replace(references=served), self._report.problem(
            xds.VIRTUAL_HOST, message, "set `variant: delta`"
        )

    def _hold(self, subscription: _S, names: Iterable[str]) -> list[Command]:
        """Keep what an answer takes away until it is confirmed: a control plane may have just started (law 7)."""
        type_url = subscription.rule.type_url
        held = self._warming.accepted[type_url]
        subscription.doubted.update(name for name in names if name in held)
        if not subscription.doubted:
            return []
        lacking = f"lacks {len(subscription.doubted)} of {len(held)} resources; they stay until that is confirmed"
        remedy = "nothing to do if they were removed on purpose, else look at the control plane"
        return self._report.problem(type_url, f"the first answer of a new stream {lacking}", remedy)

    def _await_confirmation(self, subscription: _S) -> StartTimer:
        return self._start_timer(self._timing.confirmation_ms, lambda: self._confirmed(subscription))

    def _confirmed(self, subscription: _S) -> list[Command]:
        if subscription.phase is not Phase.DOUBTED:
            return []
        return self._hear(subscription, Heard.CONFIRMED) + self._proceed()

    def _drop(self, type_url: str, names: Iterable[str]) -> None:
        for name in names:
            self._warming.drop((type_url, name))

    # What lives only for a time

    def _renew(self, type_url: str, reading: Reading) -> list[Command]:
        renewed = self._expiry.renewed(type_url, reading.ttls_ms)
        return [self._start_expiry(ttl_ms, keys) for ttl_ms, keys in renewed.items()]

    def _start_expiry(self, ttl_ms: int, keys: list[Key]) -> StartTimer:
        command = self._start_timer(ttl_ms, lambda: self._expire(command.serial))
        self._expiry.start(command.serial, keys)
        return command

    def _expire(self, serial: int) -> list[Command]:
        """Drop what was not renewed as if it had been removed; the subscription stays (section 5.9)."""
        keys = [key for key in self._expiry.expired(serial) if key[1] in self._warming.accepted[key[0]]]
        if not keys:
            return []
        for key in keys:
            self._warming.drop(key)
        message = f"not renewed within the time that the control plane gave: {_some(keys)}; treated as removed"
        problem = self._report.problem(keys[0][0], message, "check that the control plane sends its heartbeats")
        return problem + self._proceed()

    # What is sent

    def _requests(self) -> list[Command]:
        if self._state is State.DISCONNECTED:
            return []
        commands: list[Command] = []
        for subscription in self._subscriptions.values():
            if self._may_ask(subscription):
                commands += self._request(subscription)
        return commands

    def _may_ask(self, subscription: _S) -> bool:
        return subscription.is_requested or all(self._is_heard(type_url) for type_url in subscription.rule.after)

    def _is_heard(self, type_url: str) -> bool:
        """Answered on this stream or earlier, or silent for too long."""
        is_answered = self._subscriptions[type_url].response_count > 0
        return is_answered or (type_url, WILDCARD) not in self._warming.pending

    def _request(self, subscription: _S) -> list[Command]:
        rule = subscription.rule
        names = self._names(subscription)
        is_first, before, was_resting = not subscription.is_requested, subscription.requested, subscription.is_resting
        requests = self._due(subscription, names)
        if not requests:
            return []
        if self._is_node_due:
            requests[0].node.CopyFrom(self._node)
            self._is_node_due = False
        commands: list[Command] = [SendRequest(request) for request in requests]
        if is_first:
            commands += self._hear(subscription, Heard.REQUESTED)
        if subscription.is_resting and not was_resting:
            commands.append(self._start_timer(self._timing.nack_interval_ms, lambda: self._rested(subscription)))
        asked = {WILDCARD} if rule.is_wildcard and is_first else subscription.requested - before
        return commands + self._await_existence(rule.type_url, asked)

    def _names(self, subscription: _S) -> AbstractSet[str]:
        """Give the names to ask for; none for a wildcard."""
        return NOTHING if subscription.rule.is_wildcard else self._warming.named[subscription.rule.type_url]

    def _rested(self, subscription: _S) -> list[Command]:
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
        over = [key for key in keys if self._awaited.get(key) == serial]
        for key in over:
            del self._awaited[key]
        silent = [key for key in over if self._is_silent(key)]
        if not silent:
            return []
        if narrower := self._narrow(silent):
            return narrower
        for key in silent:
            self._warming.settle(key)
        return self._silence(silent) + self._proceed()

    def _narrow(self, _silent: list[Key]) -> list[Command]:
        """Ask for less, where a control plane may be silent about all names because of one; give what to do."""
        return []

    def _is_silent(self, key: Key) -> bool:
        is_doubted = key[1] == WILDCARD and self._subscriptions[key[0]].phase is Phase.DOUBTED
        return key in self._warming.pending and not is_doubted

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
        message = f"no answer within {self._timing.existence_ms / 1000:g} s for {_some(keys)}; treated as absent"
        return self._report.problem(keys[0][0], message, "check that the control plane serves them to this node id")

    transitions: ClassVar[Mapping[tuple[State, type[Event]], tuple[State, Callable[..., list[Command]]]]] = {
        (State.DISCONNECTED, StreamOpened): (State.CONNECTED, _open),
        (State.DISCONNECTED, TimerFired): (State.DISCONNECTED, _fire),
        (State.CONNECTED, ResponseReceived): (State.CONNECTED, _answer),
        (State.CONNECTED, TimerFired): (State.CONNECTED, _fire),
        (State.CONNECTED, StreamEnded): (State.DISCONNECTED, _end),
    }
    """What may happen when, and what is then done."""


def pass_over(_session: Session[Any], _subscription: Subscription, _reading: Reading | None) -> list[Command]:
    """Do nothing: what was heard moves the phase at most."""
    return []


def _some(keys: list[Key]) -> str:
    names = ", ".join(sorted(name for _, name in keys)[:MAX_NAMES_IN_PROBLEM])
    return names + (f" and {len(keys) - MAX_NAMES_IN_PROBLEM} more" if len(keys) > MAX_NAMES_IN_PROBLEM else "")
