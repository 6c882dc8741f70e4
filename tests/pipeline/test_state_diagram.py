from __future__ import annotations

import re

import pytest

from pipeline.state_diagram import session_document
from producers.xds.delta import DeltaSession
from producers.xds.phase import Heard, Phase
from producers.xds.session import Session
from producers.xds.sotw import SotWSession


def section(title):
    """Give what stands under a heading."""
    return re.split(r"^#+ ", session_document().split(f"# {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text):
    return [line.split(" | ")[:3] for line in text.splitlines() if line.startswith("| ") and "what is done" not in line]


@pytest.mark.parametrize(
    ("title", "session"), [("State of the world", SotWSession), ("Delta", DeltaSession)], ids=["sotw", "delta"]
)
def test_every_row_of_a_variant_is_in_its_table(title, session):
    expected = [[f"| {a.name}", heard.name, b.name] for (a, heard), (b, _) in session.phases.items()]
    assert rows(section(title)) == expected


def test_every_row_of_the_stream_is_in_its_table():
    expected = [[f"| {a.name}", event.__name__, b.name] for (a, event), (b, _) in Session.transitions.items()]
    assert rows(section("The stream")) == expected


def test_the_picture_shows_what_moves_or_does_something_and_nothing_else():
    picture = section("Delta").split("```")[1]
    assert "ASKED --> DOUBTED: LESS" in picture
    assert "HEARTBEAT" not in picture


def test_every_phase_and_happening_is_explained():
    text = section("A type on a stream")
    for member in (*Phase, *Heard):
        assert re.search(rf"^- {member.name}: \S", text, re.MULTILINE)


def test_every_action_says_what_it_does():
    assert not re.search(r"`: \|", session_document())
