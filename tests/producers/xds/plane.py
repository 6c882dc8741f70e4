"""A model control plane of either variant that answers, errs and breaks off as a string of bytes says."""

from __future__ import annotations

from functools import cache
from itertools import count

from producers.xds.interest import WILDCARD
from producers.xds.response import WRAPPER
from producers.xds.variant import VARIANTS
from schemas import xds
from tests.producers.xds.mutation import FOREIGN, MUTATIONS, TTL_MS
from tests.producers.xds.pool import EDITIONS, KEYS, SETS, TYPE_URLS, image_of, missing_in, packed
from tests.producers.xds.watcher import CONFIRMATION_MS, EXISTENCE_MS, NACK_MS

WHOLE = SETS | {xds.SCOPED_ROUTE_CONFIGURATION}
GOING_ON, RESENDING, HEEDING = 0, 1, 2
_MAX_ROUNDS = 60


class Plan:
    """Choices, taken from bytes one after the other; all the first ones when the bytes are used up."""

    def __init__(self, data):
        self._bytes = iter(data)
        self.is_over = False

    def below(self, limit):
        byte = next(self._bytes, None)
        self.is_over = self.is_over or byte is None
        return (byte or 0) % limit

    def one_of(self, choices):
        return choices[self.below(len(choices))]


class Plane:
    """A control plane that one watcher's session is connected to."""

    def __init__(self, watcher, plan):
        self.watcher = watcher
        self.plan = plan
        self.is_delta = watcher.variant == "delta"
        self.state = {(xds.CLUSTER, "a"): 0, (xds.CLUSTER_LOAD_ASSIGNMENT, "a"): 0, (xds.LISTENER, "l"): 0}
        self.state |= {(xds.ROUTE_CONFIGURATION, "r"): 0, (xds.SECRET, "t"): 0}
        self._versions = count(1)
        self._nonces = count(1)
        self._told = set()
        self.fired = []

    def play(self):
        """Do what the plan says until it is used up."""
        self.watcher.open()
        if self.plan.below(4):
            self.answer_all()
        while not self.plan.is_over:
            self.plan.one_of(STEPS)(self)

    # Steps

    def answer(self):
        self.send(self.plan.one_of(TYPE_URLS))

    def answer_all(self):
        """Everything that was asked for, in one go."""
        for type_url in TYPE_URLS:
            self.send(type_url)

    def answer_in_parts(self):
        type_url, cut = self.plan.one_of(TYPE_URLS), self.plan.below(3)
        keys = self._asked_keys(type_url)
        if type_url in WHOLE and not self.is_delta:
            self.send(type_url, keys[cut:])  # a set that is not whole is another state
        else:
            self.send(type_url, keys[:cut])
            self.send(type_url, keys[cut:])

    def change(self):
        key, edition = self.plan.one_of(KEYS), self.plan.below(EDITIONS + 1)
        if edition == EDITIONS:
            self.state.pop(key, None)
        else:
            self.state[key] = edition
        if self.plan.below(4):  # mostly whole, else little would ever be delivered
            self.state |= dict.fromkeys(missing_in(self.state), 0)

    def remove(self):
        """Say that something is gone; in the state of the world, that there is nothing at all."""
        key = self.plan.one_of(KEYS)
        self.state.pop(key, None)
        if self.is_delta:
            self.send(key[0], (), removed=(key[1],))
        else:
            self.send(key[0], ())

    def err(self):
        type_url = self.plan.one_of(TYPE_URLS)
        response = self._response(type_url, self._asked_keys(type_url), ())
        version = self.plan.one_of(("", "a lie"))  # one that the model itself would give is no error but a trap
        for resource in response.resources if self.is_delta else ():
            resource.version = version
        self.plan.one_of(MUTATIONS)(self, response)
        self._say(response, is_clean=False)

    def err_unasked(self):
        type_url = self.plan.one_of((*FOREIGN, *TYPE_URLS))
        keys = [(key, self.plan.below(EDITIONS)) for key in KEYS if key[0] == type_url]
        self._say(self._filled(type_url, [self.wrapped(*key, edition) for key, edition in keys]), is_clean=False)

    def end(self):
        if self.watcher.is_open:
            self.watcher.end()
            self._told.clear()

    def open(self):
        if not self.watcher.is_open:
            self.watcher.open()

    def reopen(self):
        self.end()
        self.open()

    def come_back_changed(self):
        """Break off and come back with another state, or with one that has not been loaded yet."""
        self.end()
        for _ in range(1 + self.plan.below(3)):
            self.change()
        self.open()
        self.answer_all()

    def fire(self):
        """Let some timer fire, in whatever order."""
        if self.watcher.timers:
            self._fire(self.plan.one_of(sorted(self.watcher.timers)))

    def fire_all(self):
        delay_ms = self.plan.one_of((NACK_MS, CONFIRMATION_MS, EXISTENCE_MS, TTL_MS))
        self._fire_all({delay_ms})

    def fire_again(self):
        if self.fired:
            self.watcher.fire(self.plan.one_of(self.fired))

    def _fire(self, serial):
        self.fired.append(serial)
        self.watcher.fire(serial)

    def _fire_all(self, delays_ms):
        for serial in sorted(self.watcher.timers):
            if self.watcher.timers.get(serial) in delays_ms:
                self._fire(serial)

    # Responses

    def send(self, type_url, keys=None, removed=()):
        """Answer a type that the stream has asked for with these of its resources, or with all that are wanted."""
        if self.watcher.is_open and type_url in self.watcher.names:
            keys = self._asked_keys(type_url) if keys is None else keys
            self._told |= set(keys)
            self._say(self._response(type_url, keys, removed), is_clean=True)

    def _say(self, response, *, is_clean):
        if self.watcher.is_open:
            self.watcher.respond(response, is_clean=is_clean)

    def _asked_keys(self, type_url):
        asked = self.watcher.names.get(type_url, set())
        held = [key for key in self.state if key[0] == type_url]
        if type_url in SETS or WILDCARD in asked:
            return held
        if type_url == xds.VIRTUAL_HOST:
            return [key for key in held if key[1].partition("/")[0] in asked]
        return [key for key in held if key[1] in asked]

    def _response(self, type_url, keys, removed):
        response = self._filled(type_url, [self.wrapped(*key, self.state[key]) for key in keys])
        if self.is_delta:
            response.removed_resources.extend(removed)
        return response

    def _filled(self, type_url, resources):
        message = xds.message_class(VARIANTS[self.watcher.variant].response)
        version = {"system_version_info": "1"} if self.is_delta else {"version_info": f"v{next(self._versions)}"}
        return message(type_url=type_url, nonce=f"n{next(self._nonces)}", resources=resources, **version)

    def wrapped(self, type_url, name, edition):
        """Give a resource of the stock as the variant has it in a response."""
        return _wrapped(type_url, name, edition) if self.is_delta else packed(type_url, name, edition)

    # The end of all errors

    def settle(self, way):
        """Err no more: say all there is, until the session has nothing left to ask or to wait for.

        Args:
            way: GOING_ON with the stream, RESENDING everything on a new one, or HEEDING there the versions that were
                announced (delta).
        """
        self._told = set()
        self.state |= dict.fromkeys(missing_in(self.state), 0)
        if way != GOING_ON or not self.watcher.is_open:
            self.reopen()
        if way == HEEDING and self.is_delta:
            self._let_live()
        for _ in range(_MAX_ROUNDS):
            while self._tell_news(way):
                pass
            if not self.watcher.timers:
                return
            self._fire_all(set(self.watcher.timers.values()))
        raise AssertionError(f"there are timers without end: {self.watcher.timers}")

    def _gone(self, way, type_url):
        """Give what is no more: in delta that has to be said, but for sets of which everything is sent again."""
        if not self.is_delta or (way == RESENDING and type_url != xds.VIRTUAL_HOST and self._shows_itself()):
            return []
        held = {name for other, name in self.state if other == type_url}
        return sorted(self.watcher.session._warming.accepted[type_url].keys() - held)

    def _let_live(self):
        """End the TTLs of what will not be sent again: a heartbeat without one."""
        for type_url in self.watcher.names:
            beating = [key for key in self.watcher.ttls if key[0] == type_url and key in self.state]
            beats = [xds.message_class(WRAPPER)(name=name) for _, name in beating if self._is_held((type_url, name))]
            if beats:
                self._say(self._filled(type_url, beats), is_clean=True)

    def _shows_itself(self):
        """Some of what was announced will be sent again just so, which tells a server that heeds no versions."""
        return any(key[0] in SETS and self._is_held(key) for key in self.state)

    def _is_held(self, key):
        """It was announced as it is."""
        return self.watcher.announced.get(key[0], {}).get(key[1]) == version_of(*key, self.state[key])

    def _tell_news(self, way):
        """Answer what has been asked for and not answered yet."""
        is_news = False
        for type_url in TYPE_URLS:
            if type_url not in self.watcher.names:
                continue
            keys = [key for key in self._asked_keys(type_url) if key not in self._told or not self.is_delta]
            if way == HEEDING and self.is_delta:
                keys = [key for key in keys if not self._is_held(key)]
            gone = self._gone(way, type_url) if type_url not in self._told else []
            self._told.add(type_url)
            asked = (type_url, frozenset(self.watcher.names[type_url]), frozenset(keys))
            if asked not in self._told:
                self._told.add(asked)
                is_news = True
                self.send(type_url, keys, removed=gone)
        return is_news

    def assert_agreed(self):
        """The follower holds what the control plane has."""
        held = {key: xds.canonical_bytes(body) for key, body in self.watcher.image.items()}
        wanted = image_of(self.state, self.watcher.variant)
        assert held.keys() == wanted.keys()
        assert held == wanted
        self.watcher.assert_nothing_is_kept()


def version_of(type_url, name, edition):
    """The version of a resource; versions that are lies look otherwise."""
    return f"{name} {edition}"


@cache
def _wrapped(type_url, name, edition):
    """Give a resource of the stock in its wrapper, as delta has them."""
    body = packed(type_url, name, edition)
    return xds.message_class(WRAPPER)(name=name, version=version_of(type_url, name, edition), resource=body)


STEPS = (
    Plane.answer,
    Plane.answer_all,
    Plane.answer_all,
    Plane.answer_in_parts,
    Plane.change,
    Plane.change,
    Plane.change,
    Plane.remove,
    Plane.err,
    Plane.err,
    Plane.err,
    Plane.err,
    Plane.err_unasked,
    Plane.end,
    Plane.open,
    Plane.reopen,
    Plane.come_back_changed,
    Plane.come_back_changed,
    Plane.fire,
    Plane.fire,
    Plane.fire_all,
    Plane.fire_again,
)
