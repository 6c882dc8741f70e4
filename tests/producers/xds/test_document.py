"""Every example of docs/control-planes.md makes a source."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from pipeline.settings import XDSSettings
from producers.xds.transport import source_of
from producers.xds.variant import VARIANTS

DOCUMENT = Path(__file__).parents[3] / "docs" / "control-planes.md"
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.get("profile", "generic"))
def test_an_example_makes_a_source(example):
    given = example["views"]["edge"]["source"]["xds"] if "views" in example else example
    settings = msgspec.convert(given, XDSSettings)
    if settings.profile == "consul" and "delta" not in VARIANTS:
        with pytest.raises(ValueError, match="variant: 'delta' is none; there are sotw"):
            source_of(settings)
        return
    assert source_of(settings).server.address in given["server"]
