"""Source: envoy.extensions.filters.http.wasm.v3.Wasm.

Target: none.
Fidelity: N.
Differs: -
Diagnostics: HF-CODE.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translators.http_filter import EffectiveFilter

_NULL_RUNTIME = "envoy.wasm.runtime.null"
_TELEMETRY = frozenset({"envoy.wasm.stats", "envoy.wasm.metadata_exchange"})


def is_telemetry(http_filter: EffectiveFilter) -> bool:
    """Tell whether the code is Istio's own, compiled into Envoy, and only observes."""
    if http_filter.config is None:
        return False
    machine = http_filter.config.config.vm_config
    return machine.runtime == _NULL_RUNTIME and machine.code.local.inline_string in _TELEMETRY
