"""Source: filters that restrict nobody and do nothing unless something tells them what: cors, fault.

Target: none yet.
Fidelity: N.
Differs: -
Diagnostics: HF-UNTRANSLATED.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translators.http_filter import EffectiveFilter


def has_no_cors_policy(http_filter: EffectiveFilter) -> bool:
    """Tell whether no level has a CORS policy; the filter itself has none. Answers without a backend get none."""
    if http_filter.route is None:
        return True
    virtual_host = http_filter.context.virtual_host
    holders = [http_filter.route.route] + ([virtual_host] if virtual_host is not None else [])
    return not http_filter.overrides and not any(holder.HasField("cors") for holder in holders)


def injects_nothing(http_filter: EffectiveFilter) -> bool:
    """Tell whether a fault filter neither delays, aborts nor limits; Istio puts such a one into every listener."""
    if http_filter.has_unreadable_override:
        return False
    fault = http_filter.config if http_filter.override is None else http_filter.override
    if fault is None:
        return True
    return fault.DESCRIPTOR.name == "HTTPFault" and not any(
        fault.HasField(name) for name in ("delay", "abort", "response_rate_limit")
    )
