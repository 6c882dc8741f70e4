"""Every example of docs/control-planes.md is a settings file that makes a source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_type_hints

import pytest

from pipeline.settings import XDSSettings, parse_settings
from producers.xds.profile import PROFILES
from producers.xds.transport import source_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "control-planes.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
SETTINGS = [parse_settings(text, {}, f"example {number}") for number, text in enumerate(EXAMPLES)]
SOURCES = [settings.views["edge"].source.xds for settings in SETTINGS]


@pytest.mark.parametrize("settings", SOURCES, ids=lambda settings: settings.profile)
def test_an_example_makes_a_source(settings):
    assert source_of(settings).server.address in settings.server


def test_every_profile_has_an_example_but_one_that_differs_from_its_sibling_in_a_word():
    assert {settings.profile for settings in SOURCES} == PROFILES.keys() - {"istio-sidecar"}
    assert "istio-sidecar" in EXAMPLES[[settings.profile for settings in SOURCES].index("istio-router")]


def test_the_shared_example_names_every_setting_that_is_not_of_a_profile():
    given = set(re.findall(r"^        ([a-z_]+):", EXAMPLES[0], re.MULTILINE))
    assert given == get_type_hints(XDSSettings).keys() - {"profile", "identity", "cluster", "token_header"}
