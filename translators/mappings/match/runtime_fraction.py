"""RouteMatch.runtime_fraction.

Source: envoy.config.route.v3.RouteMatch.runtime_fraction: its default_value; there is no runtime to override it.
Target: a range of the first four hex digits of `request_id`, one draw per request that all routes share, as Envoy's.
Fidelity: E, with a granularity of 1/65536.
Differs: nothing.
Diagnostics: none.
See: mapping.md section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.expr import fraction

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where

DENOMINATORS = (100, 10_000, 1_000_000)
"""By the number of envoy.type.v3.FractionalPercent.DenominatorType."""


def share_of(value: xds.Message) -> float:
    """Give a FractionalPercent as a number between 0 and 1, where it is not beyond."""
    return float(value.numerator / DENOMINATORS[value.denominator])


def apply(match: xds.Message, draft: MatchDraft, _at: Where, _findings: Findings) -> None:
    """Translate the fraction."""
    value = match.runtime_fraction.default_value
    draft.require(fraction(value.numerator, DENOMINATORS[value.denominator]))
