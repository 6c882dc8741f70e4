"""Source: HttpConnectionManager.generate_request_id, preserve_external_request_id, always_set_request_id_in_response.

Target: the plugin request-id: in the view's one global rule, as Envoy generates ids unless told otherwise, and once
    more on the routes where the client is to see the id.
Fidelity: A.
Differs: an id that the client sent is always kept, which is what preserve_external_request_id asks for.
Diagnostics: none.
See: mapping.md section 4.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas import xds
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where

PLUGIN = "request-id"
_PRIORITY = 22_000
"""Above all filters, so that their answers have an id too."""


def generating() -> dict[str, Any]:
    """Give the plugin that makes an id where the request has none."""
    return {"header_name": "X-Request-Id", "include_in_response": False}


def is_generated(hcm: xds.Message) -> bool:
    """Tell whether requests get an id; they do unless told otherwise."""
    return not hcm.HasField("generate_request_id") or bool(hcm.generate_request_id.value)


def apply(_hcm: xds.Message, draft: ConnectionDraft, _at: Where, _findings: Findings) -> None:
    """Show the id to clients."""
    draft.plugins[PLUGIN] = {**generating(), "include_in_response": True, "_meta": {"priority": _PRIORITY}}
