"""RouteMatch.case_sensitive.

Source: envoy.config.route.v3.RouteMatch.case_sensitive, default true; without meaning for regexes and templates.
Target: key `/*` and a guard with `~*` instead of the path's own keys.
Fidelity: E.
Differs: nothing.
Diagnostics: none.
See: mapping.md section 5.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds


def ignores_case(match: xds.Message) -> bool:
    """Tell whether paths are compared without regard to case."""
    return match.HasField("case_sensitive") and not match.case_sensitive.value
