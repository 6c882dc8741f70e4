"""What flaps is held with all that it may still refer to."""

from __future__ import annotations

import pytest

from producers.hold_down import HoldDown, HoldDownLimits
from producers.image import Entry, Replacement, ResourceKey
from schemas import xds

LISTENER, SECRET = ResourceKey(xds.LISTENER, "l"), ResourceKey(xds.SECRET, "s")
LIMITS = HoldDownLimits()


class View:
    """An image and what a hold-down lets through to it."""

    def __init__(self) -> None:
        self.hold_down = HoldDown(LIMITS)
        self.image: dict[tuple[str, str], bytes] = {}

    def say(self, time_ms: int, *changes: tuple[ResourceKey, bytes | None]) -> None:
        replacements = [Replacement(key, None if body is None else entry(body)) for key, body in changes]
        self.take(self.hold_down.admit(replacements, self.get, time_ms)[0])

    def take(self, passing: list[Replacement]) -> None:
        for replacement in passing:
            if replacement.entry is None:
                self.image.pop(replacement.key, None)
            else:
                self.image[replacement.key] = replacement.entry.body

    def get(self, type_url: str, name: str) -> Entry | None:
        body = self.image.get((type_url, name))
        return None if body is None else entry(body)


def entry(body: bytes) -> Entry:
    return Entry(xds.message_class(xds.SECRET)(), body, "")


@pytest.fixture
def flapping() -> View:
    """A listener that was a, b, a and is held there, though b has come again and its secret has gone."""
    view = View()
    view.say(0, (LISTENER, b"a"), (SECRET, b"s"))
    view.say(1, (LISTENER, b"b"))
    view.say(2, (LISTENER, b"a"))
    view.say(3, (LISTENER, b"b"), (SECRET, None))
    return view


def test_what_a_held_resource_may_refer_to_is_not_removed(flapping: View):
    assert flapping.image == {LISTENER: b"a", SECRET: b"s"}


def test_the_removal_comes_with_the_release(flapping: View):
    due_ms = flapping.hold_down.due_ms()
    assert due_ms == 3 + LIMITS.hold_ms
    flapping.take(flapping.hold_down.release(due_ms))
    assert flapping.image == {LISTENER: b"b"}


def test_the_removal_comes_when_the_flapping_ends_in_something_new(flapping: View):
    flapping.say(4, (LISTENER, b"c"))
    assert flapping.image == {LISTENER: b"c"}


def test_what_comes_back_meanwhile_is_not_removed(flapping: View):
    flapping.say(4, (SECRET, b"t"))
    flapping.take(flapping.hold_down.release(3 + LIMITS.hold_ms))
    assert flapping.image == {LISTENER: b"b", SECRET: b"t"}
