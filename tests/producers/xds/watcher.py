"""Watches a session of either variant and checks after every event what must hold whatever a control plane does."""

from __future__ import annotations

from collections import Counter, defaultdict

from producers.xds.command import DeliverChanges, SendRequest, StartTimer
from producers.xds.event import ResponseReceived, StreamEnded, StreamOpened, TimerFired
from producers.xds.interest import WILDCARD
from producers.xds.node import build_node
from producers.xds.references import references_of
from producers.xds.response import WRAPPER
from producers.xds.session import Timing
from producers.xds.validate import name_of
from producers.xds.variant import VARIANTS
from producers.xds.warming import INNER
from schemas import xds
from tests.producers.xds.pool import SETS

EXISTENCE_MS, CONFIRMATION_MS, NACK_MS = 15_000, 15_001, 1_000


class Watcher:
    """A session and its follower.

    Attributes:
        image: what the follower holds, the messages by type and name.
        names: what the stream is subscribed to, by the types that were asked for; nothing for a set.
        announced: by type, the versions in the first request of the stream (delta).
        ttls: how long resources live that the session was given with a TTL, in milliseconds.
        timers: those that were started and have not fired, with their delay.
    """

    def __init__(self, variant, hand_on=lambda _changes: None):
        """Begin without a stream.

        Args:
            variant: of the protocol.
            hand_on: who else takes what is delivered.
        """
        timing = Timing(EXISTENCE_MS, CONFIRMATION_MS, NACK_MS)
        self.variant = variant
        self._hand_on = hand_on
        self.session = VARIANTS[variant].session(build_node("node", "1.0"), "cp:18000", timing)
        self.is_open = False
        self.image = {}
        self.names = {}
        self.timers = {}
        self.announced = {}
        self._references = {}
        self._covered_by = {}
        self._may_go = set()
        self._excused = set()
        self.ttls = {}
        self._versions = defaultdict(str)
        self._offers = defaultdict(list)
        self._forget_stream()

    def _forget_stream(self):
        self.names = {}
        self.announced = {}
        self._nonces = {}
        self._owed = defaultdict(list)
        self._resting = {}
        self._unheard = set()
        self._heard = set()
        self._doubted = defaultdict(set)
        self._confirming = {}
        self._confirmed = set()

    # Events

    def open(self):
        self._forget_stream()
        self.is_open = True
        requests = self._tell(StreamOpened())
        assert [request.HasField("node") for request in requests] == [True] + [False] * (len(requests) - 1)
        self._check()

    def end(self):
        self.is_open = False
        assert not self._tell(StreamEnded())
        self._check()

    def fire(self, serial):
        delay_ms = self.timers.pop(serial, None)
        if serial in self._resting.values():
            self._resting = {type_url: other for type_url, other in self._resting.items() if other != serial}
        self._excused |= self._covered_by.pop(serial, set())
        if serial in self._confirming:
            type_url = self._confirming.pop(serial)
            self._confirmed.add(type_url)
            self._may_go |= self._doubted.pop(type_url, set())
        if delay_ms not in (None, EXISTENCE_MS, CONFIRMATION_MS, NACK_MS):
            self._may_go |= {key for key, ttl_ms in self.ttls.items() if ttl_ms == delay_ms}
        requests = self._tell(TimerFired(serial))
        assert len(_nacked_types(requests)) <= 1
        self._check()

    def respond(self, response, *, is_clean=False):
        """Let a response come.

        Args:
            response: of the variant's type.
            is_clean: nothing is wrong with it, so that it must not be rejected.
        """
        type_url = response.type_url
        is_wanted = type_url in self.names and (type_url in SETS or bool(self.names[type_url]))
        if type_url in self.names:
            self._nonces[type_url] = response.nonce
            self._offers[type_url].append(getattr(response, "version_info", ""))
            self._note(response, is_clean=is_clean)
        if is_wanted and response.nonce:
            self._owed[type_url] = [*(self._owed[type_url] if self.variant == "delta" else ()), response.nonce]
        asked = set(self.names)
        requests = self._tell(ResponseReceived(response))
        nacks = Counter(request.type_url for request in requests if request.HasField("error_detail"))
        assert nacks.keys() <= ({type_url} if is_wanted and not is_clean else set())
        assert all(count == 1 for count in nacks.values())
        assert type_url in asked or type_url not in {request.type_url for request in requests if request.response_nonce}
        self._check()

    def assert_nothing_is_kept(self):
        """When no timer runs any more, none of what came and went is remembered."""
        session = self.session
        assert not self.timers
        assert not session._timers
        assert not session._awaited
        assert not session._expiry._keys
        assert not session._expiry._serials
        assert not session._warming.pending
        assert not session._warming._unpublished
        named = {(type_url, name) for type_url, names in session._warming.named.items() for name in names}
        assert session._warming._reference_counts.keys() == named

    # What was told

    def _note(self, response, *, is_clean):
        """Note what a response says of existence, read without the session's help."""
        type_url = response.type_url
        present, nameless, bodies = set(), False, 0
        for body in response.resources:
            names, has_body, ttl_ms = _read(body, type_url)
            nameless = nameless or not names
            bodies += has_body
            present |= names
            for name in names:
                if is_clean:  # a bad one neither lives nor lets live
                    self.ttls.pop((type_url, name), None)
                if ttl_ms:
                    self.ttls[type_url, name] = ttl_ms
            if has_body and not is_clean:  # one that is bad and new counts as absent
                self._excused |= {(type_url, name) for name in names}
        keys = {(type_url, name) for name in present}
        self._may_go -= keys
        self._doubted[type_url] -= keys
        if self.variant == "delta":
            self._note_removals(response, present)
        elif bodies or not response.resources:
            is_whole = self._is_set(type_url) and not nameless
            absent = {key for key in self._known(type_url) if key[1] not in present} if is_whole else set()
            doubtful = absent if type_url not in self._heard else set()
            self._heard.add(type_url)
            self._doubted[type_url] |= doubtful
            self._may_go |= absent - doubtful
        self._unheard -= keys

    def _note_removals(self, response, present):
        """What the first answers of a stream remove stays until they say so again, or time confirms it.

        Where all of a type was asked for those are the answers until time confirms it, else the first one.
        """
        type_url = response.type_url
        names = {*response.removed_resources, *(found.name for found in response.removed_resource_names)} - present
        gone = {(type_url, name) for name in names}
        is_first = type_url not in (self._confirmed if self._is_set(type_url) else self._heard)
        doubtful = gone & self._unheard if is_first else set()
        is_heartbeat = bool(response.resources) and not any(r.HasField("resource") for r in response.resources)
        if names or not is_heartbeat:
            self._heard.add(type_url)
        self._unheard -= gone
        self._doubted[type_url] |= doubtful
        self._may_go |= gone - doubtful
        self._excused |= gone

    def _is_set(self, type_url):
        return type_url in SETS or WILDCARD in self.names[type_url]

    def _known(self, type_url):
        return {(type_url, name) for name in self.session._warming.accepted[type_url]} | {
            key for key in self.image if key[0] == type_url
        }

    # What is said

    def _tell(self, event):
        requests, last, asked = [], "", {}
        for command in self.session.receive(event):
            match command:
                case SendRequest(request):
                    last, before = request.type_url, self.names.get(request.type_url, set())
                    self._take(request)
                    asked[last] = (self.names[last] - before) or {WILDCARD}
                    requests.append(request)
                case StartTimer(serial, delay_ms):
                    assert serial not in self.timers
                    self.timers[serial] = delay_ms
                    if delay_ms == EXISTENCE_MS:
                        self._covered_by[serial] = {(last, name) for name in asked[last]}
                    if delay_ms == CONFIRMATION_MS:
                        self._confirming[serial] = event.response.type_url
                    if delay_ms == NACK_MS:
                        assert last not in self._resting
                        self._resting[last] = serial
                case DeliverChanges(changes):
                    self._follow(changes)
        rejected = _nacked_types(requests)
        assert rejected <= self._resting.keys()
        if self.variant == "sotw":
            assert max(Counter(request.type_url for request in requests).values(), default=0) <= 1
        return requests

    def _take(self, request):
        assert self.is_open
        type_url = request.type_url
        is_nack = request.HasField("error_detail")
        if is_nack:
            assert type_url in self._nonces
            assert type_url not in self._resting or self.variant == "delta"
            assert request.error_detail.message
        if self.variant == "sotw":
            self._take_sotw(request)
        else:
            self._take_delta(request)
        assert not is_nack or type_url in SETS or self.names[type_url]
        for key in [key for key in self._excused if key[0] == type_url and key[0] not in SETS]:
            if key[1] not in self.names[type_url]:
                self._excused.discard(key)

    def _take_sotw(self, request):
        type_url = request.type_url
        assert request.response_nonce == self._nonces.get(type_url, "")
        offers = self._offers.pop(type_url, [])
        if self._owed[type_url]:
            accepted = offers[:-1] if request.HasField("error_detail") else offers[-1:]
        else:  # of a response without a nonce, which gets no answer of its own
            accepted = offers
        may_hold_nothing = type_url not in SETS and not self.names.get(type_url)
        is_claimed = request.version_info in accepted or request.version_info == self._versions[type_url]
        assert is_claimed or (not request.version_info and (may_hold_nothing or type_url not in self.names))
        self._versions[type_url] = request.version_info
        self.names[type_url] = set(request.resource_names)
        if type_url == xds.SCOPED_ROUTE_CONFIGURATION and self.session._warming.named[type_url]:
            self.names[type_url] = {WILDCARD}  # an empty list, which the wire does not tell from none at all
        self._owed[type_url] = []

    def _take_delta(self, request):
        type_url, nonce = request.type_url, request.response_nonce
        more, less = set(request.resource_names_subscribe), set(request.resource_names_unsubscribe)
        if nonce:
            assert not more
            assert not less
            self._owed[type_url].remove(nonce)
        held = self.names.get(type_url, set())
        assert more.isdisjoint(held)
        assert less <= held
        assert type_url not in self.names or not request.initial_resource_versions
        if type_url not in self.names:
            self.announced[type_url] = dict(request.initial_resource_versions)
            self._unheard |= {(type_url, name) for name in request.initial_resource_versions}
        self.names[type_url] = (held | more) - less

    # What is delivered

    def _follow(self, changes):
        self._hand_on(changes)
        given = {(change.type_url, change.name): change.body for change in changes.changes}
        assert len(given) == len(changes.changes)
        gone = {key for key, body in given.items() if body is None}
        if changes.is_complete:
            covered = [key for key in self.image if changes.covers is None or key[0] in changes.covers]
            gone |= {key for key in covered if key not in given}
        for key in gone:
            self.image.pop(key, None)
            self._references.pop(key, None)
        for key, body in given.items():
            if body is not None:
                self.image[key] = body
                self._references[key] = references_of(body)
        named = set().union(*self._references.values())
        for key in gone:
            is_left_out = key in self._unheard and key[0] in self._confirmed
            assert key in self._may_go or is_left_out or not _is_named(key, named), f"{key} was lost"
        for key, references in self._references.items():
            for reference in references:
                assert self._is_there(reference), f"{key} refers to {reference}, which is not there"

    def _is_there(self, reference):
        if reference[0] in INNER or reference[1] == WILDCARD or reference in self.image:
            return True
        return reference in self._excused or reference in self._may_go

    # What must always hold

    def _check(self):
        for type_url, owed in self._owed.items():
            wanted = type_url in SETS or self.names.get(type_url)
            assert not owed or not self.is_open or not wanted or type_url in self._resting, f"{type_url} is owed {owed}"
        warming = self.session._warming
        for type_url, name in warming.pending:
            assert name == WILDCARD or name in warming.named[type_url]
        assert len(self.session._timers) <= len(self.timers)


def _nacked_types(requests):
    return {request.type_url for request in requests if request.HasField("error_detail")}


def _is_named(key, named):
    if key[0] in SETS:
        return True
    return key in named or (key[0], WILDCARD) in named


def _read(body, type_url):
    """Read a resource: the names it may go by (none when it does not say), whether it has a body, and its TTL."""
    names, ttl_ms, has_body = set(), 0, True
    wrapper = body if body.DESCRIPTOR.full_name != "google.protobuf.Any" else None
    if wrapper is None and body.type_url == WRAPPER:
        wrapper = xds.unpack(body)
        if wrapper is None:
            return set(), True, 0
    if wrapper is not None:
        names |= {wrapper.name or wrapper.resource_name.name, *wrapper.aliases} - {""}
        ttl_ms, has_body, body = wrapper.ttl.ToMilliseconds(), wrapper.HasField("resource"), wrapper.resource
    if body.type_url == type_url and type_url != xds.VIRTUAL_HOST:
        message = xds.unpack(body)
        names |= {name_of(message)} - {""} if message is not None else set()
    return names, has_body, ttl_ms
