"""The version of this build, for provenance, `meshferry version` and the user agent."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version


@cache
def build_version() -> str:
    """Give the version of the installed distribution."""
    return version("meshferry")
