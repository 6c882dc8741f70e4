"""Laws of the session over random dialogues: a control plane that answers in any order, in parts, and breaks off."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.xds import extension
from producers.xds.virtual_host import merge
from schemas import xds
from tests.producers.xds.delta_dialogue import DIALOGUES, DeltaDialogue
from tests.producers.xds.dialogue import (
    EXISTENCE_MS,
    NACK_MS,
    SHORT,
    cluster,
    discovered_filter,
    discovering_listener,
    endpoints,
    listener,
    routes,
    scope,
    scoped_listener,
    secret,
    virtual_host,
    wrapped,
)

NAMES = ("a", "b", "c")
WILDCARDS = (xds.CLUSTER, xds.LISTENER)
TYPES = tuple(SHORT)
TTL_MS = 60_000
INNER = (xds.TYPED_EXTENSION_CONFIG, xds.VIRTUAL_HOST)
VHDS = st.sets(st.sampled_from(("r1", "r2", "r3")))
EVERY_DIALOGUE = pytest.mark.parametrize("make_dialogue", DIALOGUES.values(), ids=DIALOGUES)


def world(clusters, listeners, revision):
    """A consistent state of a control plane: what is referred to exists.

    Args:
        clusters: names of EDS clusters; every second one uses a secret.
        listeners: name to the route configuration it uses and how: by RDS, by scopes, or with a filter to discover.
        revision: makes the content of endpoints and routes differ between two worlds.
    """
    secrets = {name: f"s-{name}" if index % 2 else "" for index, name in enumerate(sorted(clusters))}
    make = {"plain": listener, "discovering": lambda name, used: discovering_listener(name, f"f-{name}", used)}
    scopes = {f"{name}-{used}": used for name, (used, kind) in listeners.items() if kind == "scoped"}
    discovering = [name for name, (_, kind) in listeners.items() if kind == "discovering"]
    return {
        xds.CLUSTER: {name: cluster(name, f"svc-{name}", secret=secrets[name]) for name in clusters},
        xds.CLUSTER_LOAD_ASSIGNMENT: {f"svc-{name}": endpoints(f"svc-{name}", 80 + revision) for name in clusters},
        xds.LISTENER: {
            name: scoped_listener(name) if kind == "scoped" else make[kind](name, used)
            for name, (used, kind) in listeners.items()
        },
        xds.SCOPED_ROUTE_CONFIGURATION: {name: scope(name, used) for name, used in scopes.items()},
        xds.ROUTE_CONFIGURATION: {used: routes(used, f"c{revision}") for used, _ in listeners.values()},
        xds.TYPED_EXTENSION_CONFIG: {f"f-{name}": discovered_filter(f"f-{name}") for name in discovering},
        xds.VIRTUAL_HOST: {},
        xds.SECRET: {name: secret(name) for name in secrets.values() if name},
    }


def with_virtual_hosts(state, names, revision):
    """Let some route configurations of a state take virtual hosts by discovery, which only delta has."""
    for name in names & state[xds.ROUTE_CONFIGURATION].keys():
        state[xds.ROUTE_CONFIGURATION][name] = routes(name, f"c{revision}", has_vhds=True)
        hosts = {f"{name}/{host}": virtual_host(f"{name}/{host}", f"{host}.example") for host in ("x", f"y{revision}")}
        state[xds.VIRTUAL_HOST] |= hosts
    return state


def discover(dialogue, names, *states):
    if not isinstance(dialogue, DeltaDialogue):
        return
    for revision, state in enumerate(states):
        with_virtual_hosts(state, names, revision)


def worlds(revision):
    clusters = st.sets(st.sampled_from(NAMES), min_size=1)
    uses = st.tuples(st.sampled_from(("r1", "r2", "r3")), st.sampled_from(("plain", "scoped", "discovering")))
    listeners = st.dictionaries(st.sampled_from(NAMES), uses, min_size=1)
    return st.builds(world, clusters, listeners, st.just(revision))


def image_of(state):
    """What a follower must hold in the end: discovered parts stand where they belong."""
    image = {
        (type_url, name): xds.canonical_bytes(as_handed_on(state, message))
        for type_url, resources in state.items()
        for name, message in resources.items()
    }
    return {key: body for key, body in image.items() if key[0] not in INNER}


def as_handed_on(state, message):
    if xds.type_url_of(message) == xds.LISTENER:
        return extension.fill(message, state[xds.TYPED_EXTENSION_CONFIG])
    if xds.type_url_of(message) == xds.ROUTE_CONFIGURATION:
        hosts = sorted(state[xds.VIRTUAL_HOST].items())
        return merge(message, [host for name, host in hosts if name.startswith(f"{message.name}/")])
    return message


class ControlPlane:
    """A model of a server: knows what the stream asked for and answers whenever the test says so."""

    def __init__(self, dialogue, state):
        self.dialogue = dialogue
        self.state = state
        self.version = 0
        self.is_open = False

    def open(self):
        if not self.is_open:
            self.dialogue.open()
            self.is_open = True

    def end(self):
        if self.is_open:
            self.dialogue.end()
            self.is_open = False

    def answer(self, type_url, share=None):
        """Answer a type if the stream asked for it; `share` picks some of the named resources."""
        asked = self.dialogue.subscribed
        if not self.is_open or type_url not in asked:
            return
        held = self.state[type_url]
        is_set = type_url in (*WILDCARDS, xds.VIRTUAL_HOST) or "*" in asked[type_url]
        named = (
            held
            if "*" in asked[type_url] or type_url in WILDCARDS
            else [name for name in held if {name, name.partition("/")[0]} & asked[type_url]]
        )
        if share is not None and not is_set:
            named = [name for index, name in enumerate(sorted(named)) if share >> index & 1]
        self.version += 1
        self.dialogue.serve(SHORT[type_url], *(held[name] for name in named), version=str(self.version))

    def answer_until_quiet(self):
        """Answer everything, let all time pass, and answer what that has made the session ask for."""
        self.open()
        said = None
        while said != (said := (len(self.dialogue.told), {url: set(n) for url, n in self.dialogue.subscribed.items()})):
            for type_url in TYPES:
                self.answer(type_url)
            self.dialogue.expire(EXISTENCE_MS)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.sampled_from(TYPES), st.integers(0, 7)),
        st.just(("end",)),
        st.just(("open",)),
    ),
    max_size=25,
)


def play(plane, steps):
    for step in steps:
        match step:
            case ("answer", type_url, share):
                plane.answer(type_url, share)
            case ("end",):
                plane.end()
            case ("open",):
                plane.open()


def removed(dialogue):
    return {
        (change.type_url, change.name)
        for delivery in dialogue.deliveries
        for change in delivery.changes
        if change.body is None
    }


@EVERY_DIALOGUE
@settings(max_examples=60, deadline=None, derandomize=True)
@given(worlds(0), VHDS, STEPS)
def test_any_order_of_answers_and_reconnects_gives_the_same_image_and_no_removal(make_dialogue, state, vhds, steps):
    dialogue = make_dialogue()
    discover(dialogue, vhds, state)
    plane = ControlPlane(dialogue, state)
    plane.open()
    play(plane, steps)
    plane.answer_until_quiet()
    assert dialogue.image == image_of(state)
    assert removed(dialogue) == set()


@EVERY_DIALOGUE
@settings(max_examples=60, deadline=None, derandomize=True)
@given(worlds(0), VHDS, STEPS)
def test_a_restart_disturbs_nothing_of_what_the_log_holds(make_dialogue, state, vhds, steps):
    """The image as the log has it equals what the control plane has: no delivery may take anything from it."""
    dialogue = make_dialogue()
    discover(dialogue, vhds, state)
    dialogue.image = image_of(state)
    plane = ControlPlane(dialogue, state)
    plane.open()
    for step in steps:
        play(plane, [step])
        assert dialogue.image == image_of(state)
    plane.answer_until_quiet()
    assert dialogue.image == image_of(state)


@EVERY_DIALOGUE
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.tuples(worlds(0), worlds(1)), VHDS, STEPS, STEPS)
def test_a_change_of_everything_arrives_and_what_is_in_both_states_is_never_removed(
    make_dialogue, states, vhds, steps, more_steps
):
    dialogue, (before, after) = make_dialogue(), states
    discover(dialogue, vhds, before, after)
    plane = ControlPlane(dialogue, before)
    plane.answer_until_quiet()
    play(plane, steps)
    plane.state = after
    play(plane, more_steps)
    plane.answer_until_quiet()
    plane.end()  # one that ignores announced versions shows it only by sending again what has not changed
    plane.answer_until_quiet()
    assert dialogue.image == image_of(after)
    scoped = {(xds.ROUTE_CONFIGURATION, used.route_configuration_name) for used in scopes_of(before, after)}
    assert removed(dialogue).isdisjoint((image_of(before).keys() & image_of(after).keys()) - scoped)


def scopes_of(*states):
    """Give the scopes, which say apart from their listener, before or after it, which routes are wanted."""
    return [found for state in states for found in state[xds.SCOPED_ROUTE_CONFIGURATION].values()]


@EVERY_DIALOGUE
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.tuples(worlds(0), worlds(1)), VHDS, STEPS, STEPS)
def test_what_is_named_is_there_whenever_the_control_plane_has_it(make_dialogue, states, vhds, steps, more_steps):
    """Warming: after the first delivery, a cluster never stands without its endpoints, a listener without its routes.

    Both states hold all the routes and endpoints, so that only the order of answers could tear them apart.
    """
    dialogue, (before, after) = make_dialogue(), states
    for type_url in (xds.CLUSTER_LOAD_ASSIGNMENT, xds.ROUTE_CONFIGURATION, xds.SECRET):
        before[type_url] = after[type_url] = before[type_url] | after[type_url]
    discover(dialogue, vhds, before, after)
    plane = ControlPlane(dialogue, before)
    plane.answer_until_quiet()
    for step in [*steps, None, *more_steps]:
        if step is None:
            plane.state = after
        else:
            play(plane, [step])
        assert_whole(dialogue)


def assert_whole(dialogue):
    for type_url, name in dialogue.image:
        if type_url in WILDCARDS:
            entry = dialogue.session._warming.published[type_url][name]
            named = {key for key in entry.references if key[0] not in INNER and key[1] != "*"}
            assert named <= dialogue.image.keys()


RESOURCES = st.sampled_from(
    [
        cluster("a", "svc-a", secret="s"),
        cluster("a", timeout="2s"),
        cluster(""),
        endpoints("a"),
        endpoints("svc-a", 81),
        listener("l", "r"),
        listener("l", "r2", secret="s"),
        routes("r"),
        routes("r2"),
        routes("r", has_vhds=True),
        secret("s"),
        scoped_listener("l"),
        scope("s1", "r"),
        discovering_listener("l", "f"),
        discovered_filter("f"),
        virtual_host("r/v"),
        wrapped(cluster("a"), ttl_ms=TTL_MS),
        wrapped(cluster("a"), ttl_ms=TTL_MS, body=False),
        wrapped(endpoints("a"), "other", aliases=["a"]),
    ]
)


@EVERY_DIALOGUE
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.sampled_from([SHORT[type_url] for type_url in TYPES]),
                st.lists(RESOURCES, max_size=3),
                st.sampled_from(["", "n"]),
            ),
            st.sampled_from([EXISTENCE_MS, NACK_MS, TTL_MS]),
            st.just("reconnect"),
        ),
        max_size=30,
    )
)
def test_whatever_is_sent_is_answered_once_and_by_the_rules(make_dialogue, steps):
    """At most one reply to a response and type, none for what was not asked for, no NACK for what nobody wants."""
    dialogue = make_dialogue()
    dialogue.open()
    requested = {request.type_url for request in dialogue.requests}
    for step in steps:
        count_before = len(dialogue.requests)
        match step:
            case (short, resources, nonce):
                dialogue.respond(short, *resources, nonce=nonce)
            case "reconnect":
                dialogue.end()
                requested.clear()
                dialogue.open()
            case delay_ms:
                dialogue.expire(delay_ms)
        new = dialogue.requests[count_before:]
        if not isinstance(step, int):
            replies = [request.type_url for request in new if request.response_nonce]
            assert len(set(replies)) == len(replies)
        for request in new:
            if request.HasField("error_detail"):
                assert request.type_url in requested
                assert request.type_url in WILDCARDS or dialogue.subscribed[request.type_url]
        requested |= {request.type_url for request in new}
